//! Why an edge may not subscribe: what it is told, and what the operator reads.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;
use tracing::warn;

/// An address is not logged again for the same reason within this time: an edge tries again and again.
const QUIET: Duration = Duration::from_secs(10);
/// Most addresses that are remembered.
const MAX_PEERS: usize = 1_024;

/// Why an edge may not subscribe.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, thiserror::Error)]
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
            Self::Full => "edge.max_subscribers is reached",
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Missing | Refusal::Unknown | Refusal::Deleted => Self::unauthenticated(message),
            Refusal::Scope => Self::permission_denied(message),
            Refusal::Full => Self::resource_exhausted(message),
        }
    }
}

/// Logs refusals, but not every one.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    logged: Mutex<BTreeMap<(Option<IpAddr>, Refusal), Instant>>,
}

impl Refusals {
    pub(super) fn log(&self, peer: Option<SocketAddr>, refusal: Refusal) {
        if self.is_due(peer.map(|peer| peer.ip()), refusal, Instant::now()) {
            let address = peer.map_or("unknown".to_owned(), |peer| peer.to_string());
            warn!(peer = address, reason = refusal.reason(), "an edge was refused: {refusal}");
        }
    }

    fn is_due(&self, peer: Option<IpAddr>, refusal: Refusal, now: Instant) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |at: &Instant| now.duration_since(*at) < QUIET;
        if logged.get(&(peer, refusal)).is_some_and(quiet) {
            return false;
        }
        if logged.len() >= MAX_PEERS {
            logged.retain(|_, at| quiet(at));
        }
        // So many addresses at a time are not worth a line each.
        let due = logged.len() < MAX_PEERS;
        if due {
            logged.insert((peer, refusal), now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_logged_once_in_a_while() {
        let refusals = Refusals::default();
        let (start, one, two) = (Instant::now(), Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        assert!(refusals.is_due(one, Refusal::Unknown, start));
        assert!(!refusals.is_due(one, Refusal::Unknown, start + QUIET / 2));
        assert!(refusals.is_due(one, Refusal::Missing, start));
        assert!(refusals.is_due(two, Refusal::Unknown, start));
        assert!(refusals.is_due(one, Refusal::Unknown, start + QUIET));
    }

    #[test]
    fn addresses_without_end_are_neither_logged_nor_kept() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let address = |n: usize| Some(u32::try_from(n).unwrap().to_be_bytes().into());
        for n in 0..MAX_PEERS {
            assert!(refusals.is_due(address(n), Refusal::Unknown, start));
        }
        assert!(!refusals.is_due(address(MAX_PEERS), Refusal::Unknown, start));
        assert!(refusals.is_due(address(MAX_PEERS), Refusal::Unknown, start + QUIET));
        assert_eq!(refusals.logged.lock().unwrap().len(), 1);
    }
}
