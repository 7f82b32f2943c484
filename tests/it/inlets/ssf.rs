//! Shared Signals: security events that are pushed, and that are polled.

mod events;
mod rules;
mod support;
