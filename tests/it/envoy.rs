//! The filter in real Envoy, with the real control plane and real tokens.

mod attack;
mod browser;
mod config;
mod gate;
mod oidc_provider;
mod outage;
mod printed;
mod reload;
mod status_list;
mod streams;
mod support;
mod tls;
mod traps;

pub(crate) use printed::enforces;
pub(crate) use support::workers;
