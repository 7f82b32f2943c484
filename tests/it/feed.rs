//! The push protocol, from the real control plane to a worker that is core's end of it behind a real stream.

mod access;
mod catch_up;
pub(crate) mod edge;
mod reports;
mod slow;
mod stream;
