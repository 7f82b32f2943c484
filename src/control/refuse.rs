//! Messages that were refused, in the audit trail: the first ones of an address one by one, the others counted,
//! so that nobody fills the disk with garbage and nothing is dropped silently.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tracing::warn;

use super::receive::{kept_id, printable};
use super::{Control, wire};
use crate::auth::Actor;
use crate::clock::UnixMillis;

/// How long refusals are counted together.
const WINDOW_MS: UnixMillis = 60_000;
/// Refusals of one address at one inlet that are written down one by one in a window.
const EACH: u64 = 10;
/// Of all addresses together.
const TOGETHER: u64 = 100;
/// Addresses that are told apart in a window; the others count as one.
const MAX_PEERS: usize = 256;

/// A message that an inlet has refused.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RefusedMessage {
    /// The inlet's name.
    pub inlet: &'static str,
    /// The configured issuer that it claims to speak for; empty where there is none.
    pub issuer: String,
    /// What tells it from other messages; empty where nothing does.
    pub message_id: String,
    /// The address that it came from.
    pub peer: String,
    /// What it says; empty where that was not understood.
    pub signal: String,
    /// A code for why.
    pub code: &'static str,
    /// Why, in words.
    pub detail: String,
}

/// What was refused lately.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    began_ms: UnixMillis,
    recorded: u64,
    /// By inlet and address: how many, and the last that was not written down.
    peers: BTreeMap<(&'static str, String), Count>,
}

#[derive(Debug, Default)]
struct Count {
    recorded: u64,
    left_out: u64,
    last: RefusedMessage,
}

impl Refusals {
    /// Whether this one is to be written down by itself; else it is counted.
    fn admits(&self, message: &RefusedMessage, now_ms: UnixMillis) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.peers.is_empty() {
            *window = Window { began_ms: now_ms, ..Window::default() };
        }
        let mut peer = (message.inlet, message.peer.clone());
        if !window.peers.contains_key(&peer) && window.peers.len() >= MAX_PEERS {
            peer.1.clear();
        }
        let room = window.recorded < TOGETHER;
        let count = window.peers.entry(peer).or_default();
        let admitted = room && count.recorded < EACH;
        if admitted {
            count.recorded += 1;
            window.recorded += 1;
        } else {
            count.left_out += 1;
            count.last = message.clone();
        }
        admitted
    }

    /// What was only counted in a window that is over, or in any with `now`.
    fn over(&self, now_ms: UnixMillis, now: bool) -> Vec<wire::Received> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !now && now_ms.saturating_sub(window.began_ms) < WINDOW_MS {
            return Vec::new();
        }
        let peers = std::mem::take(&mut window.peers).into_iter();
        let counted = peers.filter(|(_, count)| count.left_out > 0);
        counted
            .map(|((inlet, peer), count)| wire::Received {
                inlet: inlet.into(),
                peer,
                refusal: count.last.code.into(),
                detail: format!("{} more were refused; the last one: {}", count.left_out, count.last.detail),
                count: count.left_out,
                ..wire::Received::default()
            })
            .collect()
    }
}

impl Control {
    /// Puts a refused message in the audit trail, or counts it there when there are many.
    pub async fn refuse(&self, message: RefusedMessage) {
        let message = RefusedMessage {
            message_id: kept_id(&message.message_id),
            signal: printable(&message.signal, 256),
            detail: printable(&message.detail, 512),
            ..message
        };
        if !self.inner.refusals.admits(&message, self.now_ms()) {
            return;
        }
        let actor = Actor { key_id: String::new(), name: message.issuer.clone(), via: message.inlet.into() };
        let RefusedMessage { inlet, issuer, message_id, peer, signal, code, detail } = message;
        let received = wire::Received {
            inlet: inlet.into(),
            issuer,
            message_id,
            peer,
            signal,
            refusal: code.into(),
            detail,
            ..wire::Received::default()
        };
        if let Err(error) = self.record(received, actor).await {
            warn!(%error, "a refused message is not in the audit trail");
        }
    }

    /// Writes down what was only counted, when its time is over, or with `now`.
    pub(super) async fn settle_refusals(&self, now: bool) {
        for received in self.inner.refusals.over(self.now_ms(), now) {
            let actor = Actor { via: received.inlet.clone(), ..Actor::default() };
            if let Err(error) = self.record(received, actor).await {
                warn!(%error, "refused messages are not in the audit trail");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(peer: usize) -> RefusedMessage {
        RefusedMessage {
            inlet: "logout",
            peer: peer.to_string(),
            code: "jwt_malformed",
            ..Default::default()
        }
    }

    #[test]
    fn the_first_of_an_address_are_written_down_and_the_rest_are_counted() {
        let refusals = Refusals::default();
        let admitted = (0..25).filter(|_| refusals.admits(&message(1), 0)).count();
        assert_eq!(admitted, 10);
        assert!(refusals.admits(&message(2), 1));
        assert!(refusals.over(WINDOW_MS - 1, false).is_empty());
        let over = refusals.over(WINDOW_MS, false);
        assert_eq!(
            over.iter().map(|received| (received.peer.as_str(), received.count)).collect::<Vec<_>>(),
            [("1", 15)]
        );
        assert!(refusals.over(WINDOW_MS * 9, false).is_empty());
    }

    #[test]
    fn many_addresses_are_bounded_too() {
        let refusals = Refusals::default();
        let admitted = (0..10_000).filter(|peer| refusals.admits(&message(*peer), 0)).count();
        assert_eq!(admitted, 100);
        let over = refusals.over(0, true);
        assert!(over.len() <= MAX_PEERS + 1);
        assert_eq!(over.iter().map(|received| received.count).sum::<u64>(), 9_900);
    }
}
