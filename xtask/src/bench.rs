//! `cargo xtask bench`: no benchmark exists yet, and it says so.

use std::path::Path;
use std::process::ExitCode;

/// The exit code of a command that was asked for something that does not exist.
const UNKNOWN: u8 = 2;

pub(crate) fn run(name: &str, json: &Path) -> ExitCode {
    eprintln!("error: there is no benchmark `{name}`: none exists yet. {} was not written.", json.display());
    ExitCode::from(UNKNOWN)
}
