//! `portcullis-bench`: what Portcullis costs, beside what people use today.
//!
//! Run by `cargo xtask bench`, which builds what is measured and installs what it is compared with. Nothing is
//! timed before it was seen to do its job.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "for the person at the terminal")]

mod api;
mod edge;
mod ingest;
mod needs;
mod plane;
mod propagate;
mod report;
mod set;
mod stats;
mod subscriber;
mod system;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use report::Report;
use system::Cores;

/// A line for the person who waits.
macro_rules! note {
    ($($what:tt)*) => { eprintln!($($what)*) };
}
pub(crate) use note;

#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    bin_name = "cargo xtask bench",
    about = "Measures, and compares side by side"
)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
    /// Write the figures here as well
    #[arg(long, value_name = "FILE", global = true)]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Bench {
    /// A request in a real Envoy: requests a second, latency, processor time, memory (20 minutes)
    Edge(edge::Edge),
    /// The set in the VM of an Envoy's worker: look-ups, and taking a snapshot in (2 minutes)
    Set(set::Set),
    /// Revocations into the control plane, its start, and a new edge (15 minutes)
    Ingest(ingest::Ingest),
    /// From a revocation's acceptance to one real Envoy and to many simulated edges (10 minutes)
    Propagate(propagate::Propagate),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    note!("{}", system::machine());
    let cores = Cores::of_this_process()?;
    if matches!(cli.bench, Bench::Edge(_)) {
        cores.stay_away()?;
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let mut report = Report::default();
    let measured = runtime.block_on(async {
        let bench = async {
            match cli.bench {
                Bench::Edge(edge) => edge.run(&cores, &mut report).await,
                Bench::Set(set) => set.run(&mut report).await,
                Bench::Ingest(ingest) => ingest.run(&mut report).await,
                Bench::Propagate(propagate) => propagate.run(&mut report).await,
            }
        };
        // Whatever was started ends with what is dropped here; children do not get the terminal's Ctrl-C.
        tokio::select! {
            outcome = bench => outcome,
            stopped = stopped() => stopped.and_then(|()| bail!("stopped")),
        }
    });
    // What was measured before something failed is not lost.
    print!("{}", report.table());
    if let Some(path) = &cli.json {
        report.write(path)?;
    }
    measured
}

/// Waits for Ctrl-C or SIGTERM.
async fn stopped() -> Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done?,
        _ = term.recv() => {}
    }
    Ok(())
}
