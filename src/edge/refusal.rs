//! Why an edge may not subscribe: what it is told, and what the operator reads.

use std::sync::Arc;

use portcullis_core::wire::PROTOCOL;
use tokio::time::Instant;
use tonic::Status;
use tracing::warn;

use super::hello::Said;
use super::peer::Peer;
use super::refused::Attempt;
use super::service::Context;

/// Why an edge may not subscribe.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    /// No credential.
    #[error(
        "an edge key is needed: create one with `portcullis key create NAME --scope edge` and set control_plane.token"
    )]
    Missing,
    /// Nobody's credential.
    #[error(
        "the edge key is unknown: create one with `portcullis key create NAME --scope edge` and set control_plane.token"
    )]
    Unknown,
    /// A key that was deleted.
    #[error(
        "the edge key was deleted: create another with `portcullis key create NAME --scope edge` and set control_plane.token"
    )]
    Deleted,
    /// A key for something else.
    #[error(
        "the key lacks the scope `edge`: create one with `portcullis key create NAME --scope edge` and set control_plane.token"
    )]
    Scope,
    /// A certificate that the configuration does not name.
    #[error(
        "no name of the edge's certificate is one of edge.identities: add it to the control plane's configuration"
    )]
    Identity,
    /// Another edge's name.
    #[error(
        "the edge's certificate may not be this node: its entry of edge.identities lists others (`nodes`), or Envoy has the wrong node.id"
    )]
    Node,
    /// No place is left.
    #[error("edge.max_subscribers is reached: raise it at the control plane")]
    Full,
    /// A filter that is too old.
    #[error(
        "the filter speaks an older protocol than {PROTOCOL}: load the one that the control plane hands out (GET /filter)"
    )]
    Protocol,
    /// A first message that is no hello, or a hello that makes no sense.
    #[error(
        "the edge's hello is malformed ({0}): load the filter that the control plane hands out (GET /filter)"
    )]
    Hello(&'static str),
    /// No first message in time.
    #[error("no hello has come: what is between must pass on each message of a stream at once")]
    Silent,
}

impl Refusal {
    /// The name of the kind, of which there are few: the metric's label.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Missing => "no_key",
            Self::Unknown => "unknown_key",
            Self::Deleted => "deleted_key",
            Self::Scope => "scope",
            Self::Identity => "certificate",
            Self::Node => "node",
            Self::Full => "full",
            Self::Protocol => "protocol",
            Self::Hello(_) | Self::Silent => "hello",
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "no edge key",
            Self::Unknown => "unknown edge key",
            Self::Deleted => "deleted edge key",
            Self::Scope => "the key lacks the scope edge",
            Self::Identity => "unknown certificate",
            Self::Node => "another edge's node id",
            Self::Full => "edge.max_subscribers is reached",
            Self::Protocol => "an older protocol",
            Self::Hello(_) => "a malformed hello",
            Self::Silent => "no hello",
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Missing | Refusal::Unknown | Refusal::Deleted => Self::unauthenticated(message),
            Refusal::Scope | Refusal::Identity | Refusal::Node => Self::permission_denied(message),
            Refusal::Full => Self::resource_exhausted(message),
            Refusal::Protocol => Self::failed_precondition(message),
            Refusal::Hello(_) => Self::invalid_argument(message),
            Refusal::Silent => Self::deadline_exceeded(message),
        }
    }
}

/// The way in of one peer.
#[derive(Clone, Debug)]
pub(super) struct Door {
    context: Arc<Context>,
    peer: Option<Peer>,
}

impl Door {
    pub(super) const fn new(context: Arc<Context>, peer: Option<Peer>) -> Self {
        Self { context, peer }
    }

    /// What the edge is told; the operator is told as well.
    pub(super) fn refuse(&self, said: Said, refusal: Refusal) -> Status {
        self.note(said, refusal);
        refusal.into()
    }

    /// Counts and remembers a refusal, and logs it, but not every one.
    pub(super) fn note(&self, said: Said, refusal: Refusal) {
        self.context.metrics.edge_refused(refusal.label());
        let address = self.peer.as_ref().and_then(Peer::address);
        let certificate = self.peer.as_ref().and_then(Peer::certificate);
        let ip = address.map(|address| address.ip());
        if self.context.refused.is_news(ip, refusal, Instant::now()) {
            let peer = address.map_or("unknown".to_owned(), |address| address.to_string());
            warn!(
                peer,
                certificate = certificate.map(|certificate| certificate.names.join(", ")),
                node = said.node,
                filter_version = said.filter_version,
                reason = refusal.reason(),
                "an edge was refused: {refusal}"
            );
        }
        let attempt = Attempt { peer: ip, certificate: certificate.cloned(), said, refusal };
        self.context.refused.add(attempt, self.context.clock.now_ms());
    }

    /// A worker of that node has got in.
    pub(super) fn let_in(&self, node: &str) {
        let address = self.peer.as_ref().and_then(Peer::address);
        self.context.refused.let_in(address.map(|address| address.ip()), node);
    }
}
