//! What is tried on core with bytes that nobody chose: one module a target, each with a `run` that panics when
//! something is wrong. libFuzzer calls it through `fuzz_targets/`, and an ordinary test of core includes this
//! file and calls it with every file of `corpus/`.
//!
//! Where something can be right or wrong there is a second, naive answer to compare with; elsewhere it is enough
//! not to panic.

pub mod claims;
pub mod configuration;
pub mod gate;
mod input;
pub mod plane;
pub mod token;
pub mod wire;

/// A target's name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target by the name of its corpus.
pub const TARGETS: [Target; 5] = [
    ("token", token::run),
    ("claims", claims::run),
    ("wire", wire::run),
    ("configuration", configuration::run),
    ("gate", gate::run),
];
