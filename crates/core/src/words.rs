//! Looking at bytes eight at a time: every byte of every request's token passes here, and a wasm VM without SIMD
//! takes an instruction for a word as for a byte.

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Where a byte stands first.
pub(crate) fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    let wanted = u64::from_ne_bytes([byte; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let other = u64::from_le_bytes(*word) ^ wanted;
        // A byte that is zero gets its top bit; one above it may as well by the borrow, but the lowest is right.
        let equal = other.wrapping_sub(ONES) & !other & TOPS;
        if equal != 0 {
            return Some(at * 8 + usize::try_from(equal.trailing_zeros() / 8).unwrap_or_default());
        }
    }
    rest.iter().position(|own| *own == byte).map(|at| words.len() * 8 + at)
}

/// Whether all bytes are ASCII, and neither white space nor another control character but DEL.
pub(crate) fn are_visible(bytes: &[u8]) -> bool {
    const FIRST_VISIBLE: u64 = u64::from_ne_bytes([b'!'; 8]);
    // The lowest byte that is below borrows, which sets its top bit; what that does to those above it changes
    // nothing any more.
    let seen = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        word | word.wrapping_sub(FIRST_VISIBLE)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let (fours, words) = words.as_chunks::<4>();
    let mut all = 0;
    for [a, b, c, d] in fours {
        all |= seen(a) | seen(b) | seen(c) | seen(d);
    }
    for word in words {
        all |= seen(word);
    }
    all & TOPS == 0 && rest.iter().all(|byte| (b'!'..0x80).contains(byte))
}

/// Whether both are the same bytes.
pub(crate) fn are_equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let differing = |one: &[u8; 8], other: &[u8; 8]| u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
    let ((words, rest), (other_words, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let ((fours, words), (other_fours, other_words)) = (words.as_chunks::<4>(), other_words.as_chunks::<4>());
    let mut all = 0;
    for ([a, b, c, d], [e, f, g, h]) in fours.iter().zip(other_fours) {
        all |= differing(a, e) | differing(b, f) | differing(c, g) | differing(d, h);
    }
    for (one, other) in words.iter().zip(other_words) {
        all |= differing(one, other);
    }
    all == 0 && rest == other_rest
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// Few different bytes, so that each is found, and all that lie at an edge.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let edges = vec![0, b' ', b'!', b'.', b'/', b'-', b'a', 0x7f, 0x80, 0xa1, 0xff];
        prop::collection::vec(prop::sample::select(edges), 0..90)
    }

    proptest! {
        #[test]
        fn a_byte_is_found_where_it_stands(bytes in bytes(), wanted in prop::sample::select(vec![0, b'.', 0x80, 0xff])) {
            prop_assert_eq!(position(&bytes, wanted), bytes.iter().position(|byte| *byte == wanted));
        }

        #[test]
        fn what_is_visible_is_seen(bytes in bytes(), visible in "[!-~]{0,90}") {
            let expect = bytes.iter().all(|byte| *byte > b' ' && *byte < 0x80);
            prop_assert_eq!(are_visible(&bytes), expect);
            prop_assert!(are_visible(visible.as_bytes()));
        }

        #[test]
        fn equal_is_what_is_equal(mut bytes in bytes(), at in 0..90_usize) {
            let before = bytes.clone();
            prop_assert!(are_equal(&before, &bytes));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1;
                prop_assert!(!are_equal(&before, &bytes));
            }
            bytes.push(0);
            prop_assert!(!are_equal(&before, &bytes));
        }
    }
}
