//! Many changes as one.

use alloc::vec::Vec;

use crate::set::{Change, RevocationSet};

/// The last value of each key, removals first, so that the set is never larger than before or after.
pub(super) fn settled(mut changes: Vec<Change>) -> Vec<Change> {
    changes.reverse();
    changes.sort_by_key(|change| change.key);
    changes.dedup_by_key(|change| change.key);
    changes.sort_by_key(|change| change.cutoff.is_some());
    changes
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
