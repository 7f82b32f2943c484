//! The ways in for identity providers' protocols, on a real socket, with really signed messages.

mod algorithms;
mod backchannel_logout;
mod bounds;
mod crash;
mod forgeries;
mod global_token_revocation;
mod issuers;
mod keycloak;
mod keys;
mod limits;
mod scim;
mod ssf;
pub(crate) mod status_list;
mod support;
mod tokens;
mod trial;
mod webhook;
