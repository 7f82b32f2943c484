//! The filter in real Envoy, with the real control plane and real tokens.

mod attack;
mod browser;
mod config;
mod dev;
mod gate;
mod oidc_provider;
mod outage;
mod printed;
pub(crate) mod reload;
mod reports;
mod status_list;
mod streams;
pub(crate) mod support;
mod tls;
pub(crate) mod traps;

pub(crate) use printed::enforces;
pub(crate) use support::workers;
