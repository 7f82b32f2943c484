//! Keyed hashes of selectors.

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

/// What stands for a selector in the set: SipHash-2-4 with 128 bits of output, over the shape and the
/// values, each with its name and its length.
///
/// With ten million keys the odds that one look-up of another value matches are below 2^-104.
// Two words instead of one u128: an entry of the set is 24 bytes instead of 32, because nothing in it has to
// stand at a multiple of 16.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key {
    high: u64,
    low: u64,
}

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
        let hash = hasher.finish128();
        Self { high: hash.h2, low: hash.h1 }
    }

    /// From its wire form.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let [high, low] = words(u128::from_be_bytes(bytes));
        Self { high, low }
    }

    /// Its wire form.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.as_u128().to_be_bytes()
    }

    /// One of its bytes, and none of those that a [`KeyMap`] looks at.
    pub(crate) const fn byte(self) -> u8 {
        self.high.to_be_bytes()[0]
    }

    const fn as_u128(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.as_u128())
    }
}

// Its bits are a keyed hash already: one word of them is enough.
impl core::hash::Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.low);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
const fn words(value: u128) -> [u64; 2] {
    [(value >> 64) as u64, value as u64]
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
        assert_eq!(key(&shape(&["b", "a"]), &["x", "y"]), key(&shape(&["a", "b"]), &["x", "y"]));
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
        assert_eq!(alloc::format!("{key:?}"), "49642b98f71ef6cd6a25410a766f3103");
    }
}
