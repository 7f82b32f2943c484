//! `config`: complete configurations for what stands in front of the services.

use clap::{Args, Subcommand};

use super::Failure;
use super::output::Output;
use super::remote::Remote;

mod envoy;
mod gateway;
mod istio;
mod module;
mod template;

/// Arguments of `config`.
#[derive(Args, Debug)]
pub(super) struct Config {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Print a complete Envoy configuration with jwt_authn, the filter, and this control plane
    ///
    /// What is not given keeps the example's value, marked with "<-".
    Envoy(Box<envoy::Envoy>),
    /// Print a file that `config envoy --tls-dir` refers to: the edge's certificate, or whom it trusts
    EnvoySecret(envoy::Secret),
    /// Print the resources that load the filter into Istio's sidecars, gateways and waypoints
    ///
    /// What is not given is marked with "<-".
    Istio(Box<istio::Istio>),
    /// Print the resources that load the filter into an Envoy Gateway
    ///
    /// What is not given is marked with "<-".
    EnvoyGateway(Box<gateway::Gateway>),
}

impl Config {
    pub(super) fn run(&self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let text = match &self.verb {
            ConfigVerb::Envoy(envoy) => envoy.configuration(remote)?,
            ConfigVerb::EnvoySecret(secret) => secret.configuration(),
            ConfigVerb::Istio(istio) => istio.configuration(remote)?,
            ConfigVerb::EnvoyGateway(gateway) => gateway.configuration(remote)?,
        };
        out.line(text.trim_end())
    }
}
