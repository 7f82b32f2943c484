//! Which tokens were seen before, roughly: what has come once may never come again, and must not drive out what has
//! come twice (the doorkeeper of Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient Cache Admission Policy").

use alloc::vec;
use alloc::vec::Vec;

/// Tokens that are told apart: with more, half of what is said to have been seen might not have been.
const WINDOW: usize = super::MAX_TOKENS;
/// Bits for each: at most every sixteenth that is new is said to have been seen.
const BITS: usize = WINDOW * 16;

/// A set of hashes that forgets all of them after [`WINDOW`] new ones. Takes no memory until it is used.
#[derive(Debug, Default)]
pub(super) struct Seen {
    words: Vec<u64>,
    count: usize,
}

impl Seen {
    /// Whether the hash was seen before. From now on it was.
    pub(super) fn before(&mut self, hash: u128) -> bool {
        if self.words.is_empty() || self.count == WINDOW {
            self.words = vec![0; BITS / 64];
            self.count = 0;
        }
        // Any of its bits will do: it is keyed.
        let bit = usize::try_from(hash % BITS as u128).unwrap_or_default();
        let Some(word) = self.words.get_mut(bit / 64) else { return false };
        let mask = 1 << (bit % 64);
        let before = *word & mask != 0;
        *word |= mask;
        self.count += usize::from(!before);
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_known_for_a_while() {
        let mut seen = Seen::default();
        assert!(!seen.before(7));
        assert!(seen.before(7));
        // As of a hash: spread over all bits.
        let others = |from: usize| (from..from + WINDOW).map(|n| (n as u128 + 1) * 0x9e37_79b9);
        let wrong = others(0).filter(|hash| seen.before(*hash)).count();
        assert!(wrong < WINDOW / 16, "{wrong}");
        others(WINDOW).for_each(|hash| {
            seen.before(hash);
        });
        assert!(!seen.before(7));
    }
}
