//! The ways in for identity providers' protocols, on a real socket, with really signed messages.

mod backchannel_logout;
mod bounds;
mod crash;
mod keys;
mod support;
mod trial;
