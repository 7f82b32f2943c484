//! The ABI's encoding of header maps and other lists of pairs.
//!
//! ```text
//! count:u32  (key_size:u32 value_size:u32){count}  (key NUL value NUL){count}      little-endian
//! ```

/// A key and its value, as they travel through the ABI.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Envoy reads no more than this much; a longer buffer counts as empty, without an error.
const MAX_BYTES: usize = 1 << 20;

/// Envoy reads no more pairs than this; a longer list counts as empty, without an error.
const MAX_PAIRS: usize = 1024;

pub(crate) fn encode<K: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(K, V)]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(length(pairs.len()));
    for (key, value) in pairs {
        out.extend(length(key.as_ref().len()));
        out.extend(length(value.as_ref().len()));
    }
    for (key, value) in pairs {
        for part in [key.as_ref(), value.as_ref()] {
            out.extend(part);
            out.push(0);
        }
    }
    out
}

/// Decodes as Envoy does: whatever is malformed or over the limits is an empty list.
pub(crate) fn decode(bytes: &[u8]) -> Vec<Pair> {
    if bytes.len() > MAX_BYTES { Vec::new() } else { parse(bytes).unwrap_or_default() }
}

fn parse(mut bytes: &[u8]) -> Option<Vec<Pair>> {
    let count = take_length(&mut bytes)?;
    if count > MAX_PAIRS {
        return None;
    }
    let mut sizes = Vec::new();
    for _ in 0..count {
        sizes.push((take_length(&mut bytes)?, take_length(&mut bytes)?));
    }
    let mut pairs = Vec::new();
    for (key, value) in sizes {
        pairs.push((take_string(&mut bytes, key)?, take_string(&mut bytes, value)?));
    }
    bytes.is_empty().then_some(pairs)
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let (head, tail) = bytes.split_first_chunk::<4>()?;
    *bytes = tail;
    usize::try_from(u32::from_le_bytes(*head)).ok()
}

fn take_string(bytes: &mut &[u8], size: usize) -> Option<Vec<u8>> {
    let (text, tail) = bytes.split_at_checked(size)?;
    let (nul, tail) = tail.split_first()?;
    *bytes = tail;
    (*nul == 0).then(|| text.to_vec())
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_survive_a_round_trip() {
        let pairs = vec![(b"a".to_vec(), b"1".to_vec()), (Vec::new(), b"\0".to_vec())];
        assert_eq!(decode(&encode(&pairs)), pairs);
    }

    #[test]
    fn the_layout_is_the_one_of_the_abi() {
        assert_eq!(encode(&[("k", "v")]), b"\x01\0\0\0\x01\0\0\0\x01\0\0\0k\0v\0");
    }

    #[test]
    fn malformed_pairs_count_as_none() {
        let whole = encode(&[("key", "value")]);
        for end in 0..whole.len() {
            assert!(decode(&whole[..end]).is_empty(), "cut at {end}");
        }
        assert!(decode(&[whole, vec![0]].concat()).is_empty(), "a byte too many");
        assert!(decode(&encode(&vec![("k", "v"); MAX_PAIRS + 1])).is_empty());
    }
}
