//! Saying the same thing once in a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The same is not said again within this time: who is refused tries again and again.
const QUIET: Duration = Duration::from_secs(10);
/// Most addresses that are remembered.
const MAX_PEERS: usize = 1_024;

/// Which reasons have been logged of which addresses.
#[derive(Debug)]
pub(crate) struct Quiet<R> {
    logged: Mutex<HashMap<(Option<IpAddr>, R), Instant>>,
}

impl<R> Default for Quiet<R> {
    fn default() -> Self {
        Self { logged: Mutex::default() }
    }
}

impl<R: Copy + Eq + Hash> Quiet<R> {
    /// Whether a reason is to be logged of an address now.
    pub(crate) fn is_due(&self, peer: Option<IpAddr>, reason: R, now: Instant) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |at: &Instant| now.duration_since(*at) < QUIET;
        if logged.get(&(peer, reason)).is_some_and(quiet) {
            return false;
        }
        if logged.len() >= MAX_PEERS {
            logged.retain(|_, at| quiet(at));
        }
        // So many addresses at a time are not worth a line each.
        let due = logged.len() < MAX_PEERS;
        if due {
            logged.insert((peer, reason), now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_logged_once_in_a_while() {
        let quiet = Quiet::default();
        let (start, one, two) = (Instant::now(), Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        assert!(quiet.is_due(one, "unknown", start));
        assert!(!quiet.is_due(one, "unknown", start + QUIET / 2));
        assert!(quiet.is_due(one, "missing", start));
        assert!(quiet.is_due(two, "unknown", start));
        assert!(quiet.is_due(one, "unknown", start + QUIET));
    }

    #[test]
    fn addresses_without_end_are_neither_logged_nor_kept() {
        let quiet = Quiet::default();
        let start = Instant::now();
        let address = |n: usize| Some(u32::try_from(n).unwrap().to_be_bytes().into());
        for n in 0..MAX_PEERS {
            assert!(quiet.is_due(address(n), "unknown", start));
        }
        assert!(!quiet.is_due(address(MAX_PEERS), "unknown", start));
        assert!(quiet.is_due(address(MAX_PEERS), "unknown", start + QUIET));
        assert_eq!(quiet.logged.lock().unwrap().len(), 1);
    }
}
