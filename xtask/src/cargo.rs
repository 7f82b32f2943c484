//! How this workspace calls cargo and other programs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use anyhow::{Context as _, Result, bail};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    // `xtask` lies directly under the root.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo puts what it builds for the host.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// A directory for what is installed, made if it is not there, for one process at a time: as long as this lives. The
/// system releases the lock even if we are killed.
pub(crate) fn locked(dir: &Path) -> Result<File> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let lock = File::create(dir.join("lock"))?;
    lock.lock().with_context(|| format!("cannot lock {}", dir.display()))?;
    Ok(lock)
}

/// A cargo command at the root of the workspace: the cargo that runs us, so the pinned toolchain.
pub(crate) fn cargo(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    command
}

/// Runs a command with our terminal and fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| missing(command))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs a command and gives its standard output; what it wrote to standard error is in the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command.output().with_context(|| missing(command))?;
    if !status.success() {
        bail!("`{}` failed: {status}\n{}", line(command), String::from_utf8_lossy(&stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&stdout).trim().to_owned())
}

/// Becomes the command, so that its exit code and every signal are its own. Returns only on failure.
pub(crate) fn become_command(command: &mut Command) -> Result<ExitCode> {
    let error = command.exec();
    Err(error).with_context(|| missing(command))
}

/// Whether a program can be started at all.
pub(crate) fn exists(program: &str) -> bool {
    let outcome = Command::new(program).arg("--version").output();
    !matches!(outcome, Err(error) if error.kind() == ErrorKind::NotFound)
}

fn missing(command: &Command) -> String {
    format!("cannot start `{}`", line(command))
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
