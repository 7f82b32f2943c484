//! The push protocol's messages (`proto/portcullis/edge/v1/edge.proto`), and the way between them and the
//! types that know what is valid.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::cutoff::{Cutoff, CutoffClaim};
use crate::field::{ClaimPath, Field, Kind, Shape};
use crate::key::{KEY_BYTES, Key};
use crate::set::{Change, Digest};

mod pages;
mod weight;

pub use weight::Weight;

/// The generated messages.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::use_self,
    unreachable_pub,
    unused_qualifications,
    reason = "generated; see `cargo xtask codegen`"
)]
pub mod edge {
    include!("wire/gen/portcullis.edge.v1.rs");
}

/// The full name of the service.
pub const SERVICE: &str = "portcullis.edge.v1.Edge";
/// Its only method.
pub const METHOD: &str = "Subscribe";
/// The protocol number that this release speaks.
pub const PROTOCOL: u32 = 1;

const CUTOFF_BYTES: usize = KEY_BYTES + 8;

/// What is wrong with a message of the peer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WireError {
    /// Not protobuf, or not this message.
    #[error("not a message of this protocol: {0}")]
    Encoding(String),
    /// A field that must be there is not, or has another length.
    #[error("`{0}` is missing or has the wrong length")]
    Field(&'static str),
    /// A shape that this release cannot evaluate.
    #[error("a shape has a field of an unknown type")]
    UnknownShape,
}

impl From<prost::DecodeError> for WireError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Encoding(error.to_string())
    }
}

/// A fixed-size field.
///
/// # Errors
/// When the length is another; `name` says which field.
pub fn fixed<const N: usize>(bytes: &[u8], name: &'static str) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::Field(name))
}

impl From<&Field> for edge::Field {
    fn from(field: &Field) -> Self {
        use edge::field::Field as Wire;
        let field = match field {
            Field::Claim(path) => Wire::Claim(edge::ClaimPath { names: path.names().to_vec() }),
            Field::Client => Wire::Client(edge::Unit {}),
            Field::KeyId => Wire::KeyId(edge::Unit {}),
            Field::TokenSha256 => Wire::TokenSha256(edge::Unit {}),
        };
        Self { field: Some(field) }
    }
}

impl TryFrom<edge::Field> for Field {
    type Error = WireError;

    fn try_from(field: edge::Field) -> Result<Self, WireError> {
        use edge::field::Field as Wire;
        Ok(match field.field.ok_or(WireError::UnknownShape)? {
            Wire::Claim(path) => {
                Self::Claim(ClaimPath::from_names(path.names).map_err(|_| WireError::UnknownShape)?)
            }
            Wire::Client(_) => Self::Client,
            Wire::KeyId(_) => Self::KeyId,
            Wire::TokenSha256(_) => Self::TokenSha256,
        })
    }
}

/// Whether the message names this field.
impl PartialEq<edge::Field> for Field {
    fn eq(&self, message: &edge::Field) -> bool {
        use edge::field::Field as Wire;
        match (self, &message.field) {
            (Self::Claim(path), Some(Wire::Claim(named))) => path.names() == named.names,
            (Self::Client, Some(Wire::Client(_)))
            | (Self::KeyId, Some(Wire::KeyId(_)))
            | (Self::TokenSha256, Some(Wire::TokenSha256(_))) => true,
            _ => false,
        }
    }
}

impl From<&Shape> for edge::Shape {
    fn from(shape: &Shape) -> Self {
        Self {
            kind: edge::Kind::from(shape.kind()).into(),
            fields: shape.fields().iter().map(Into::into).collect(),
            cutoff_claim: edge::CutoffClaim::from(shape.cutoff_claim()).into(),
        }
    }
}

impl TryFrom<&edge::Shape> for Shape {
    type Error = WireError;

    fn try_from(shape: &edge::Shape) -> Result<Self, WireError> {
        let fields = shape.fields.iter().cloned().map(Field::try_from).collect::<Result<Vec<_>, _>>()?;
        let claim = match edge::CutoffClaim::try_from(shape.cutoff_claim) {
            Ok(edge::CutoffClaim::Iat) => CutoffClaim::Iat,
            Ok(edge::CutoffClaim::AuthTime) => CutoffClaim::AuthTime,
            Err(_) => return Err(WireError::UnknownShape),
        };
        Self::new(fields, claim).ok_or(WireError::UnknownShape)
    }
}

impl From<Kind> for edge::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Session => Self::Session,
            Kind::Subject => Self::Subject,
            Kind::Token => Self::Token,
            Kind::Client => Self::Client,
            Kind::Issuer => Self::Issuer,
            Kind::Key => Self::Key,
            Kind::Claims => Self::Claims,
        }
    }
}

impl From<CutoffClaim> for edge::CutoffClaim {
    fn from(claim: CutoffClaim) -> Self {
        match claim {
            CutoffClaim::Iat => Self::Iat,
            CutoffClaim::AuthTime => Self::AuthTime,
        }
    }
}

impl edge::Entries {
    /// Adds an entry.
    pub fn push(&mut self, key: Key, cutoff: Cutoff) {
        match cutoff {
            Cutoff::Always => self.always.extend(key.to_bytes()),
            Cutoff::At(seconds) => {
                self.cutoff.extend(key.to_bytes());
                self.cutoff.extend(seconds.to_le_bytes());
            }
        }
    }

    /// The entries, as changes of a set.
    ///
    /// # Errors
    /// When the packed bytes do not divide into entries.
    pub fn changes(&self) -> Result<impl Iterator<Item = Change>, WireError> {
        let (cutoff, rest) = self.cutoff.as_chunks::<CUTOFF_BYTES>();
        if !rest.is_empty() {
            return Err(WireError::Field("entries"));
        }
        let cutoff = cutoff.iter().filter_map(|entry| {
            let (key, seconds) = entry.split_first_chunk::<KEY_BYTES>()?;
            let seconds = u64::from_le_bytes(seconds.try_into().ok()?);
            Some(Change { key: Key::from_bytes(*key), cutoff: Some(Cutoff::At(seconds)) })
        });
        let always = keys(&self.always, "entries")?.map(|key| Change { key, cutoff: Some(Cutoff::Always) });
        Ok(always.chain(cutoff))
    }
}

impl edge::Delta {
    /// Adds a change.
    pub fn push(&mut self, change: Change) {
        match change.cutoff {
            Some(cutoff) => self.entries.get_or_insert_default().push(change.key, cutoff),
            None => self.removed.extend(change.key.to_bytes()),
        }
    }

    /// The changes in it.
    ///
    /// # Errors
    /// When the packed bytes do not divide into entries.
    pub fn changes(&self) -> Result<Vec<Change>, WireError> {
        let mut changes = Vec::new();
        if let Some(entries) = &self.entries {
            changes.extend(entries.changes()?);
        }
        changes.extend(keys(&self.removed, "removed")?.map(|key| Change { key, cutoff: None }));
        Ok(changes)
    }
}

fn keys(packed: &[u8], name: &'static str) -> Result<impl Iterator<Item = Key>, WireError> {
    let (keys, rest) = packed.as_chunks::<KEY_BYTES>();
    if rest.is_empty() { Ok(keys.iter().copied().map(Key::from_bytes)) } else { Err(WireError::Field(name)) }
}

impl From<Digest> for Vec<u8> {
    fn from(digest: Digest) -> Self {
        digest.to_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use prost::Message;

    use super::*;
    use crate::selector::Selector;

    #[test]
    fn shapes_survive_the_wire() {
        let selectors = [
            Selector::session("i", "s"),
            Selector::client("i", "c", CutoffClaim::AuthTime),
            Selector::key("i", "k"),
            Selector::raw_token("00"),
            Selector::new(vec![(Field::Claim("/a/b".parse().unwrap()), "x".into())], CutoffClaim::Iat),
        ];
        for selector in selectors {
            let shape = selector.unwrap().shape().clone();
            let bytes = edge::Shape::from(&shape).encode_to_vec();
            let read = edge::Shape::decode(bytes.as_slice()).unwrap();
            assert!(shape.fields().iter().eq(&read.fields));
            assert_eq!(Shape::try_from(&read), Ok(shape));
        }
    }

    #[test]
    fn a_field_is_its_own_message_and_no_other() {
        let fields = [
            Field::claim("sub"),
            Field::claim("sid"),
            Field::Claim("/sub/sid".parse().unwrap()),
            Field::Client,
            Field::KeyId,
            Field::TokenSha256,
        ];
        let messages = fields.each_ref().map(edge::Field::from);
        for (at, field) in fields.iter().enumerate() {
            let equal: Vec<usize> = (0..messages.len()).filter(|other| *field == messages[*other]).collect();
            assert_eq!(equal, [at], "{field}");
        }
        assert!(Field::Client != edge::Field { field: None });
    }

    #[test]
    fn a_shape_of_a_later_release_is_refused() {
        let unknown = edge::Shape { kind: 1, fields: vec![edge::Field { field: None }], cutoff_claim: 0 };
        assert_eq!(Shape::try_from(&unknown), Err(WireError::UnknownShape));
        assert_eq!(Shape::try_from(&edge::Shape::default()), Err(WireError::UnknownShape));
    }

    #[test]
    fn changes_survive_the_wire() {
        let key = |n| Key::from_bytes([n; 11]);
        let changes = [
            Change { key: key(1), cutoff: Some(Cutoff::Always) },
            Change { key: key(2), cutoff: Some(Cutoff::At(77)) },
            Change { key: key(3), cutoff: None },
        ];
        let mut delta = edge::Delta::default();
        changes.iter().for_each(|change| delta.push(*change));
        let read = edge::Delta::decode(delta.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read.changes().unwrap(), changes);
    }

    #[test]
    fn packed_bytes_that_do_not_divide_are_refused() {
        let short = edge::Entries { always: vec![0; 12], cutoff: vec![] };
        assert_eq!(short.changes().err(), Some(WireError::Field("entries")));
        let short = edge::Entries { always: vec![], cutoff: vec![0; 11] };
        assert_eq!(short.changes().err(), Some(WireError::Field("entries")));
        let short = edge::Delta { removed: vec![0; 10], ..Default::default() };
        assert_eq!(short.changes().err(), Some(WireError::Field("removed")));
    }
}
