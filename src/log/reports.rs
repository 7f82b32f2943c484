//! What is kept beside the events: what edges say of revocations, in sums.
//!
//! Nobody's truth but the edges' own: no part of the hash chain, and gone with the revocation that it is about.

use portcullis_core::Version;

use crate::clock::UnixMillis;

/// Requests at one path of one edge that a revocation stood against.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tried {
    /// The version of the revocation's event.
    pub revocation: Version,
    /// The edge's `node.id`; empty for edges that there was no row for.
    pub node: String,
    /// The path; empty where it is not told, or there was no row for it.
    pub path: String,
    /// How many.
    pub count: u64,
    /// Those of them that the edge's mode let pass.
    pub passed: u64,
    /// When the first of them came.
    pub first_ms: UnixMillis,
    /// When the last of them came.
    pub last_ms: UnixMillis,
}

/// How far versions have got that were pushed together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Push {
    /// The first of them.
    pub first: Version,
    /// The last of them.
    pub last: Version,
    /// When they were accepted.
    pub accepted_at_ms: UnixMillis,
    /// The edges that should enforce them.
    pub edges: u64,
    /// Those of them that do.
    pub applied: u64,
    /// When the last of the edges said so; `None` while one has not.
    pub applied_at_ms: Option<UnixMillis>,
    /// The first of those that have not, by their `node.id`.
    pub missing: Vec<String>,
}

/// What is to be kept. Counts are added to those that are there, a push takes the place of its older self.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reports {
    /// Requests.
    pub tried: Vec<Tried>,
    /// Pushes.
    pub pushes: Vec<Push>,
}

/// All that is kept about one revocation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reported {
    /// The push that it was in.
    pub push: Option<Push>,
    /// All requests.
    pub count: u64,
    /// Those of them that passed.
    pub passed: u64,
    /// When the first and the last of them came.
    pub between_ms: Option<(UnixMillis, UnixMillis)>,
    /// Where they came, the most frequent first.
    pub tried: Vec<Tried>,
}

impl Reports {
    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tried.is_empty() && self.pushes.is_empty()
    }
}
