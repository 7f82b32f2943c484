//! The pages of a set in the chunks of a snapshot.

use alloc::vec::Vec;

use super::{WireError, edge};
use crate::set::{ALWAYS_BYTES, PAGES, Page, RevocationSet, TIMED_BYTES};

const COUNT_BYTES: usize = 2;

/// What is wrong with `pages` of a chunk.
const ERROR: WireError = WireError::Field("pages");

impl edge::Pages {
    /// The pages of a set in their order, in chunks that each end with the page that makes them `per_chunk` entries
    /// long; at least one. Pages are not divided: one with more than 65,535 entries cannot be sent, and a set of
    /// hashes has none below a hundred million.
    #[must_use]
    pub fn of(set: &RevocationSet, per_chunk: usize) -> Vec<Self> {
        let (mut done, mut chunk, mut entries) = (Vec::new(), Self::default(), 0_usize);
        for number in 0..PAGES {
            let count = chunk.push(set, number);
            entries = entries.saturating_add(count);
            if entries >= per_chunk {
                done.push(core::mem::take(&mut chunk).trimmed());
                entries = 0;
            }
        }
        if entries > 0 || done.is_empty() {
            done.push(chunk.trimmed());
        }
        done
    }

    fn push(&mut self, set: &RevocationSet, number: u16) -> usize {
        let (always, cutoff) = set.write_page(number, &mut self.always, &mut self.cutoff);
        if self.always_counts.is_empty() {
            self.first = number.into();
            if always == 0 && cutoff == 0 {
                return 0;
            }
        }
        let count = |entries: usize| u16::try_from(entries).unwrap_or(u16::MAX).to_le_bytes();
        self.always_counts.extend(count(always));
        self.cutoff_counts.extend(count(cutoff));
        always.saturating_add(cutoff)
    }

    /// Without the counts that say nothing.
    fn trimmed(mut self) -> Self {
        let used =
            |counts: &[u8]| counts.iter().rposition(|byte| *byte != 0).map_or(0, |at| at / COUNT_BYTES + 1);
        let pages = used(&self.always_counts).max(used(&self.cutoff_counts)).saturating_mul(COUNT_BYTES);
        self.always_counts.truncate(pages);
        self.cutoff_counts.truncate(if self.cutoff.is_empty() { 0 } else { pages });
        self
    }

    /// The number of entries, as far as the bytes divide into them.
    #[must_use]
    pub fn count(&self) -> usize {
        (self.always.len() / ALWAYS_BYTES).saturating_add(self.cutoff.len() / TIMED_BYTES)
    }

    /// The pages in it.
    ///
    /// # Errors
    /// When the bytes do not divide into entries, or there are others than the counts say.
    pub fn read(&self) -> Result<impl Iterator<Item = Page<'_>>, WireError> {
        let (mut always, mut cutoff) = (entries(&self.always)?, entries(&self.cutoff)?);
        let always_counts: &[Count] = entries(&self.always_counts)?;
        let cutoff_counts: &[Count] = entries(&self.cutoff_counts)?;
        let first = u16::try_from(self.first).map_err(|_| ERROR)?;
        let pages = always_counts.len();
        let fits = pages <= usize::from(PAGES) && (cutoff_counts.is_empty() || cutoff_counts.len() == pages);
        if !fits || sum(always_counts) != always.len() || sum(cutoff_counts) != cutoff.len() {
            return Err(ERROR);
        }
        let numbers = (0..PAGES).map(move |at| first.saturating_add(at));
        Ok(numbers.zip(always_counts).enumerate().map(move |(at, (number, count))| {
            let timed = cutoff_counts.get(at).copied().unwrap_or_default();
            Page { number, always: take(&mut always, *count), timed: take(&mut cutoff, timed) }
        }))
    }
}

type Count = [u8; COUNT_BYTES];

fn entries<const N: usize>(bytes: &[u8]) -> Result<&[[u8; N]], WireError> {
    let (entries, rest) = bytes.as_chunks();
    if rest.is_empty() { Ok(entries) } else { Err(ERROR) }
}

fn sum(counts: &[Count]) -> usize {
    counts.iter().map(|count| usize::from(u16::from_le_bytes(*count))).fold(0, usize::saturating_add)
}

fn take<'a, T>(rest: &mut &'a [T], count: Count) -> &'a [T] {
    let (taken, after) =
        rest.split_at_checked(usize::from(u16::from_le_bytes(count))).unwrap_or((*rest, &[]));
    *rest = after;
    taken
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::cutoff::Cutoff;
    use crate::key::Key;
    use crate::set::Change;

    fn set(entries: u8) -> RevocationSet {
        let mut set = RevocationSet::default();
        for n in 0..entries {
            let cutoff = if n % 5 == 0 { Cutoff::At(u64::from(n)) } else { Cutoff::Always };
            set.apply(Change { key: Key::from_bytes([n; 11]), cutoff: Some(cutoff) });
        }
        set
    }

    fn read(chunks: &[edge::Pages]) -> RevocationSet {
        let mut set = RevocationSet::default();
        for chunk in chunks {
            chunk.read().unwrap().for_each(|page| set.fill(page).unwrap());
        }
        set
    }

    #[test]
    fn a_set_survives_the_wire_in_chunks_of_any_size() {
        for entries in [0, 1, 4, 200] {
            let set = set(entries);
            for per_chunk in [1, 3, 1_000] {
                let chunks = edge::Pages::of(&set, per_chunk);
                assert_eq!(chunks.iter().map(edge::Pages::count).sum::<usize>(), set.len());
                assert_eq!(read(&chunks), set);
                assert!(chunks.len() == 1 || chunks.iter().all(|chunk| chunk.count() > 0));
            }
        }
    }

    #[test]
    fn counts_that_do_not_add_up_are_refused() {
        let right =
            edge::Pages { first: 0, always_counts: vec![1, 0], always: vec![0; 9], ..Default::default() };
        assert_eq!(right.read().unwrap().count(), 1);
        let both = edge::Pages { cutoff_counts: vec![1, 0], cutoff: vec![0; 17], ..right.clone() };
        assert_eq!(both.read().unwrap().count(), 1);
        for wrong in [
            edge::Pages { always: vec![0; 10], ..right.clone() },
            edge::Pages { always: vec![0; 18], ..right.clone() },
            edge::Pages { always_counts: vec![1], ..right.clone() },
            edge::Pages { always_counts: vec![], ..right.clone() },
            edge::Pages { always_counts: vec![0; 2 * 4_097], always: vec![], ..right.clone() },
            edge::Pages { cutoff: vec![0; 17], ..right.clone() },
            edge::Pages { cutoff_counts: vec![1, 0, 0, 0], cutoff: vec![0; 17], ..right.clone() },
            edge::Pages { first: 65_536, ..right.clone() },
        ] {
            assert_eq!(wrong.read().err(), Some(ERROR), "{wrong:?}");
        }
    }
}
