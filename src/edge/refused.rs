//! Edges that were refused lately.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::hello::Said;
use super::refusal::Refusal;
use crate::clock::UnixMillis;
use crate::quiet::Quiet;
use crate::tls::Certificate;

/// Refusals that are remembered, by address, node and kind; beyond it the one that was last seen longest ago is
/// forgotten.
const MAX_REFUSED: usize = 64;
/// Names of a certificate that are shown.
const MAX_NAMES: usize = 8;

/// An edge that was refused, and has not got in since.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefusedEdge {
    /// Where it came from, as far as the system knows it.
    pub peer: Option<IpAddr>,
    /// What it calls itself, if it has come to say so.
    pub node: Option<String>,
    /// Its filter, likewise.
    pub filter_version: Option<String>,
    /// Names of the certificate that it has shown, the first few.
    pub certificate: Vec<String>,
    /// The kind of refusal: the label of the metric.
    pub reason: &'static str,
    /// What it was told: why, and what to do.
    pub message: String,
    /// How often.
    pub count: u64,
    /// When it was first refused.
    pub first_ms: UnixMillis,
    /// When it was last refused.
    pub last_ms: UnixMillis,
}

/// One that was refused just now.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) peer: Option<IpAddr>,
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) said: Said,
    pub(super) refusal: Refusal,
}

/// The edges that were refused lately and have not got in since.
#[derive(Debug, Default)]
pub struct Refused {
    logged: Quiet<Refusal>,
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    attempt: Attempt,
    count: u64,
    first_ms: UnixMillis,
    last_ms: UnixMillis,
}

impl Attempt {
    fn is_again(&self, other: &Self) -> bool {
        self.peer == other.peer
            && self.said.node == other.said.node
            && self.refusal.label() == other.refusal.label()
    }
}

impl Refused {
    /// Whether a refusal is to be logged of an address now.
    pub(super) fn is_news(&self, peer: Option<IpAddr>, refusal: Refusal, now: Instant) -> bool {
        self.logged.is_due(peer, refusal, now)
    }

    /// Remembers a refusal.
    pub(super) fn add(&self, attempt: Attempt, now_ms: UnixMillis) {
        let mut entries = self.lock();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.attempt.is_again(&attempt)) {
            entry.attempt = attempt;
            entry.count = entry.count.saturating_add(1);
            entry.last_ms = now_ms;
            return;
        }
        if entries.len() >= MAX_REFUSED {
            let oldest = entries.iter().enumerate().min_by_key(|(_, entry)| entry.last_ms);
            if let Some(index) = oldest.map(|(index, _)| index) {
                entries.remove(index);
            }
        }
        entries.push(Entry { attempt, count: 1, first_ms: now_ms, last_ms: now_ms });
    }

    /// A worker of that node has got in from there: what was wrong with the node is mended, and with that address, if
    /// the edge was refused before it could say its node. Where others come from the same address, the next attempt of
    /// one that is still refused brings it back.
    pub(super) fn let_in(&self, peer: Option<IpAddr>, node: &str) {
        self.lock().retain(|Entry { attempt, .. }| match &attempt.said.node {
            Some(refused) => refused != node,
            None => attempt.peer != peer,
        });
    }

    /// All of them, the one that was refused last first.
    #[must_use]
    pub fn list(&self) -> Vec<RefusedEdge> {
        let entries = self.lock();
        let mut list: Vec<RefusedEdge> = entries.iter().map(RefusedEdge::from).collect();
        drop(entries);
        list.sort_by_key(|edge| std::cmp::Reverse(edge.last_ms));
        list
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&Entry> for RefusedEdge {
    fn from(entry: &Entry) -> Self {
        let Attempt { peer, certificate, said, refusal } = &entry.attempt;
        let names = certificate.iter().flat_map(|certificate| &certificate.names);
        Self {
            peer: *peer,
            node: said.node.clone(),
            filter_version: said.filter_version.clone(),
            certificate: names.take(MAX_NAMES).cloned().collect(),
            reason: refusal.label(),
            message: refusal.to_string(),
            count: entry.count,
            first_ms: entry.first_ms,
            last_ms: entry.last_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(peer: u8, node: Option<&str>, refusal: Refusal) -> Attempt {
        let said = Said { node: node.map(str::to_owned), filter_version: None };
        Attempt { peer: Some([10, 0, 0, peer].into()), certificate: None, said, refusal }
    }

    fn seen(refused: &Refused) -> Vec<(Option<String>, &'static str, u64)> {
        refused.list().into_iter().map(|edge| (edge.node, edge.reason, edge.count)).collect()
    }

    #[test]
    fn the_same_edge_is_one_entry_with_its_first_and_last_time() {
        let refused = Refused::default();
        refused.add(attempt(1, Some("a"), Refusal::Hello("one")), 10);
        refused.add(attempt(1, Some("b"), Refusal::Node), 15);
        refused.add(attempt(1, Some("a"), Refusal::Hello("another")), 20);
        let list = refused.list();
        assert_eq!(seen(&refused), [(Some("a".into()), "hello", 2), (Some("b".into()), "node", 1)]);
        assert_eq!((list[0].first_ms, list[0].last_ms), (10, 20));
        assert!(list[0].message.contains("another"), "{}", list[0].message);
        refused.add(attempt(2, Some("a"), Refusal::Protocol), 30);
        assert_eq!(refused.list().len(), 3);
    }

    #[test]
    fn one_that_gets_in_is_forgotten_and_others_are_not() {
        let refused = Refused::default();
        let address = |peer: u8| Some(IpAddr::from([10, 0, 0, peer]));
        refused.add(attempt(1, None, Refusal::Unknown), 10);
        refused.add(attempt(2, None, Refusal::Missing), 20);
        refused.add(attempt(1, Some("a"), Refusal::Node), 30);
        refused.add(attempt(1, Some("b"), Refusal::Node), 40);
        refused.let_in(address(3), "c");
        assert_eq!(refused.list().len(), 4);
        // It may come from elsewhere than before.
        refused.let_in(address(1), "a");
        assert_eq!(seen(&refused), [(Some("b".into()), "node", 1), (None, "no_key", 1)]);
        refused.let_in(address(3), "b");
        refused.let_in(address(2), "");
        assert_eq!(refused.list(), []);
    }

    #[test]
    fn edges_without_end_push_the_oldest_out() {
        let refused = Refused::default();
        let node = |n: usize| format!("n{n}");
        for n in 0..MAX_REFUSED {
            refused.add(attempt(1, Some(&node(n)), Refusal::Node), n as UnixMillis);
        }
        // The first is seen again, so the second is the oldest.
        refused.add(attempt(1, Some(&node(0)), Refusal::Node), 1_000);
        refused.add(attempt(1, Some("last"), Refusal::Node), 2_000);
        let list = refused.list();
        let nodes: Vec<&str> = list.iter().filter_map(|edge| edge.node.as_deref()).collect();
        assert_eq!((nodes.len(), nodes[0], nodes[1]), (MAX_REFUSED, "last", "n0"));
        assert!(!nodes.contains(&"n1") && nodes.contains(&"n2"), "{nodes:?}");
    }
}
