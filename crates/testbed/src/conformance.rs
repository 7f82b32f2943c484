//! Scenarios of the harness, carried out on a real Envoy.
//!
//! Every scenario gets an Envoy, an upstream and gRPC peers of its own. After each step Envoy is given the time
//! to do everything that the step leads to: a request to a listener without the filter is answered by a worker
//! only after all that came before, and no request is under way between Envoy and its peers by then.

mod body;
mod client;
mod config;
mod fence;
mod gather;
mod grpc;
mod log;
mod play;
mod server;

use std::path::Path;

use anyhow::{Context as _, Result};
use proxy_wasm_harness::scenario::{Outcome, Scenario};

use crate::Envoy;
use play::Play;
use server::Server;

/// Carries a scenario out with this filter, and gives what came of it.
///
/// # Errors
///
/// If Envoy does not start although it should, or a step cannot be carried out.
pub async fn run(scenario: &Scenario, filter: &Path) -> Result<Outcome> {
    run_inner(scenario, filter).await.with_context(|| format!("{} on Envoy", scenario.path))
}

async fn run_inner(scenario: &Scenario, filter: &Path) -> Result<Outcome> {
    let upstream = Server::start().await?;
    let mut peers = Vec::new();
    for name in config::peers(scenario) {
        peers.push((name.to_owned(), Server::start().await?));
    }
    let bootstrap = config::bootstrap(scenario, filter, &upstream, &peers);
    if scenario.expect.refused {
        let log = Envoy::refuse(bootstrap).await?;
        let mut outcome = Outcome::default();
        outcome.refused = true;
        outcome.logs = log::by_thread(&log.text(), &log::Threads::only_main(&log.text()));
        return Ok(outcome);
    }
    let envoy = Envoy::start(bootstrap).await?;
    let mut play = Play::new(scenario, envoy, upstream, peers).await?;
    for (index, step) in scenario.steps.iter().enumerate() {
        play.step(step).await.with_context(|| format!("step {}", index + 1))?;
    }
    play.finish().await
}
