//! What messages have last said of accounts, and as of when: messages come late and in any order, and an older word about
//! an account must not take back a newer one.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_core::UnixSeconds;

use super::MessageKey;
use crate::clock::UnixMillis;

/// The newest word about each account, as long as an older one may still come.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    newest: BTreeMap<MessageKey, (UnixMillis, UnixSeconds)>,
    expiries: BTreeSet<(UnixSeconds, MessageKey)>,
}

impl Words {
    /// Remembers a word of that time.
    pub(super) fn remember(&mut self, about: MessageKey, at_ms: UnixMillis, until: UnixSeconds) {
        let (mut newest, mut last) = (at_ms, until);
        if let Some((before, until)) = self.newest.get(&about).copied() {
            self.expiries.remove(&(until, about));
            (newest, last) = (newest.max(before), last.max(until));
        }
        self.newest.insert(about, (newest, last));
        self.expiries.insert((last, about));
    }

    /// Forgets those whose time is before `now`.
    pub(super) fn forget(&mut self, now: UnixSeconds) {
        while let Some((until, about)) = self.expiries.first().copied().filter(|(until, _)| *until < now) {
            self.expiries.remove(&(until, about));
            self.newest.remove(&about);
        }
    }

    /// The time of the newest word.
    pub(super) fn newest(&self, about: MessageKey) -> Option<UnixMillis> {
        self.newest.get(&about).map(|(at_ms, _)| *at_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_word_is_remembered_until_no_older_one_can_come() {
        let (alice, bob) = (MessageKey::of("a", "i", "alice"), MessageKey::of("a", "i", "bob"));
        let mut words = Words::default();
        words.remember(alice, 200, 10);
        words.remember(alice, 100, 20);
        words.remember(bob, 50, 12);
        assert_eq!((words.newest(alice), words.newest(bob)), (Some(200), Some(50)));
        words.forget(13);
        assert_eq!((words.newest(alice), words.newest(bob)), (Some(200), None));
        words.forget(21);
        assert_eq!((words.newest.len(), words.expiries.len()), (0, 0));
    }
}
