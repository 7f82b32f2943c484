//! The enforced set: key to cut-off, with a digest by which two holders know that they hold the same.

use alloc::vec::Vec;
use core::fmt;
use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::cutoff::Cutoff;
use crate::key::{Key, KeyMap};

/// The new value of one key of the set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Change {
    /// The key.
    pub key: Key,
    /// Its cut-off from now on; `None` when it is no longer revoked.
    pub cutoff: Option<Cutoff>,
}

/// Sum over a set's entries, independent of their order: equal digests mean equal sets, for all purposes but
/// forgery (the transport guards against that).
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Digest(u128);

impl Digest {
    /// From its wire form.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Its wire form.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    fn add(&mut self, key: Key, cutoff: Cutoff) {
        self.0 = self.0.wrapping_add(term(key, cutoff));
    }

    fn subtract(&mut self, key: Key, cutoff: Cutoff) {
        self.0 = self.0.wrapping_sub(term(key, cutoff));
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

fn term(key: Key, cutoff: Cutoff) -> u128 {
    let mut hasher = SipHasher24::new();
    hasher.write(&key.to_bytes());
    match cutoff {
        Cutoff::Always => hasher.write_u8(1),
        Cutoff::At(seconds) => hasher.write(&seconds.to_be_bytes()),
    }
    hasher.finish128().as_u128()
}

/// Tables that the entries are spread over.
const TABLES: usize = 256;
/// Entries that one table may have beyond twice its share: chance does not come near, and a key that somebody
/// has chosen does not make one table grow by much.
const SLACK: usize = 4_096;

/// Key to cut-off: all that an edge holds of the revocations. One entry per key, the strictest.
///
/// Many small tables instead of a large one: memory grows with the entries as they come, in small pieces that
/// the allocator finds a place for, and no request waits for a table of millions to be moved. An entry takes 24
/// bytes and one of its table's own; a table is between 7/16 and 7/8 full.
#[derive(Clone, Debug, Default)]
pub struct RevocationSet {
    // None before the first entry.
    tables: Vec<KeyMap<Key, Packed>>,
    len: usize,
    digest: Digest,
}

/// A cut-off in one word: the greatest number stands for every token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Packed(u64);

impl From<Cutoff> for Packed {
    fn from(cutoff: Cutoff) -> Self {
        match cutoff {
            Cutoff::Always => Self(u64::MAX),
            Cutoff::At(seconds) => Self(seconds.min(u64::MAX - 1)),
        }
    }
}

impl From<Packed> for Cutoff {
    fn from(packed: Packed) -> Self {
        if packed.0 == u64::MAX { Self::Always } else { Self::At(packed.0) }
    }
}

impl RevocationSet {
    /// The cut-off of a key, `None` when it is not revoked.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Cutoff> {
        self.tables.get(usize::from(key.byte()))?.get(&key).map(|packed| Cutoff::from(*packed))
    }

    /// Gives a key its new value; returns the change that takes it back.
    pub fn apply(&mut self, change: Change) -> Change {
        let before = match change.cutoff.map(Packed::from) {
            Some(packed) => self.insert(change.key, packed),
            None => self.remove(change.key),
        };
        Change { key: change.key, cutoff: before.map(Cutoff::from) }
    }

    fn insert(&mut self, key: Key, packed: Packed) -> Option<Packed> {
        if self.tables.is_empty() {
            self.tables.resize_with(TABLES, KeyMap::default);
        }
        let table = self.tables.get_mut(usize::from(key.byte()))?;
        let before = table.insert(key, packed);
        self.digest.add(key, packed.into());
        match before {
            Some(before) => self.digest.subtract(key, before.into()),
            None => self.len += 1,
        }
        before
    }

    fn remove(&mut self, key: Key) -> Option<Packed> {
        let before = self.tables.get_mut(usize::from(key.byte()))?.remove(&key)?;
        self.digest.subtract(key, before.into());
        self.len -= 1;
        Some(before)
    }

    /// Whether the keys are spread as hashes are: no table has more than twice its share and a few.
    #[must_use]
    pub fn is_spread(&self) -> bool {
        let bound = (self.len / TABLES).saturating_mul(2).saturating_add(SLACK);
        self.tables.iter().all(|table| table.len() <= bound)
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The digest of all entries.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, Cutoff)> {
        self.tables.iter().flatten().map(|(key, packed)| (*key, Cutoff::from(*packed)))
    }
}

impl PartialEq for RevocationSet {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().all(|(key, cutoff)| other.get(key) == Some(cutoff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        Key::from_bytes([n; 16])
    }

    #[test]
    fn the_digest_depends_on_the_entries_alone() {
        let mut one = RevocationSet::default();
        let mut two = RevocationSet::default();
        one.apply(Change { key: key(1), cutoff: Some(Cutoff::Always) });
        one.apply(Change { key: key(2), cutoff: Some(Cutoff::At(5)) });
        two.apply(Change { key: key(3), cutoff: Some(Cutoff::At(9)) });
        two.apply(Change { key: key(2), cutoff: Some(Cutoff::Always) });
        two.apply(Change { key: key(2), cutoff: Some(Cutoff::At(5)) });
        two.apply(Change { key: key(1), cutoff: Some(Cutoff::Always) });
        assert_ne!(one.digest(), two.digest());
        two.apply(Change { key: key(3), cutoff: None });
        let undo = two.apply(Change { key: key(2), cutoff: None });
        assert_eq!(undo, Change { key: key(2), cutoff: Some(Cutoff::At(5)) });
        two.apply(undo);
        assert_eq!((one.digest(), &one), (two.digest(), &two));
    }

    #[test]
    fn an_entry_takes_24_bytes() {
        assert_eq!(size_of::<(Key, Packed)>(), 24);
        for cutoff in [Cutoff::Always, Cutoff::At(0), Cutoff::At(u64::MAX - 1)] {
            assert_eq!(Cutoff::from(Packed::from(cutoff)), cutoff);
        }
    }

    #[test]
    fn a_cutoff_is_part_of_the_digest() {
        let digest = |cutoff| {
            let mut set = RevocationSet::default();
            set.apply(Change { key: key(1), cutoff: Some(cutoff) });
            set.digest()
        };
        assert_ne!(digest(Cutoff::At(1)), digest(Cutoff::At(2)));
        assert_ne!(digest(Cutoff::Always), digest(Cutoff::At(u64::MAX)));
        assert_ne!(digest(Cutoff::Always), Digest::default());
    }

    #[test]
    fn keys_that_somebody_has_chosen_are_not_spread() {
        let numbered = |n: u64, first: u8| {
            let mut bytes = [first; 16];
            bytes[8..].copy_from_slice(&n.to_be_bytes());
            Change { key: Key::from_bytes(bytes), cutoff: Some(Cutoff::Always) }
        };
        let mut set = RevocationSet::default();
        (0..SLACK as u64).for_each(|n| assert_eq!(set.apply(numbered(n, 7)).cutoff, None));
        assert!(set.is_spread());
        for n in 0..SLACK as u64 {
            set.apply(numbered(n, u8::try_from(n % 256).unwrap()));
        }
        assert!(set.is_spread());
        for n in 0..2 * SLACK as u64 {
            set.apply(numbered(n, 7));
        }
        assert!(!set.is_spread());
        assert_eq!(set.iter().count(), set.len());
    }
}
