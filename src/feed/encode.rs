//! The messages that carry the set and its changes, in pieces of bounded size.

use std::collections::HashSet;

use portcullis_core::set::{Change, Digest};
use portcullis_core::wire::edge::control_message::Message;
use portcullis_core::wire::edge::{Delta, Pages, SnapshotChunk, SnapshotInfo};
use portcullis_core::{Key, Shape, Version};

use super::Update;
use crate::clock::UnixMillis;
use crate::edge::codec::Framed;
use crate::state::State;

/// Changes in one message: 50,000 bytes of entries at most.
pub(super) const PER_MESSAGE: usize = 2_500;
/// Entries from which on a chunk ends, with the page: 60,000 bytes of entries without a cut-off.
pub(super) const PER_CHUNK: usize = 5_000;

impl Update {
    /// Nothing has changed.
    pub(super) fn none(version: Version) -> Self {
        Self { from: version, to: version, parts: Vec::new(), starts_over: false }
    }
}

/// The changes of these keys from a version to the state's.
///
/// Each key once, with the value that it has now: so a message never says two things of one key, and a long
/// absence costs no more than the keys that changed. Every part says the same versions; the last has the
/// digest, and only then the version moves.
pub(super) fn update(
    state: &State,
    from: Version,
    mut keys: Vec<Key>,
    shapes: &[Shape],
    accepted_at_ms: UnixMillis,
) -> Update {
    let mut seen = HashSet::with_capacity(keys.len());
    keys.retain(|key| seen.insert(*key));
    let set = state.ledger().set();
    let to = state.version();
    let mut chunks: Vec<&[Key]> = keys.chunks(PER_MESSAGE).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    let last = chunks.len() - 1;
    let parts = chunks.into_iter().enumerate().map(|(at, chunk)| {
        let mut delta = Delta { from_version: from, to_version: to, accepted_at_ms, ..Default::default() };
        if at == 0 {
            delta.shapes = shapes.iter().map(Into::into).collect();
        }
        if at == last {
            delta.digest = set.digest().into();
        }
        chunk.iter().for_each(|key| delta.push(Change { key: *key, cutoff: set.get(*key) }));
        Framed::from(Message::Delta(delta))
    });
    Update { from, to, parts: parts.collect(), starts_over: false }
}

/// The whole set at a version, encoded.
#[derive(Debug)]
pub struct Snapshot {
    /// The version.
    pub version: Version,
    /// Its chunks, in their order; at least one.
    pub chunks: Vec<Framed>,
    entries: u64,
    digest: Digest,
}

impl Snapshot {
    /// Of the state.
    pub(super) fn of(state: &State) -> Self {
        let set = state.ledger().set();
        let pages = Pages::of(set, PER_CHUNK);
        let last = pages.len() - 1;
        let chunks = pages.into_iter().enumerate().map(|(at, pages)| {
            let index = u32::try_from(at).unwrap_or(u32::MAX);
            Message::Chunk(SnapshotChunk { index, pages: Some(pages), last: at == last }).into()
        });
        let chunks = chunks.collect();
        Self { version: state.version(), chunks, entries: set.len() as u64, digest: set.digest() }
    }

    /// What the header announces to a subscriber that is then sent the changes up to `current`.
    pub(super) fn info(&self, current: Version) -> SnapshotInfo {
        let Self { version, entries, digest, .. } = *self;
        SnapshotInfo { version, entries, digest: digest.into(), current }
    }
}
