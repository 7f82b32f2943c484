//! Sorted pages: the entries of a set, with nothing stored of a key that its place says already.

use alloc::vec::Vec;

use super::TIMED_BYTES;
use crate::UnixSeconds;
use crate::cutoff::Cutoff;
use crate::key::{Key, PAGE_BITS, Rest};

/// The pages of a set.
pub(super) const PAGES: u16 = 1 << PAGE_BITS;
/// Entries left and right of where a key should be that are searched first. Of a page of 4,000 entries 64 are
/// two standard deviations.
const WINDOW: usize = 64;

/// What a page stores of an entry: bytes that begin with those of its key.
pub(super) trait Entry: Copy {
    /// The key's part.
    fn rest(&self) -> Rest;
}

/// An entry with a cut-off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    rest: Rest,
    seconds: [u8; 8],
}

impl Timed {
    pub(super) fn new(key: Key, seconds: UnixSeconds) -> Self {
        Self { rest: key.rest(), seconds: seconds.to_le_bytes() }
    }

    pub(super) fn seconds(&self) -> UnixSeconds {
        UnixSeconds::from_le_bytes(self.seconds)
    }

    pub(super) fn cutoff(self) -> Cutoff {
        Cutoff::At(self.seconds())
    }

    pub(super) fn from_bytes(bytes: &[u8; TIMED_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, seconds @ ..] = *bytes;
        Self { rest: Rest::from_bytes([a, b, c, d, e, f, g, h, i]), seconds }
    }

    pub(super) fn to_bytes(self) -> [u8; TIMED_BYTES] {
        let [a, b, c, d, e, f, g, h, i] = self.rest.to_bytes();
        let [j, k, l, m, n, o, p, q] = self.seconds;
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]
    }
}

// An entry without a cut-off is its key alone.
impl Entry for Rest {
    fn rest(&self) -> Rest {
        *self
    }
}

impl Entry for Timed {
    fn rest(&self) -> Rest {
        self.rest
    }
}

/// Entries by the page of their key, and sorted in it.
///
/// A page grows by a sixteenth, so 4,096 of them waste little, and no request waits for millions of entries to
/// be moved. Keys are hashes, so where one should be in its page is known within a few cache lines.
#[derive(Clone, Debug)]
pub(super) struct Pages<E> {
    // Empty before the first entry.
    pages: Vec<Vec<E>>,
    len: usize,
}

// Not derived: that would ask it of the entries.
impl<E> Default for Pages<E> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<E: Entry> Pages<E> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn page(&self, number: u16) -> &[E] {
        self.pages.get(usize::from(number)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn get(&self, key: Key) -> Option<&E> {
        let page = self.pages.get(usize::from(key.page()))?;
        page.get(find(page, key.rest()).ok()?)
    }

    /// Puts an entry in, and gives the one that was there.
    pub(super) fn insert(&mut self, number: u16, entry: E) -> Option<E> {
        let page = self.page_mut(number)?;
        match find(page, entry.rest()) {
            Ok(at) => page.get_mut(at).map(|there| core::mem::replace(there, entry)),
            Err(at) => {
                if page.len() == page.capacity() {
                    page.reserve_exact(slack(page.len()));
                }
                page.insert(at, entry);
                self.len += 1;
                None
            }
        }
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, key: Key) -> Option<E> {
        let page = self.pages.get_mut(usize::from(key.page()))?;
        let entry = page.remove(find(page, key.rest()).ok()?);
        if page.len() < page.capacity() / 2 {
            page.shrink_to(page.len().saturating_add(slack(page.len())));
        }
        self.len -= 1;
        Some(entry)
    }

    /// Fills an empty page; `false`, and nothing is changed, unless the page is empty and the entries ascend.
    pub(super) fn fill(&mut self, number: u16, entries: impl ExactSizeIterator<Item = E> + Clone) -> bool {
        if !self.page(number).is_empty() || !entries.clone().is_sorted_by(|a, b| a.rest() < b.rest()) {
            return false;
        }
        if entries.len() == 0 {
            return true;
        }
        let Some(page) = self.page_mut(number) else { return false };
        page.reserve_exact(entries.len().saturating_add(slack(entries.len())));
        page.extend(entries);
        self.len = self.len.saturating_add(self.page(number).len());
        true
    }

    /// All entries with the numbers of their pages, in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &E)> {
        (0..PAGES).zip(&self.pages).flat_map(|(number, page)| page.iter().map(move |entry| (number, entry)))
    }

    fn page_mut(&mut self, number: u16) -> Option<&mut Vec<E>> {
        if self.pages.is_empty() {
            self.pages.resize_with(usize::from(PAGES), Vec::new);
        }
        self.pages.get_mut(usize::from(number))
    }
}

/// Room for later in a page of that many entries.
const fn slack(len: usize) -> usize {
    len / 16 + 2
}

/// Where the entry of a key is, or would be: as [`slice::binary_search`] says it.
fn find<E: Entry>(page: &[E], rest: Rest) -> Result<usize, usize> {
    let guess = guess(page.len(), rest);
    let from = guess.saturating_sub(WINDOW);
    let near = page.get(from..guess.saturating_add(WINDOW).min(page.len())).unwrap_or(&[]);
    let (Some(first), Some(last)) = (near.first(), near.last()) else { return search(page, 0, rest) };
    // Keys that somebody has chosen, or chance: the whole page.
    let bracketed = first.rest() <= rest && rest <= last.rest();
    if bracketed { search(near, from, rest) } else { search(page, 0, rest) }
}

fn search<E: Entry>(entries: &[E], from: usize, rest: Rest) -> Result<usize, usize> {
    let there = |at: usize| from.saturating_add(at);
    entries.binary_search_by(|entry| entry.rest().cmp(&rest)).map(there).map_err(there)
}

/// Where a key should be among that many: keys are spread evenly.
fn guess(len: usize, rest: Rest) -> usize {
    ((rest.high() >> 32).wrapping_mul(len as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key(page: u8, rest: u64) -> Key {
        let mut bytes = [0; 11];
        bytes[0] = page;
        bytes[2..10].copy_from_slice(&rest.to_le_bytes());
        Key::from_bytes(bytes)
    }

    proptest! {
        // Evenly spread keys and crowded ones: both must be found wherever they are.
        #[test]
        fn pages_are_a_map(
            steps in proptest::collection::vec((any::<bool>(), 0..3_u8, prop_oneof![0..300_u64, any::<u64>()]), 0..600)
        ) {
            let (mut pages, mut model) = (Pages::<Rest>::default(), BTreeMap::new());
            for (add, page, rest) in steps {
                let key = key(page, rest);
                let entry = key.rest();
                let (before, expect) = if add {
                    (pages.insert(key.page(), entry), model.insert(key, ()))
                } else {
                    (pages.remove(key), model.remove(&key))
                };
                prop_assert_eq!(before.is_some(), expect.is_some());
                prop_assert_eq!(pages.get(key).is_some(), model.contains_key(&key));
            }
            let all: Vec<Key> = pages.iter().map(|(page, entry)| Key::new(page, *entry)).collect();
            prop_assert_eq!(pages.len(), all.len());
            prop_assert_eq!(all, model.into_keys().collect::<Vec<_>>());
        }
    }

    #[test]
    fn only_an_empty_page_is_filled_and_only_in_order() {
        let entry = |rest: u64| key(0, rest).rest();
        let mut pages = Pages::default();
        assert!(!pages.fill(7, [entry(2), entry(1)].into_iter()));
        assert!(!pages.fill(7, [entry(1), entry(1)].into_iter()));
        assert!(pages.fill(7, [].into_iter()));
        assert_eq!(pages.len(), 0);
        assert!(pages.fill(7, [entry(1), entry(2)].into_iter()));
        assert!(!pages.fill(7, [entry(3)].into_iter()));
        assert!(!pages.fill(PAGES, [entry(3)].into_iter()));
        assert_eq!((pages.len(), pages.page(7).len()), (2, 2));
    }

    #[test]
    fn a_page_that_was_full_gives_its_room_back() {
        let mut pages = Pages::default();
        for rest in 0..1_000 {
            pages.insert(0, key(0, rest << 32).rest());
        }
        assert!(pages.pages[0].capacity() <= 1_064);
        for rest in 0..990 {
            pages.remove(key(0, rest << 32));
        }
        assert!(pages.pages[0].capacity() <= 24);
    }
}
