//! `cargo xtask ci`: everything a change must pass, in the order in which it fails fastest.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::cargo::{cargo, run as run_command};
use crate::test;
use crate::toolchain::{self, FILTER_TARGET};

/// The dashboard's token inspector will compile core for the browser.
const BROWSER_TARGET: &str = "wasm32-unknown-unknown";

pub(crate) fn run() -> Result<ExitCode> {
    let start = Instant::now();
    step("targets", || {
        toolchain::ensure_target(FILTER_TARGET)?;
        toolchain::ensure_target(BROWSER_TARGET)
    })?;
    check("format", &mut cargo(["fmt", "--all", "--check"]))?;
    check("clippy", &mut clippy(&["--all-targets"]))?;
    check(
        "clippy for Envoy",
        &mut clippy(&[
            "-p",
            "portcullis-filter",
            "-p",
            "portcullis-empty-filter",
            "-p",
            "portcullis-set-filter",
            "-p",
            "portcullis-core",
            "--target",
            FILTER_TARGET,
        ]),
    )?;
    check("core in a browser", &mut cargo(["check", "-p", "portcullis-core", "--target", BROWSER_TARGET]))?;
    check("documentation", cargo(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    step("tests", || run_command(&mut test::command(&[])?))?;
    eprintln!("\nAll steps passed in {:.0?}.", start.elapsed());
    Ok(ExitCode::SUCCESS)
}

fn clippy(args: &[&str]) -> Command {
    let mut command = cargo(["clippy"]);
    command.args(args).args(["--", "-D", "warnings"]);
    command
}

fn check(name: &str, command: &mut Command) -> Result<()> {
    step(name, || run_command(command))
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("\n==> {name}");
    let start = Instant::now();
    work().with_context(|| format!("the step `{name}` failed after {:.0?}", start.elapsed()))?;
    eprintln!("    {name}: {:.1?}", start.elapsed());
    Ok(())
}
