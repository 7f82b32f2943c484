//! One binary for all integration tests: the real control plane, command line, filter and Envoy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::string_slice,
    reason = "a test that cannot go on fails, helpers included"
)]

mod api;
mod attacks;
mod cli;
mod codegen;
mod conformance;
mod crash;
mod deploy;
mod docs;
mod doctor;
mod envoy;
mod feed;
mod filter;
mod fuzz;
mod image;
mod inlets;
mod mesh;
mod serve;
mod support;
mod upgrade;
