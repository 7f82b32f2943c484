//! Many changes as one.

use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::set::{Change, RevocationSet};

/// The last value of each key, removals first, so that the set is never larger than before or after.
pub(super) fn settled(changes: &[Change]) -> Vec<Change> {
    let mut latest: Vec<_> =
        changes.iter().enumerate().map(|(at, change)| (change.key, Reverse(at), *change)).collect();
    latest.sort_unstable_by_key(|(key, at, _)| (*key, *at));
    latest.dedup_by_key(|(key, ..)| *key);
    let of = |added: bool| {
        latest.iter().map(|(.., change)| *change).filter(move |change| change.cutoff.is_some() == added)
    };
    of(false).chain(of(true)).collect()
}

/// The set's entries once these changes, one a key, are in it.
pub(super) fn len_after(set: &RevocationSet, changes: &[Change]) -> u64 {
    let (mut len, is_there) = (set.len() as u64, |change: &Change| set.get(change.key).is_some());
    for change in changes {
        match (is_there(change), change.cutoff) {
            (true, None) => len = len.saturating_sub(1),
            (false, Some(_)) => len = len.saturating_add(1),
            _ => {}
        }
    }
    len
}
