//! The filter in real Envoy, with the real control plane and real tokens.

mod attack;
mod config;
mod gate;
mod outage;
mod reload;
mod streams;
mod support;
mod traps;
