//! Many changes as one.

use alloc::vec::Vec;
use core::hash::BuildHasherDefault;

use crate::key::KeyMap;
use crate::set::{Change, RevocationSet};

/// The last value of each key, removals first, so that the set is never larger than before or after.
pub(super) fn settled(changes: &[Change]) -> Vec<Change> {
    let mut seen = KeyMap::with_capacity_and_hasher(changes.len(), BuildHasherDefault::default());
    let last = changes.iter().rev().filter(|change| seen.insert(change.key, ()).is_none());
    let latest: Vec<Change> = last.copied().collect();
    let of =
        |added: bool| latest.iter().rev().copied().filter(move |change| change.cutoff.is_some() == added);
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
