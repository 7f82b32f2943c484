//! `cargo xtask schemathesis`: requests that nobody wrote, made up from the OpenAPI document, against a live control
//! plane.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::cargo::{become_command, cargo, exists, output, run as run_command, target_dir};

const PACKAGE: &str = "schemathesis";
const VERSION: &str = "4.32.5";

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let schemathesis = find()?;
    run_command(&mut cargo(["build", "-p", "portcullis", "-p", "portcullis-testbed", "--bins"]))?;
    let bin = target_dir().join("debug");
    let mut stage = Command::new(bin.join("schemathesis"));
    stage.env("SCHEMATHESIS", schemathesis).env("PORTCULLIS_BIN", bin.join("portcullis")).args(args);
    // Its own files go where they are not in the way.
    stage.current_dir(target_dir().join(PACKAGE));
    become_command(&mut stage)
}

/// The program of the pinned package, installed first if it is not there whole.
fn find() -> Result<PathBuf> {
    let dir = target_dir().join(PACKAGE);
    let venv = dir.join(format!("venv-{VERSION}"));
    let (program, installed) = (venv.join("bin/schemathesis"), venv.join("installed"));
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    // One installation at a time; the system releases the lock even if we are killed.
    let lock = File::create(dir.join("lock"))?;
    lock.lock().with_context(|| format!("cannot lock {}", dir.display()))?;
    if installed.exists() {
        return Ok(program);
    }
    if !exists("python3") {
        bail!("no `python3` to install {PACKAGE} {VERSION} with: install Python 3.10 or newer");
    }
    if venv.exists() {
        fs::remove_dir_all(&venv).with_context(|| format!("cannot remove {}", venv.display()))?;
    }
    eprintln!("Installing {PACKAGE} {VERSION} into {} (about 100 MB, once) ...", dir.display());
    output(Command::new("python3").args(["-m", "venv"]).arg(&venv)).context(
        "python3 cannot create a virtual environment: install your system's `python3-venv` package",
    )?;
    let package = format!("{PACKAGE}=={VERSION}");
    let mut pip = Command::new(venv.join("bin/python3"));
    output(pip.args(["-m", "pip", "install", "--disable-pip-version-check", &package]))
        .with_context(|| format!("pip cannot install {package}: it needs the network once"))?;
    fs::write(installed, "")?;
    Ok(program)
}
