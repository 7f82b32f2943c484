//! The command line as people and scripts use it: what it prints, and how it exits.

mod check;
mod failures;
mod generated;
pub(crate) mod https;
mod import;
mod keys;
mod list;
mod revoke;
