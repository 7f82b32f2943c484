//! What is tried on the inlets with bytes that nobody chose: one module a target, each with a `run` that panics when
//! something is wrong. libFuzzer calls it through `fuzz_targets/`, and the integration tests include this file and
//! call it with every file of `corpus/`.

pub mod logout_token;
pub mod scim_filter;
pub mod scim_patch;
pub mod set;
pub mod status_list;
mod world;

/// A target's name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target by the name of its corpus.
pub const TARGETS: [Target; 5] = [
    ("set", set::run),
    ("logout_token", logout_token::run),
    ("scim_patch", scim_patch::run),
    ("scim_filter", scim_filter::run),
    ("status_list", status_list::run),
];
