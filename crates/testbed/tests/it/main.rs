//! The peers against each other: Envoy is the real one of `$ENVOY`.

mod client;
mod demo;
mod envoy;
mod example;
mod issuer;
mod process;
mod unit_tests;

use anyhow::Result;
use portcullis_testbed::{Bootstrap, Envoy, Issuer, Upstream};

/// An upstream behind an Envoy.
async fn proxied() -> Result<(Upstream, Envoy)> {
    let upstream = Upstream::start().await?;
    let envoy = Envoy::start(Bootstrap::new().upstream(upstream.address())).await?;
    Ok((upstream, envoy))
}

/// An upstream behind an Envoy that checks the issuer's tokens.
async fn guarded() -> Result<(Upstream, Issuer, Envoy)> {
    let upstream = Upstream::start().await?;
    let issuer = Issuer::start().await?;
    let envoy = Envoy::start(Bootstrap::new().upstream(upstream.address()).issuer(&issuer)).await?;
    Ok((upstream, issuer, envoy))
}
