//! The enforced set: key to cut-off, with a digest by which two holders know that they hold the same.
//!
//! Ten million entries must fit a worker next to its other work, so an entry is as short as exactness allows. The
//! first 12 bits of a key choose one of 4,096 pages; the page stores the other 72, sorted. Entries with a cut-off
//! have pages of their own. A snapshot is the pages as they are.

use alloc::vec::Vec;
use core::fmt;
use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::cutoff::Cutoff;
use crate::key::{Key, REST_BYTES, Rest};

mod pages;

use pages::{Entry as _, Pages, Timed};

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

// One more hash, so that keys which add up to what others do are not taken for them; a fast one, since a snapshot
// has millions.
fn term(key: Key, cutoff: Cutoff) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(&key.to_bytes());
    match cutoff {
        Cutoff::Always => hasher.write_u8(1),
        Cutoff::At(seconds) => hasher.write(&seconds.to_le_bytes()),
    }
    hasher.finish128().as_u128()
}

/// Entries that one page may have beyond twice its share: chance does not come near, and keys that somebody has
/// chosen do not make one page so long that an insertion is felt.
const SLACK: usize = 4_096;

/// Most entries of one page of a set with that many entries.
pub(crate) const fn most_in_page(entries: usize) -> usize {
    (entries / PAGES as usize).saturating_mul(2).saturating_add(SLACK)
}

/// Key to cut-off: all that an edge holds of the revocations. One entry per key, the strictest.
///
/// An entry takes 9 bytes, 17 with a cut-off, and the sixteenth that a page may have to spare.
#[derive(Clone, Debug, Default)]
pub struct RevocationSet {
    // A key is in one of them.
    always: Pages<Rest>,
    timed: Pages<Timed>,
    digest: Digest,
}

/// Entries that cannot be what comes next of a sorted set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OutOfOrder;

/// The entries of one page, as they are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Page<'a> {
    /// Which one.
    pub number: u16,
    /// Keys without a cut-off, less what the page's number says of them; ascending.
    pub always: &'a [[u8; ALWAYS_BYTES]],
    /// The same with a cut-off after each, in little-endian seconds.
    pub timed: &'a [[u8; TIMED_BYTES]],
}

/// The pages that keys are spread over.
pub const PAGES: u16 = pages::PAGES;
/// Bytes of an entry without a cut-off.
pub const ALWAYS_BYTES: usize = REST_BYTES;
/// Bytes of an entry with a cut-off.
pub const TIMED_BYTES: usize = REST_BYTES + 8;

impl RevocationSet {
    /// The cut-off of a key, `None` when it is not revoked.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Cutoff> {
        if self.always.get(key).is_some() {
            return Some(Cutoff::Always);
        }
        self.timed.get(key).copied().map(Timed::cutoff)
    }

    /// Gives a key its new value; returns the change that takes it back.
    pub fn apply(&mut self, change: Change) -> Change {
        let Change { key, cutoff } = change;
        // Where it is put finds what was there, so that a new entry, as most changes are, is one search.
        let before = match cutoff {
            Some(Cutoff::Always) => match self.always.insert(key.page(), key.rest()) {
                Some(_) => Some(Cutoff::Always),
                None => self.timed.remove(key).map(Timed::cutoff),
            },
            Some(Cutoff::At(seconds)) => match self.timed.insert(key.page(), Timed::new(key, seconds)) {
                Some(timed) => Some(timed.cutoff()),
                None => self.always.remove(key).map(|_| Cutoff::Always),
            },
            None => self.remove(key),
        };
        if let Some(before) = before {
            self.digest.subtract(key, before);
        }
        if let Some(cutoff) = cutoff {
            self.digest.add(key, cutoff);
        }
        Change { key, cutoff: before }
    }

    fn remove(&mut self, key: Key) -> Option<Cutoff> {
        match self.always.remove(key) {
            Some(_) => Some(Cutoff::Always),
            None => self.timed.remove(key).map(Timed::cutoff),
        }
    }

    /// Takes a page of another set over: the way in which a snapshot comes, without a search for each entry.
    ///
    /// # Errors
    /// When there is no such page, it has entries already, they do not ascend, or a key comes twice. What the
    /// page has then is not defined.
    pub fn fill(&mut self, page: Page<'_>) -> Result<(), OutOfOrder> {
        let always = page.always.iter().map(|bytes| Rest::from_bytes(*bytes));
        let timed = page.timed.iter().map(Timed::from_bytes);
        if !self.always.fill(page.number, always) || !self.timed.fill(page.number, timed) {
            return Err(OutOfOrder);
        }
        let mut digest = self.digest;
        for rest in self.always.page(page.number) {
            digest.add(Key::new(page.number, *rest), Cutoff::Always);
        }
        for entry in self.timed.page(page.number) {
            let key = Key::new(page.number, entry.rest());
            if self.always.get(key).is_some() {
                return Err(OutOfOrder);
            }
            digest.add(key, Cutoff::At(entry.seconds()));
        }
        self.digest = digest;
        Ok(())
    }

    /// Adds a page's entries to those that are sent, and says how many there are without and with a cut-off.
    pub fn write_page(&self, number: u16, always: &mut Vec<u8>, timed: &mut Vec<u8>) -> (usize, usize) {
        let (without, with) = (self.always.page(number), self.timed.page(number));
        always.extend(without.iter().flat_map(|rest| rest.to_bytes()));
        timed.extend(with.iter().flat_map(|entry| entry.to_bytes()));
        (without.len(), with.len())
    }

    /// Whether the keys around this one are spread as hashes are: its page has no more than twice its share and a
    /// few.
    #[must_use]
    pub fn is_spread_at(&self, key: Key) -> bool {
        let (always, timed) = (self.always.page(key.page()), self.timed.page(key.page()));
        always.len().saturating_add(timed.len()) <= most_in_page(self.len())
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.always.len().saturating_add(self.timed.len())
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The digest of all entries.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, Cutoff)> {
        let always = self.always.iter().map(|(page, rest)| (Key::new(page, *rest), Cutoff::Always));
        let timed = self.timed.iter();
        always.chain(timed.map(|(page, entry)| (Key::new(page, entry.rest()), Cutoff::At(entry.seconds()))))
    }
}

impl PartialEq for RevocationSet {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, cutoff)| other.get(key) == Some(cutoff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        Key::from_bytes([n; 11])
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
    fn an_entry_takes_9_bytes_and_17_with_a_cutoff() {
        assert_eq!((size_of::<Rest>(), size_of::<Timed>()), (9, 17));
    }

    #[test]
    fn a_set_is_the_pages_of_another() {
        let mut set = RevocationSet::default();
        for n in 0..200 {
            let cutoff = if n % 3 == 0 { Cutoff::At(u64::from(n) << 40) } else { Cutoff::Always };
            set.apply(Change { key: key(n), cutoff: Some(cutoff) });
        }
        let mut copy = RevocationSet::default();
        for number in 0..PAGES {
            let (mut always, mut timed) = (Vec::new(), Vec::new());
            let counts = set.write_page(number, &mut always, &mut timed);
            let page = Page { number, always: always.as_chunks().0, timed: timed.as_chunks().0 };
            assert_eq!((page.always.len(), page.timed.len()), counts);
            assert_eq!(copy.fill(page), Ok(()));
        }
        assert_eq!((copy.digest(), &copy), (set.digest(), &set));
    }

    #[test]
    fn a_key_comes_once() {
        let rest = key(1).rest().to_bytes();
        let timed = Timed::new(key(1), 7).to_bytes();
        let fill =
            |number, always: &[_], timed: &[_]| RevocationSet::default().fill(Page { number, always, timed });
        assert_eq!(fill(3, &[rest], &[]), Ok(()));
        assert_eq!(fill(3, &[], &[timed]), Ok(()));
        assert_eq!(fill(3, &[rest, rest], &[]), Err(OutOfOrder));
        assert_eq!(fill(3, &[], &[timed, timed]), Err(OutOfOrder));
        assert_eq!(fill(3, &[rest], &[timed]), Err(OutOfOrder));
        assert_eq!(fill(PAGES, &[rest], &[]), Err(OutOfOrder));
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
            let mut bytes = [first; 11];
            bytes[3..].copy_from_slice(&n.to_be_bytes());
            Change { key: Key::from_bytes(bytes), cutoff: Some(Cutoff::Always) }
        };
        let is_spread = |set: &RevocationSet| set.iter().all(|(key, _)| set.is_spread_at(key));
        let mut set = RevocationSet::default();
        (0..SLACK as u64).for_each(|n| assert_eq!(set.apply(numbered(n, 7)).cutoff, None));
        assert!(is_spread(&set));
        for n in 0..SLACK as u64 {
            set.apply(numbered(n, u8::try_from(n % 256).unwrap()));
        }
        assert!(is_spread(&set));
        for n in 0..2 * SLACK as u64 {
            set.apply(numbered(n, 7));
        }
        assert!(!is_spread(&set));
        assert_eq!(set.iter().count(), set.len());
    }
}
