//! The main job on a real Envoy, step by step, each step checked: `cargo xtask demo`.
//!
//! [`stage`] is who takes part, [`steps`] is what happens, [`narrator`] is what is said about it.

mod narrator;
mod play;
mod race;
mod stage;
mod steps;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};

use narrator::Narrator;
use stage::Stage;
use steps::STEPS;

#[tokio::main]
async fn main() -> ExitCode {
    let once = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--once") => true,
        Some(_) => {
            narrator::usage();
            return ExitCode::from(2);
        }
    };
    // Whatever ends first: everything on the stage is dropped, and so killed, before the process ends.
    tokio::select! {
        // First, as it also listens once all is shown: then Ctrl-C is the expected end.
        biased;
        code = run(once) => code,
        Ok(()) = interrupted() => ExitCode::from(130),
    }
}

async fn run(once: bool) -> ExitCode {
    let narrator = Narrator::new();
    let mut stage = match Stage::set(&narrator).await {
        Ok(stage) => stage,
        Err(error) => {
            narrator.failed(&error);
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = play_through(&mut stage, &narrator).await {
        narrator.failed(&error);
        stage.logs(&narrator);
        return ExitCode::FAILURE;
    }
    narrator.all_held();
    if !once {
        if let Err(error) = play::invite(&stage, &narrator) {
            narrator.failed(&error);
            return ExitCode::FAILURE;
        }
        if let Err(error) = interrupted().await {
            narrator.failed(&error);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn play_through(stage: &mut Stage, narrator: &Narrator) -> Result<()> {
    stage.open(narrator).await?;
    for (index, step) in STEPS.iter().enumerate() {
        narrator.step(index + 1, STEPS.len(), step);
        (step.run)(stage, narrator).await?;
    }
    Ok(())
}

/// Ctrl-C, or a polite request to end.
async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt.context("cannot listen for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}
