//! Shared Signals: security events that are pushed, and that are polled.

mod events;
mod manage;
mod poll;
mod rules;
pub(super) mod support;
mod transmitter;
