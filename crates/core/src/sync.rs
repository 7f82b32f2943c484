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
use crate::set::{Change, Digest, RevocationSet, most_in_page};
use crate::shapes::Shapes;
use crate::wire::edge::control_message::Message as Control;
use crate::wire::edge::{self, ControlMessage, Position};
use crate::wire::{Weight, WireError, fixed};

mod changes;
mod error;

use changes::{len_after, settled};
pub use error::SyncError;

/// Most entries of a worker's set. With so many the odds that one look-up of another value matches are 7e-19, and a
/// new set next to the old one takes 510 MB at most, half of what Envoy gives a VM. The policy may ask for fewer.
pub const MAX_ENTRIES: u64 = 14_000_000;
/// Most changes of a catch-up that are kept until its last part; fewer when the set may have fewer entries, since
/// a snapshot is the shorter way then.
pub const MAX_CATCH_UP: usize = 1_000_000;
/// Longest message, in bytes; the same is asked of Envoy (`ControlPlane::target`).
pub const MAX_MESSAGE_BYTES: usize = 8_392_800;
/// Most bytes that the shapes of one message may take. Decoded they take up to ten times as much.
const MAX_SHAPE_BYTES: usize = 1 << 20;
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
    pub shapes: Shapes,
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
    received: u64,
    digest: Digest,
    next_chunk: u32,
    next_page: u16,
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

/// What a worker has of a store, and what it is receiving.
#[derive(Debug)]
pub struct Sync {
    max_entries: u64,
    store: Option<Store>,
    building: Option<Building>,
    // Nothing but the header of a snapshot is of use until it comes.
    asked_for_snapshot: bool,
    greeted: bool,
    // The parts of a catch-up before its last, and the shapes that came with them.
    parts: Vec<Change>,
    part_shapes: Vec<Shape>,
}

impl Default for Sync {
    fn default() -> Self {
        Self::new(MAX_ENTRIES)
    }
}

impl Sync {
    /// Knows nothing yet, and takes a set of that many entries.
    #[must_use]
    pub fn new(max_entries: u64) -> Self {
        Self {
            max_entries: max_entries.min(MAX_ENTRIES),
            store: None,
            building: None,
            asked_for_snapshot: false,
            greeted: false,
            parts: Vec::new(),
            part_shapes: Vec::new(),
        }
    }

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
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(SyncError::TooLong);
        }
        let weight = Weight::of(bytes)?;
        if weight.shapes > MAX_SHAPES {
            return Err(SyncError::TooManyShapes(weight.shapes));
        }
        if weight.bytes > MAX_SHAPE_BYTES {
            return Err(SyncError::LargeShapes(weight.bytes));
        }
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
        // It comes after the shapes: a header that was cut short shows here, and never passes for one of fewer.
        if header.heartbeat_ms == 0 {
            return Err(WireError::Field("heartbeat_ms").into());
        }
        let mut reshaped = false;
        if let Some(info) = header.snapshot {
            check_size(info.entries, self.max_entries)?;
            let digest = Digest::from_bytes(fixed(&info.digest, "digest")?);
            let shapes = Shapes::new(shapes);
            let store = Store { id, hash_key, shapes, set: RevocationSet::default(), version: info.version };
            let (entries, current) = (info.entries, info.current);
            let building = Building {
                store,
                entries,
                received: 0,
                digest,
                next_chunk: 0,
                next_page: 0,
                whole: false,
                current,
            };
            self.building = Some(building);
        } else {
            let store = self.store.as_mut().filter(|_| !self.asked_for_snapshot);
            let store = store.filter(|store| store.id == id && store.hash_key == hash_key);
            let store = store.ok_or(SyncError::OtherStore)?;
            reshaped = store.shapes != *shapes;
            if reshaped {
                store.shapes = Shapes::new(shapes);
            }
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
        building.next_chunk = building.next_chunk.wrapping_add(1);
        let entries = chunk.pages.as_ref().map_or(0, edge::Pages::count);
        if entries == 0 && !chunk.last {
            return Err(SyncError::Empty("chunk"));
        }
        // Before any of them takes room.
        building.received = building.received.saturating_add(entries as u64);
        if building.received > building.entries {
            return Err(SyncError::Count { announced: building.entries, received: building.received });
        }
        let set = &mut building.store.set;
        if let Some(pages) = &chunk.pages {
            let most = most_in_page(usize::try_from(building.entries).unwrap_or(usize::MAX));
            for page in pages.read()? {
                let entries = page.always.len().saturating_add(page.timed.len());
                if entries > most {
                    return Err(SyncError::NotSpread(entries));
                }
                // Also an empty page ends those before it.
                if page.number < building.next_page {
                    return Err(SyncError::OutOfOrder);
                }
                building.next_page = page.number.saturating_add(1);
                set.fill(page).map_err(|_| SyncError::OutOfOrder)?;
            }
        }
        if !chunk.last {
            return Ok(Progress::Part);
        }
        if building.received != building.entries {
            return Err(SyncError::Count { announced: building.entries, received: building.received });
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
        added.retain(|shape| !store.shapes.as_slice().contains(shape));
        let known = store.shapes.as_slice().len();
        added.retain(|shape| !self.part_shapes.contains(shape));
        added.splice(..0, self.part_shapes.iter().cloned());
        let shapes = known.saturating_add(added.len());
        if shapes > MAX_SHAPES {
            return Err(SyncError::TooManyShapes(shapes));
        }
        let Some(digest) = digest else {
            return self.part(changes, added);
        };
        changes.splice(..0, core::mem::take(&mut self.parts));
        let changes = settled(&changes);
        self.forget_parts();
        let limit = self.max_entries;
        let store = self.continued("delta")?;
        check_size(len_after(&store.set, &changes), limit)?;
        let undo: Vec<Change> = changes.iter().map(|change| store.set.apply(*change)).collect();
        let wrong = if store.set.digest() != digest {
            Some(SyncError::Digest(delta.to_version))
        } else {
            let spread = changes.iter().all(|change| store.set.is_spread_at(change.key));
            (!spread).then(|| SyncError::NotSpread(store.set.len()))
        };
        if let Some(wrong) = wrong {
            for change in undo.into_iter().rev() {
                store.set.apply(change);
            }
            return Err(wrong);
        }
        let reshaped = !added.is_empty();
        store.shapes.extend(added);
        store.version = delta.to_version;
        if self.building.is_some() {
            return Ok(self.replace_when_current());
        }
        Ok(Progress::Changed { changes, reshaped, accepted_at: delta.accepted_at_ms })
    }

    /// Keeps a part of a catch-up for its last.
    fn part(&mut self, mut changes: Vec<Change>, shapes: Vec<Shape>) -> Result<Progress, SyncError> {
        if changes.is_empty() {
            return Err(SyncError::Empty("delta"));
        }
        let most = usize::try_from(self.max_entries).unwrap_or(MAX_CATCH_UP).min(MAX_CATCH_UP);
        if self.parts.len().saturating_add(changes.len()) > most {
            return Err(SyncError::LongCatchUp(most));
        }
        self.part_shapes = shapes;
        self.parts.append(&mut changes);
        Ok(Progress::Part)
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

fn check_size(revocations: u64, limit: u64) -> Result<(), SyncError> {
    if revocations > limit { Err(SyncError::TooLarge { revocations, limit }) } else { Ok(()) }
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
