//! The edge's end of the push protocol: from messages to the enforced set.
//!
//! The old set stays in force until a new one is whole and its digest is right, and so for the parts of a long
//! catch-up. Whatever does not add up is an error; the caller asks for a snapshot or gives the stream up, and
//! goes on enforcing what it has.

use alloc::vec::Vec;

use prost::Message;

use crate::Version;
use crate::field::Shape;
use crate::key::HashKey;
use crate::set::{Change, Digest, RevocationSet};
use crate::wire::edge::control_message::Message as Control;
use crate::wire::edge::{self, ControlMessage, Position};
use crate::wire::{WireError, fixed};

/// Most entries of a worker's set: what fits a table of 2^24 places. A new set next to the old one takes 839 MB
/// then, within the 1 GiB that Envoy gives a VM; the next size of table would not fit.
pub const MAX_ENTRIES: u64 = 14_000_000;
/// Most changes of a catch-up that are kept until its last part.
pub const MAX_CATCH_UP: usize = 1_000_000;
/// Most shapes that a worker evaluates for every request.
pub const MAX_SHAPES: usize = 64;

/// A store as this worker knows it.
#[derive(Debug)]
pub struct Store {
    /// Which store.
    pub id: [u8; 16],
    /// The secret of its selector hash.
    pub hash_key: HashKey,
    /// The shapes in use.
    pub shapes: Vec<Shape>,
    /// What is revoked.
    pub set: RevocationSet,
    /// Where in its log that was.
    pub version: Version,
}

/// A snapshot on its way, and then the changes since it.
#[derive(Debug)]
struct Building {
    store: Store,
    entries: u64,
    digest: Digest,
    next_chunk: u32,
    /// All chunks are here and right.
    whole: bool,
    /// The version from which on it is in force: an older set would let pass what is revoked by now.
    current: Version,
}

/// What a message has brought.
#[derive(Debug, PartialEq)]
pub enum Progress {
    /// The control plane has said how often it speaks; the store goes on or a snapshot follows.
    Greeted {
        /// Milliseconds.
        heartbeat: u32,
        /// The shapes are others than before.
        reshaped: bool,
    },
    /// A part of something larger.
    Part,
    /// Not of use while a snapshot is waited for.
    Ignored,
    /// A new set is in force.
    Replaced,
    /// Changes are in force.
    Changed {
        /// Them.
        changes: Vec<Change>,
        /// Shapes were added.
        reshaped: bool,
        /// When the control plane accepted the newest, Unix milliseconds; 0 when it does not say.
        accepted_at: u64,
    },
    /// Nothing new, and the set is right.
    Confirmed,
}

/// What is wrong with a message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SyncError {
    /// It cannot be read.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It does not belong here.
    #[error("{0} out of place")]
    OutOfPlace(&'static str),
    /// The set is larger than the bound.
    #[error("{0} revocations are more than this worker takes ({MAX_ENTRIES})")]
    TooLarge(u64),
    /// More shapes than the bound.
    #[error("{0} shapes are more than this worker evaluates ({MAX_SHAPES})")]
    TooManyShapes(usize),
    /// A snapshot has more or fewer entries than announced.
    #[error("a snapshot of {announced} revocations had {received}")]
    #[expect(missing_docs, reason = "said by the message")]
    Count { announced: u64, received: u64 },
    /// The set cannot be continued: it is another store's, or was hashed with another secret.
    #[error("the control plane's store is another one")]
    OtherStore,
    /// Versions do not follow each other.
    #[error("a change from version {from} does not continue version {have}")]
    #[expect(missing_docs, reason = "said by the message")]
    Gap { have: Version, from: Version },
    /// The sets differ.
    #[error("the digest at version {0} is not the control plane's")]
    Digest(Version),
    /// A whole snapshot is not what it should be: asking for it again would not help.
    #[error("the snapshot of version {0} does not have its digest")]
    SnapshotDigest(Version),
    /// A catch-up is longer than is worth keeping.
    #[error("a catch-up of more than {MAX_CATCH_UP} changes")]
    LongCatchUp,
}

impl SyncError {
    /// Whether a snapshot mends it; otherwise the peer is not to be talked to for now.
    #[must_use]
    pub fn is_mended_by_snapshot(&self) -> bool {
        matches!(self, Self::OtherStore | Self::Gap { .. } | Self::Digest(_) | Self::LongCatchUp)
    }
}

/// What a worker has of a store, and what it is receiving.
#[derive(Debug, Default)]
pub struct Sync {
    store: Option<Store>,
    building: Option<Building>,
    // Nothing but the header of a snapshot is of use until it comes.
    asked_for_snapshot: bool,
    greeted: bool,
    // The parts of a catch-up before its last, and the shapes that came with them.
    parts: Vec<Change>,
    part_shapes: Vec<Shape>,
}

impl Sync {
    /// The store in force.
    #[must_use]
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// What to tell the control plane of it.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.store.as_ref().map(|store| Position { store_id: store.id.to_vec(), version: store.version })
    }

    /// A new stream: whatever was under way on the last one is void.
    pub fn restart(&mut self) {
        self.forget_parts();
        self.building = None;
        self.asked_for_snapshot = false;
        self.greeted = false;
    }

    /// A snapshot has been asked for: ignores everything up to its header.
    pub fn await_snapshot(&mut self) {
        self.forget_parts();
        self.building = None;
        self.asked_for_snapshot = true;
    }

    /// Takes a message.
    ///
    /// # Errors
    /// When it cannot be read or does not add up. The set in force is the last one that was right, or that
    /// one with changes that the control plane has sent.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Progress, SyncError> {
        let message = ControlMessage::decode(bytes).map_err(WireError::from)?;
        match message.message.ok_or(WireError::Field("message"))? {
            Control::Header(header) => self.header(header),
            Control::Chunk(_) | Control::Delta(_) | Control::Heartbeat(_) if self.asked_for_snapshot => {
                Ok(Progress::Ignored)
            }
            Control::Chunk(chunk) => self.chunk(&chunk),
            Control::Delta(delta) => self.delta(&delta),
            Control::Heartbeat(heartbeat) => self.heartbeat(&heartbeat),
        }
    }

    fn header(&mut self, header: edge::Header) -> Result<Progress, SyncError> {
        if self.greeted && !self.asked_for_snapshot {
            return Err(SyncError::OutOfPlace("header"));
        }
        let id = fixed(&header.store_id, "store_id")?;
        let hash_key = HashKey::new(fixed(&header.hash_key, "hash_key")?);
        let shapes = read_shapes(&header.shapes)?;
        let mut reshaped = false;
        if let Some(info) = header.snapshot {
            if info.entries > MAX_ENTRIES {
                return Err(SyncError::TooLarge(info.entries));
            }
            let digest = Digest::from_bytes(fixed(&info.digest, "digest")?);
            let store = Store { id, hash_key, shapes, set: RevocationSet::default(), version: info.version };
            let (entries, current) = (info.entries, info.current);
            self.building = Some(Building { store, entries, digest, next_chunk: 0, whole: false, current });
        } else {
            let store = self.store.as_mut().filter(|_| !self.asked_for_snapshot);
            let store = store.filter(|store| store.id == id && store.hash_key == hash_key);
            let store = store.ok_or(SyncError::OtherStore)?;
            reshaped = store.shapes != shapes;
            store.shapes = shapes;
        }
        self.greeted = true;
        self.asked_for_snapshot = false;
        Ok(Progress::Greeted { heartbeat: header.heartbeat_ms, reshaped })
    }

    fn chunk(&mut self, chunk: &edge::SnapshotChunk) -> Result<Progress, SyncError> {
        let building = self.building.as_mut().filter(|building| !building.whole);
        let building = building.ok_or(SyncError::OutOfPlace("chunk"))?;
        if chunk.index != building.next_chunk {
            return Err(SyncError::OutOfPlace("chunk"));
        }
        if building.next_chunk == 0 {
            // All at once: growing on the way would need old and new table side by side.
            building.store.set.reserve(usize::try_from(building.entries).unwrap_or_default());
        }
        building.next_chunk = building.next_chunk.wrapping_add(1);
        if let Some(entries) = &chunk.entries {
            for change in entries.changes()? {
                building.store.set.apply(change);
            }
        }
        // A key that comes twice is one entry, so that the count shows it.
        let received = building.store.set.len() as u64;
        if received > building.entries || (chunk.last && received != building.entries) {
            return Err(SyncError::Count { announced: building.entries, received });
        }
        if !chunk.last {
            return Ok(Progress::Part);
        }
        if building.store.set.digest() != building.digest {
            return Err(SyncError::SnapshotDigest(building.store.version));
        }
        building.whole = true;
        Ok(self.replace_when_current())
    }

    /// Puts a new set in force once it has caught up.
    fn replace_when_current(&mut self) -> Progress {
        match self.building.take_if(|building| building.store.version >= building.current) {
            Some(building) => {
                self.store = Some(building.store);
                Progress::Replaced
            }
            None => Progress::Part,
        }
    }

    fn delta(&mut self, delta: &edge::Delta) -> Result<Progress, SyncError> {
        let store = self.continued("delta")?;
        if delta.from_version != store.version || delta.to_version < delta.from_version {
            return Err(SyncError::Gap { have: store.version, from: delta.from_version });
        }
        let digest = match delta.digest.as_slice() {
            [] => None,
            bytes => Some(Digest::from_bytes(fixed(bytes, "digest")?)),
        };
        let mut changes = delta.changes()?;
        let mut added = read_shapes(&delta.shapes)?;
        added.retain(|shape| !store.shapes.contains(shape));
        let (known, entries) = (store.shapes.len(), store.set.len().saturating_add(changes.len()) as u64);
        added.retain(|shape| !self.part_shapes.contains(shape));
        added.splice(..0, self.part_shapes.iter().cloned());
        let shapes = known.saturating_add(added.len());
        if shapes > MAX_SHAPES {
            return Err(SyncError::TooManyShapes(shapes));
        }
        if entries > MAX_ENTRIES {
            return Err(SyncError::TooLarge(entries));
        }
        let Some(digest) = digest else {
            self.part_shapes = added;
            self.parts.append(&mut changes);
            return if self.parts.len() > MAX_CATCH_UP {
                Err(SyncError::LongCatchUp)
            } else {
                Ok(Progress::Part)
            };
        };
        changes.splice(..0, core::mem::take(&mut self.parts));
        self.forget_parts();
        let store = self.continued("delta")?;
        let undo: Vec<Change> = changes.iter().map(|change| store.set.apply(*change)).collect();
        if store.set.digest() != digest {
            for change in undo.into_iter().rev() {
                store.set.apply(change);
            }
            return Err(SyncError::Digest(delta.to_version));
        }
        let reshaped = !added.is_empty();
        store.shapes.extend(added);
        store.version = delta.to_version;
        if self.building.is_some() {
            return Ok(self.replace_when_current());
        }
        Ok(Progress::Changed { changes, reshaped, accepted_at: delta.accepted_at_ms })
    }

    fn heartbeat(&mut self, heartbeat: &edge::Heartbeat) -> Result<Progress, SyncError> {
        if self.building.is_some() || !self.parts.is_empty() {
            return Ok(Progress::Ignored);
        }
        let store = self.continued("heartbeat")?;
        if heartbeat.version != store.version {
            return Err(SyncError::Gap { have: store.version, from: heartbeat.version });
        }
        if Digest::from_bytes(fixed(&heartbeat.digest, "digest")?) != store.set.digest() {
            return Err(SyncError::Digest(store.version));
        }
        Ok(Progress::Confirmed)
    }

    fn forget_parts(&mut self) {
        self.parts = Vec::new();
        self.part_shapes = Vec::new();
    }

    /// What this stream continues: a snapshot that is whole, else the store in force.
    fn continued(&mut self, what: &'static str) -> Result<&mut Store, SyncError> {
        let store = match &mut self.building {
            Some(building) => Some(&mut building.store).filter(|_| building.whole),
            None => self.store.as_mut().filter(|_| self.greeted),
        };
        store.ok_or(SyncError::OutOfPlace(what))
    }
}

fn read_shapes(shapes: &[edge::Shape]) -> Result<Vec<Shape>, SyncError> {
    if shapes.len() > MAX_SHAPES {
        return Err(SyncError::TooManyShapes(shapes.len()));
    }
    let mut known = Vec::with_capacity(shapes.len());
    for shape in shapes {
        let shape = Shape::try_from(shape)?;
        if !known.contains(&shape) {
            known.push(shape);
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests;
