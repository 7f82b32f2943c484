//! Installs the example that needs Node.js under `target/`: its files, and the packages of its lock file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cargo::{self, output};

/// Everything of the example that runs.
const FILES: [&str; 4] = ["package.json", "package-lock.json", "app.mjs", "provider.mjs"];
/// The lock file of a finished installation.
const INSTALLED: &str = "installed.json";

/// The `provider.mjs` of `examples/oidc-provider`, beside its packages, and up to date.
pub(crate) fn oidc_provider() -> Result<PathBuf> {
    for program in ["node", "npm"] {
        if !cargo::exists(program) {
            bail!("no `{program}` on the PATH: install Node.js with npm, version 20 or newer");
        }
    }
    let source = cargo::root().join("examples/oidc-provider");
    let dir = cargo::target_dir().join("examples/oidc-provider");
    let _lock = cargo::locked(&dir)?;
    for file in FILES {
        copy(&source.join(file), &dir.join(file))?;
    }
    let wanted = fs::read(dir.join("package-lock.json"))?;
    if fs::read(dir.join(INSTALLED)).ok().as_ref() != Some(&wanted) {
        install(&dir)?;
        fs::write(dir.join(INSTALLED), wanted)?;
    }
    Ok(dir.join("provider.mjs"))
}

/// Leaves a file alone that is the same: another run may be reading it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let wanted = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).ok().as_ref() != Some(&wanted) {
        fs::write(to, wanted).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

fn install(dir: &Path) -> Result<()> {
    eprintln!("Installing the packages of examples/oidc-provider into {} (once) ...", dir.display());
    let mut npm = Command::new("npm");
    npm.current_dir(dir).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    output(&mut npm).context("npm cannot install oidc-provider: it needs the network once")?;
    Ok(())
}
