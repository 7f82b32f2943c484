//! Token status lists: what an issuer publishes of its tokens is in force.

mod lifecycle;
mod rules;
pub(crate) mod support;
