//! The harness, tested with the filters under `tests/filters` and with modules written as text.
//!
//! What the probe is expected to say is what it says on Envoy 1.40.0.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod audit;
mod bodies;
mod command;
mod conformance;
mod contexts;
mod docs;
mod examples;
mod failures;
mod faults;
mod foreign;
mod grpc;
mod grpc_calls;
mod headers;
mod hello;
mod hosting;
mod http_calls;
mod limits;
mod modules;
mod network;
mod peers;
mod plugins;
mod probe;
mod properties;
mod queues;
mod replies;
mod versions;
mod wasi;
