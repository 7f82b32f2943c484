//! What identity providers' messages have said lately: which have come, so that none is applied twice, and as of when, so that an
//! older word about an account takes back no newer one.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_core::UnixSeconds;
use sha2::{Digest as _, Sha256};

/// What tells a message from others: inlet, issuer and id, hashed, so that long ids cost no memory.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct MessageKey([u8; 16]);

impl MessageKey {
    /// Of an id of an issuer at an inlet.
    #[must_use]
    pub fn of(inlet: &str, issuer: &str, message_id: &str) -> Self {
        let mut digest = Sha256::new();
        for part in [inlet, issuer, message_id] {
            // With lengths, so that no two triples read alike.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let mut key = [0; 16];
        key.iter_mut().zip(digest.finalize()).for_each(|(key, byte)| *key = byte);
        Self(key)
    }

    /// As it is kept in the log.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// As it is kept in the log.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// A number below `bound`, the same for the same message.
    #[must_use]
    pub fn slot(&self, bound: usize) -> usize {
        usize::from(self.0[0]) % bound.max(1)
    }
}

/// What is remembered by such keys, each until its time: that a message has come, or as of when one has last said
/// something of an account, since messages come late and in any order, and an older word must not take back a newer one.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory<T> {
    kept: BTreeMap<MessageKey, (T, UnixSeconds)>,
    expiries: BTreeSet<(UnixSeconds, MessageKey)>,
}

impl<T: Copy + Ord> Memory<T> {
    /// Remembers one; of two values, and of two times, the later holds.
    pub(super) fn remember(&mut self, key: MessageKey, value: T, until: UnixSeconds) {
        let (mut newest, mut last) = (value, until);
        if let Some((value, until)) = self.kept.get(&key).copied() {
            self.expiries.remove(&(until, key));
            (newest, last) = (newest.max(value), last.max(until));
        }
        self.kept.insert(key, (newest, last));
        self.expiries.insert((last, key));
    }

    /// Forgets those whose time is before `now`.
    pub(super) fn forget(&mut self, now: UnixSeconds) {
        while let Some((until, key)) = self.expiries.first().copied().filter(|(until, _)| *until < now) {
            self.expiries.remove(&(until, key));
            self.kept.remove(&key);
        }
    }

    /// Whether one is remembered at that time.
    pub(super) fn holds(&self, key: MessageKey, now: UnixSeconds) -> bool {
        self.kept.get(&key).is_some_and(|(_, until)| *until >= now)
    }

    /// The newest value.
    pub(super) fn newest(&self, key: MessageKey) -> Option<T> {
        self.kept.get(&key).map(|(value, _)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_remembered_until_its_time() {
        let (one, other) =
            (MessageKey::of("logout", "https://i", "1"), MessageKey::of("logout", "https://i", "2"));
        let mut messages = Memory::default();
        messages.remember(one, (), 10);
        messages.remember(one, (), 20);
        messages.remember(one, (), 15);
        messages.remember(other, (), 12);
        assert!(messages.holds(one, 20) && !messages.holds(one, 21));
        messages.forget(13);
        assert_eq!((messages.kept.len(), messages.expiries.len()), (1, 1));
        messages.forget(21);
        assert_eq!((messages.kept.len(), messages.expiries.len()), (0, 0));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(MessageKey::of("a", "bc", "d"), MessageKey::of("a", "b", "cd"));
        assert_ne!(MessageKey::of("a", "b", "c"), MessageKey::of("ab", "", "c"));
    }

    #[test]
    fn the_newest_word_is_remembered_until_no_older_one_can_come() {
        let (alice, bob) = (MessageKey::of("a", "i", "alice"), MessageKey::of("a", "i", "bob"));
        let mut words = Memory::default();
        words.remember(alice, 200, 10);
        words.remember(alice, 100, 20);
        words.remember(bob, 50, 12);
        assert_eq!((words.newest(alice), words.newest(bob)), (Some(200), Some(50)));
        words.forget(13);
        assert_eq!((words.newest(alice), words.newest(bob)), (Some(200), None));
        words.forget(21);
        assert_eq!((words.kept.len(), words.expiries.len()), (0, 0));
    }
}
