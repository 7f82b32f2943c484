//! `cargo xtask codegen`: regenerates the Rust code of `proto/`.

use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::{become_command, cargo};

/// The generator needs a protobuf compiler in Rust, which is too much to wait for in this crate: it
/// lives in `crates/testbed`, where a test compares its output with what is committed.
pub(crate) fn run() -> Result<ExitCode> {
    become_command(&mut cargo([
        "run",
        "--quiet",
        "--package",
        "portcullis-testbed",
        "--features",
        "codegen",
        "--bin",
        "codegen",
    ]))
}
