//! Keyed hashes of selectors.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{BuildHasherDefault, Hasher};

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::cutoff::CutoffClaim;
use crate::field::{Field, Shape};

/// The secret of a store under which its selectors are hashed: random, and the same for the store's life.
#[derive(Clone, Eq, PartialEq)]
pub struct HashKey([u8; 16]);

impl HashKey {
    /// From 16 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the wire and the disk.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) fn hasher(&self) -> SipHasher24 {
        SipHasher24::new_with_key(&self.0)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("HashKey(..)")
    }
}

/// What stands for a selector in the set: 84 bits of SipHash-2-4 over the shape and the values, each with its
/// name and its length.
///
/// With ten million keys the odds that one look-up of another value matches are 5e-19. The set stores 72 of the
/// bits and says the other 12 by where they lie ([`crate::set`]), so an entry of it takes 9 bytes.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key {
    page: u16,
    rest: Rest,
}

/// What a page of the set stores of a key: 72 bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(transparent)]
pub(crate) struct Rest([u8; REST_BYTES]);

/// Bits of a key that its place in the set says.
pub(crate) const PAGE_BITS: u32 = 12;
/// Bytes of a key that the set stores.
pub(crate) const REST_BYTES: usize = 9;
/// Bytes of a key on the wire and on the disk.
pub const KEY_BYTES: usize = 2 + REST_BYTES;

const PAGE_MASK: u16 = (1 << PAGE_BITS) - 1;

impl Key {
    /// The key of a shape whose fields have these values, in the order of the shape's fields.
    #[must_use]
    pub fn of<'a>(hash_key: &HashKey, shape: &Shape, values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hasher = hash_key.hasher();
        hasher.write_u8(match shape.cutoff_claim() {
            CutoffClaim::Iat => 0,
            CutoffClaim::AuthTime => 1,
        });
        write_len(&mut hasher, shape.fields().len());
        for (field, value) in shape.fields().iter().zip(values) {
            write_field(&mut hasher, field);
            write_text(&mut hasher, value);
        }
        Self::from_hash(hasher.finish128().as_bytes())
    }

    /// From 16 bytes of hash: the first 11, less 4 bits.
    const fn from_hash(hash: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, ..] = hash;
        Self::from_bytes([a, b, c, d, e, f, g, h, i, j, k])
    }

    /// From its wire form. Of the first two bytes, little-endian, only the low 12 bits count.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        let [first, second, a, b, c, d, e, f, g, h, i] = bytes;
        let page = u16::from_le_bytes([first, second]) & PAGE_MASK;
        Self { page, rest: Rest([a, b, c, d, e, f, g, h, i]) }
    }

    /// Its wire form.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; KEY_BYTES] {
        let [first, second] = self.page.to_le_bytes();
        let [a, b, c, d, e, f, g, h, i] = self.rest.0;
        [first, second, a, b, c, d, e, f, g, h, i]
    }

    pub(crate) const fn new(page: u16, rest: Rest) -> Self {
        Self { page: page & PAGE_MASK, rest }
    }

    /// Which page of the set it belongs to.
    pub(crate) const fn page(self) -> u16 {
        self.page
    }

    /// What that page stores of it.
    pub(crate) const fn rest(self) -> Rest {
        self.rest
    }
}

impl Rest {
    pub(crate) const fn from_bytes(bytes: [u8; REST_BYTES]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn to_bytes(self) -> [u8; REST_BYTES] {
        self.0
    }

    /// The bits that decide the order, but for equal ones. Little-endian, as wasm reads it at once.
    pub(crate) const fn high(self) -> u64 {
        let [a, b, c, d, e, f, g, h, _] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    const fn low(self) -> u8 {
        let [.., low] = self.0;
        low
    }
}

impl Ord for Rest {
    fn cmp(&self, other: &Self) -> Ordering {
        self.high().cmp(&other.high()).then_with(|| self.low().cmp(&other.low()))
    }
}

impl PartialOrd for Rest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:03x}{:016x}{:02x}", self.page, self.rest.high(), self.rest.low())
    }
}

// Its bits are a keyed hash already: one word of them is enough.
impl core::hash::Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.rest.high());
    }
}

fn write_field(hasher: &mut SipHasher24, field: &Field) {
    match field {
        Field::Claim(path) => {
            hasher.write_u8(0);
            write_len(hasher, path.names().len());
            path.names().iter().for_each(|name| write_text(hasher, name));
        }
        Field::Client => hasher.write_u8(1),
        Field::KeyId => hasher.write_u8(2),
        Field::TokenSha256 => hasher.write_u8(3),
    }
}

fn write_text(hasher: &mut SipHasher24, text: &str) {
    write_len(hasher, text.len());
    hasher.write(text.as_bytes());
}

// Lengths as 8 little-endian bytes, so that a 32-bit edge and a 64-bit control plane agree.
fn write_len(hasher: &mut SipHasher24, len: usize) {
    hasher.write(&(len as u64).to_le_bytes());
}

/// Hasher for tables whose keys are outputs of a keyed hash already: takes their low bits as they are.
#[derive(Clone, Copy, Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low half of a keyed hash is a keyed hash")]
    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

/// A table by [`Key`], or by another output of a keyed hash.
pub type KeyMap<K, V> = hashbrown::HashMap<K, V, BuildHasherDefault<Spread>>;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn shape(names: &[&str]) -> Shape {
        let fields = names.iter().map(|name| Field::Claim(name.parse().unwrap())).collect();
        Shape::new(fields, CutoffClaim::Iat).unwrap()
    }

    #[test]
    fn names_and_boundaries_are_hashed_in() {
        let secret = HashKey::new([7; 16]);
        let key = |shape: &Shape, values: &[&str]| Key::of(&secret, shape, values.iter().copied());
        assert_ne!(key(&shape(&["sub"]), &["x"]), key(&shape(&["azp"]), &["x"]));
        assert_ne!(key(&shape(&["a", "b"]), &["xy", "z"]), key(&shape(&["a", "b"]), &["x", "yz"]));
        assert_ne!(key(&shape(&["/a/b"]), &["x"]), key(&shape(&["a/b"]), &["x"]));
        assert_ne!(
            key(&shape(&["iat"]), &["x"]),
            key(&Shape::new(vec![Field::claim("iat")], CutoffClaim::AuthTime).unwrap(), &["x"])
        );
    }

    #[test]
    fn another_secret_gives_another_key() {
        let shape = shape(&["sub"]);
        assert_ne!(
            Key::of(&HashKey::new([1; 16]), &shape, ["x"]),
            Key::of(&HashKey::new([2; 16]), &shape, ["x"])
        );
    }

    #[test]
    fn the_hash_is_pinned() {
        // Stores and edges of different releases must agree: this value may never change.
        let key = Key::of(&HashKey::new([0; 16]), &shape(&["iss", "sub"]), ["https://idp.example", "alice"]);
        assert_eq!(alloc::format!("{key:?}"), "103f6cd6a25410a766f1e");
    }
}
