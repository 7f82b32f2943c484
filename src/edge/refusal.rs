//! Why an edge may not subscribe: what it is told, and what the operator reads.

use tokio::time::Instant;
use tonic::Status;
use tracing::warn;

use super::peer::Peer;
use crate::quiet::Quiet;

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
}

impl Refusal {
    const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "no edge key",
            Self::Unknown => "unknown edge key",
            Self::Deleted => "deleted edge key",
            Self::Scope => "the key lacks the scope edge",
            Self::Identity => "unknown certificate",
            Self::Node => "another edge's node id",
            Self::Full => "edge.max_subscribers is reached",
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
        }
    }
}

/// Logs refusals, but not every one.
#[derive(Debug, Default)]
pub(super) struct Refusals(Quiet<Refusal>);

impl Refusals {
    /// Of a peer, and of the node that it says it is.
    pub(super) fn log(&self, peer: Option<&Peer>, node: Option<&str>, refusal: Refusal) {
        let address = peer.and_then(Peer::address);
        if self.0.is_due(address.map(|address| address.ip()), refusal, Instant::now()) {
            let certificate =
                peer.and_then(Peer::certificate).map(|certificate| certificate.names.join(", "));
            let address = address.map_or("unknown".to_owned(), |address| address.to_string());
            warn!(
                peer = address,
                certificate,
                node,
                reason = refusal.reason(),
                "an edge was refused: {refusal}"
            );
        }
    }
}
