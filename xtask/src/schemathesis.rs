//! `cargo xtask schemathesis`: requests that nobody wrote, made up from the OpenAPI document, against a live control
//! plane.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cargo::{become_command, cargo, run as run_command, target_dir};
use crate::wheel::Wheel;

const SCHEMATHESIS: Wheel = Wheel { package: "schemathesis", version: "4.32.5", size: "about 100 MB" };
/// Where it is installed, and keeps its own files.
const DIR: &str = "schemathesis";

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let schemathesis = SCHEMATHESIS.installed(DIR)?.join("bin/schemathesis");
    run_command(&mut cargo(["build", "-p", "portcullis", "-p", "portcullis-testbed", "--bins"]))?;
    let bin = target_dir().join("debug");
    let mut stage = Command::new(bin.join("schemathesis"));
    stage.env("SCHEMATHESIS", schemathesis).env("PORTCULLIS_BIN", bin.join("portcullis")).args(args);
    // Its own files go where they are not in the way.
    stage.current_dir(target_dir().join(DIR));
    become_command(&mut stage)
}
