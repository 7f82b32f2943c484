//! The ways in for identity providers' protocols: one file each.
//!
//! The path of one message: `serve` bounds it (address, rate, size, time), the protocol's [`Protocol::read`]
//! verifies and understands it or says which check refuses it, [`Control::receive`] makes it durable together
//! with what it causes, and the protocol answers in its own words. `POST /v1/inlets/{inlet}/try` takes the same
//! path and stops before the log.
//!
//! A new protocol is a file here that implements [`Protocol`] and has a handler with its OpenAPI part, a line in
//! [`PROTOCOLS`] and one in `routes`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRef;
use axum::http::HeaderMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

mod backchannel_logout;
mod cause;
mod credential;
mod form;
mod global_token_revocation;
mod inbound;
mod introspect;
mod keycloak;
mod limits;
mod oauth;
mod pause;
mod protocol;
mod revoke;
pub mod scim;
mod serve;
pub(crate) mod ssf;
pub mod status_list;
mod subject;
mod webhook;

pub use cause::{Cause, Refused, Scheme};
pub use inbound::{Inbound, Peer};
pub(crate) use oauth::OauthError;
pub use protocol::{Protocol, Reading};
pub(crate) use serve::answer;

use crate::config;
use crate::control::Control;
use crate::issuers::Directory;
use limits::Limits;

/// What every inlet works with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inlets {
    control: Control,
    limits: Arc<Limits>,
    settings: Arc<config::Inlets>,
    streams: Arc<ssf::Streams>,
    lists: Arc<status_list::Lists>,
}

/// Every protocol whose messages can be tried.
pub static PROTOCOLS: [&dyn Protocol; 8] = [
    &backchannel_logout::BackchannelLogout,
    &global_token_revocation::GlobalTokenRevocation,
    &revoke::Revoke,
    &keycloak::Keycloak,
    &ssf::Ssf,
    &webhook::Webhook,
    &scim::Scim,
    &status_list::StatusList,
];

/// The protocol of that name, and the path of its messages. `webhook:NAME` stands for one of several ways in that
/// speak the same.
#[must_use]
pub fn protocol(name: &str) -> Option<(&'static dyn Protocol, String)> {
    let (name, rest) = name.split_once(':').unwrap_or((name, ""));
    let protocol = PROTOCOLS.into_iter().find(|protocol| protocol.name() == name)?;
    Some((protocol, format!("{}{rest}", protocol.path())))
}

/// The routes of all inlets, with their part of the OpenAPI document.
pub(crate) fn routes() -> OpenApiRouter<Inlets> {
    OpenApiRouter::new()
        .routes(routes!(backchannel_logout::receive))
        .routes(routes!(global_token_revocation::receive))
        .routes(routes!(revoke::receive))
        .routes(routes!(introspect::receive))
        .routes(routes!(keycloak::receive))
        .routes(routes!(keycloak::receive_realm))
        .routes(routes!(ssf::receive))
        .routes(routes!(webhook::receive))
        .merge(scim::routes::all())
}

impl Inlets {
    /// The inlets of a control plane.
    #[must_use]
    pub fn new(
        control: Control,
        settings: &config::Inlets,
        streams: &[config::Stream],
        lists: &[config::StatusList],
    ) -> Self {
        let limits = Limits::new(settings.requests_per_minute, settings.trusted_proxies.clone());
        Self {
            control,
            limits: Arc::new(limits),
            settings: Arc::new(settings.clone()),
            streams: Arc::new(ssf::Streams::new(streams)),
            lists: Arc::new(status_list::Lists::new(lists)),
        }
    }

    /// The streams of security events.
    pub(crate) fn streams(&self) -> &ssf::Streams {
        &self.streams
    }

    /// The status lists, each with what went wrong last.
    pub(crate) fn status_lists(&self) -> impl Iterator<Item = status_list::ListHealth> {
        self.lists.health()
    }

    /// The front door.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The issuers with their keys.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        self.control.directory()
    }

    /// Who calls: the peer of a connection, or whom a trusted proxy names.
    pub(crate) fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.limits.address(peer, headers)
    }

    /// The address at which others reach a path of this control plane; `None` without `inlets.public_url`.
    #[must_use]
    pub fn public_url(&self, path: &str) -> Option<String> {
        self.settings.public_url.as_ref().map(|url| format!("{url}{path}"))
    }
}

impl FromRef<Inlets> for Control {
    fn from_ref(inlets: &Inlets) -> Self {
        inlets.control.clone()
    }
}
