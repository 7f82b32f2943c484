//! `examples/oidc-provider` until Ctrl-C: `cargo xtask example oidc-provider`.

#![allow(clippy::print_stdout, reason = "it says what to try")]

use anyhow::{Context as _, Result};
use portcullis_testbed::{OidcProviderExample, paths};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    // Whatever ends first: everything that runs is dropped, and so killed, before the process ends.
    tokio::select! {
        never = run() => never,
        interrupt = tokio::signal::ctrl_c() => interrupt.context("cannot listen for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}

async fn run() -> Result<()> {
    let portcullis = paths::control_plane()?;
    let example = OidcProviderExample::start(&portcullis).await?;
    let (issuer, envoy) = (example.issuer(), example.envoy.address());
    let (url, key) = (example.control_plane.url(), example.control_plane.admin_key());
    println!(
        "
1. Log in, with any name and password, and copy the access token that is shown:
     {issuer}/app
2. Envoy accepts it:
     TOKEN=...
     curl -i http://{envoy}/ -H \"authorization: Bearer $TOKEN\"
3. Log out at the provider:
     {issuer}/session/end
4. Envoy rejects it, with the command of step 2. What Portcullis was told:
     PORTCULLIS_URL={url} PORTCULLIS_KEY={key} {portcullis} events

Everything stays up until Ctrl-C.",
        portcullis = portcullis.display()
    );
    std::future::pending().await
}
