//! `cargo xtask example NAME`: one of `examples/`, with everything that it needs, until Ctrl-C.

use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::ValueEnum;

use crate::cargo::{become_command, cargo, run as run_command, target_dir};
use crate::{envoy, filter, npm};

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Example {
    /// A logout at a certified OpenID provider closes the gate at Envoy
    OidcProvider,
}

pub(crate) fn run(example: Example) -> Result<ExitCode> {
    let Example::OidcProvider = example;
    let provider = npm::oidc_provider()?;
    let envoy = envoy::find()?;
    let filter = filter::build()?;
    run_command(&mut cargo(["build", "-p", "portcullis", "-p", "portcullis-testbed", "--bins"]))?;

    let bin = target_dir().join("debug");
    let mut stage = Command::new(bin.join("example-oidc-provider"));
    stage.env("ENVOY", envoy).env("PORTCULLIS_FILTER", filter).env("PORTCULLIS_BIN", bin.join("portcullis"));
    become_command(stage.env("OIDC_PROVIDER", provider))
}
