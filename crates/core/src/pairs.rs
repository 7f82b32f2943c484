//! Envoy's form of lists of pairs: u32 count, then two u32 lengths for each pair, then the texts, each with a
//! NUL after it (`PairsUtil` in proxy-wasm-cpp-host).

use alloc::vec::Vec;

/// The pairs, when the bytes are exactly that.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let count = u32_at(bytes, 0)?;
    let mut at = count.checked_mul(8)?.checked_add(4).filter(|start| *start <= bytes.len())?;
    let mut text = |length_at: usize| {
        let end = at.checked_add(u32_at(bytes, length_at)?)?;
        let text = bytes.get(at..end).filter(|_| bytes.get(end) == Some(&0))?;
        at = end.checked_add(1)?;
        Some(text)
    };
    // Bounded by the bytes: they have two lengths for each.
    let mut pairs = Vec::with_capacity(count);
    for pair in 0..count {
        let lengths = pair.checked_mul(8)?.checked_add(4)?;
        pairs.push((text(lengths)?, text(lengths.checked_add(4)?)?));
    }
    (at == bytes.len()).then_some(pairs)
}

/// The bytes of pairs.
#[must_use]
pub fn encode(pairs: &[(&str, &str)]) -> Vec<u8> {
    let size = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = size(pairs.len()).to_vec();
    for (name, value) in pairs {
        bytes.extend(size(name.len()));
        bytes.extend(size(value.len()));
    }
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend(text.bytes().chain([0]));
    }
    bytes
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(word)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let pairs = [(":path", "/"), ("empty", ""), ("", "x")];
        let bytes = encode(&pairs);
        let decoded = decode(&bytes).unwrap();
        assert_eq!(decoded, pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        assert_eq!(decode(&encode(&[])), Some(Vec::new()));
    }

    #[test]
    fn anything_else_is_not_pairs() {
        let bytes = encode(&[("a", "b")]);
        for end in 0..bytes.len() {
            assert_eq!(decode(bytes.get(..end).unwrap()), None, "{end}");
        }
        for text in [&b"alice"[..], b"\xff\xff\xff\xff", b"\x01\0\0\0\xff\xff\xff\xff\0\0\0\0"] {
            assert_eq!(decode(text), None);
        }
    }
}
