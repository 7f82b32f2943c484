//! The project's commands: `cargo xtask demo`, `example`, `test`, `fuzz`, `schemathesis`, `dist`, `bench`, `ci`, `codegen`.
//!
//! Thin on purpose: each command makes sure that what it needs is there (the wasm target, Envoy, the
//! filter), then hands over to cargo or to a binary of `crates/testbed`.

#![allow(clippy::print_stderr, reason = "progress is for the person at the terminal")]

mod bench;
mod cargo;
mod ci;
mod codegen;
mod debian;
mod demo;
mod dist;
mod envoy;
mod example;
mod filter;
mod fuzz;
mod linker;
mod musl;
mod nats;
mod npm;
mod oci;
mod schemathesis;
mod test;
mod toolchain;
mod wheel;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The commands of the Portcullis project")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the main job on a real Envoy: revoke, see the 401, see open streams end
    Demo {
        /// End after the last step; exit code 0 only if every step held
        #[arg(long)]
        once: bool,
    },
    /// Run an example of examples/ until Ctrl-C
    Example {
        /// Which example
        name: example::Example,
    },
    /// Run every test, those on a real Envoy included
    Test {
        /// Passed on to `cargo test`, as in `cargo xtask test -- --test it revoke`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Fuzz core or the inlets with libFuzzer, starting from the committed corpus
    Fuzz {
        /// token, claims, wire, configuration, gate; set, logout_token, scim_patch, scim_filter, status_list
        target: String,
        /// How long
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u32,
    },
    /// Make up requests from the OpenAPI document and check the answers of a live control plane
    Schemathesis {
        /// Passed on to `schemathesis run`, as in `cargo xtask schemathesis -- --max-examples 200`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Build the release binary, and the filter as a file and as an OCI image, with checksums, into target/dist
    Dist,
    /// Run a benchmark, and write its figures with --json FILE
    Bench {
        /// edge, ingest, propagate
        name: String,
        /// Passed on to the benchmark: `cargo xtask bench edge --help` says what it takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Everything a change must pass: format, lints, documentation, tests
    Ci,
    /// Regenerate the Rust code of proto/
    Codegen,
}

fn main() -> ExitCode {
    let outcome = linker::called().unwrap_or_else(run);
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::Demo { once } => demo::run(once),
        Command::Example { name } => example::run(name),
        Command::Test { args } => test::run(&args),
        Command::Fuzz { target, seconds } => fuzz::run(&target, seconds),
        Command::Schemathesis { args } => schemathesis::run(&args),
        Command::Dist => dist::run(),
        Command::Bench { name, args } => bench::run(&name, &args),
        Command::Ci => ci::run(),
        Command::Codegen => codegen::run(),
    }
}
