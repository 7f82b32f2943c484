//! `cargo xtask demo`: the main job on a real Envoy, narrated.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cargo::{become_command, cargo, run as run_command, target_dir};
use crate::{envoy, filter};

pub(crate) fn run(once: bool) -> Result<ExitCode> {
    let envoy = envoy::find()?;
    let filter = filter::build()?;
    run_command(&mut cargo(["build", "-p", "portcullis", "-p", "portcullis-testbed", "--bins"]))?;

    let bin = target_dir().join("debug");
    let mut demo = Command::new(bin.join("portcullis-demo"));
    demo.env("ENVOY", envoy).env("PORTCULLIS_FILTER", filter).env("PORTCULLIS_BIN", bin.join("portcullis"));
    if once {
        demo.arg("--once");
    }
    become_command(&mut demo)
}
