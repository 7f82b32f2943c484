//! What edges are sent: the changes as they happen, the changes since a version, or the whole set.
//!
//! Every update is encoded once and shared by all subscribers through one ring; a subscriber that falls out
//! of the ring catches up from the changes kept in memory, and it never slows another. Owns no lock: whoever
//! owns the state calls it under the state's own, so that nothing falls between a snapshot and what follows.

use std::collections::VecDeque;
use std::sync::Arc;

use portcullis_core::wire::edge::control_message::Message;
use portcullis_core::wire::edge::{self, Position};
use portcullis_core::{Key, Shape, Version};
use tokio::sync::broadcast;

use crate::clock::UnixMillis;
use crate::edge::codec::Framed;
use crate::state::State;

mod encode;
#[cfg(test)]
mod tests;

pub use encode::Snapshot;

/// Most shapes that are announced before everybody is asked to start over with those in use. Edges take 64.
const MAX_ANNOUNCED: usize = 48;
/// Updates that wait in memory for subscribers; shared by all of them.
const RING: usize = 1_024;

/// The way from the state to the subscribers.
#[derive(Debug)]
pub struct Feed {
    store_id: [u8; 16],
    heartbeat_ms: u32,
    // The keys that changed, oldest first; what they changed to is in the set.
    changed: VecDeque<(Version, Key)>,
    capacity: usize,
    // `changed` holds every change after this version.
    horizon: Version,
    snapshot: Option<Arc<Snapshot>>,
    // The last catch-up: after a restart of this process all edges come back from the same version.
    caught_up: Option<(Version, Arc<Update>)>,
    // What subscribers evaluate: every shape in use, and those that have been since the first of them came,
    // each with the version that announced it. An edge only ever adds shapes, so none is announced twice.
    announced: Vec<(Version, Shape)>,
    sender: broadcast::Sender<Arc<Update>>,
}

/// Changes between two versions, encoded.
#[derive(Debug)]
pub struct Update {
    /// The version that it continues.
    pub from: Version,
    /// The version that it leads to.
    pub to: Version,
    /// One message or more.
    pub parts: Vec<Framed>,
    /// Too many shapes have come and gone: subscribers are to come back for a new header.
    pub starts_over: bool,
}

/// What a new subscriber is sent, and where the rest comes from.
#[derive(Debug)]
pub struct Start {
    /// The first message.
    pub header: Framed,
    /// The whole set, unless the subscriber's own can be continued.
    pub snapshot: Option<Arc<Snapshot>>,
    /// From the snapshot or the subscriber's own version to now.
    pub catch_up: Arc<Update>,
    /// Everything after that.
    pub updates: broadcast::Receiver<Arc<Update>>,
}

impl Feed {
    /// A feed of a store whose log has been compacted up to that version; keeps up to `capacity` changes.
    #[must_use]
    pub fn new(store_id: [u8; 16], compacted: Version, capacity: usize, heartbeat_ms: u32) -> Self {
        Self {
            store_id,
            heartbeat_ms,
            changed: VecDeque::new(),
            capacity,
            horizon: compacted,
            snapshot: None,
            caught_up: None,
            announced: Vec::new(),
            sender: broadcast::Sender::new(RING),
        }
    }

    /// An event has changed these keys.
    pub fn record(&mut self, version: Version, changed: &[Key]) {
        // More than fits would push itself out.
        let excess = changed.len().saturating_sub(self.capacity);
        if excess > 0 {
            self.horizon = self.horizon.max(version);
            self.changed.clear();
            return;
        }
        self.changed.extend(changed.iter().map(|key| (version, *key)));
        while self.changed.len() > self.capacity {
            if let Some((version, _)) = self.changed.pop_front() {
                self.horizon = self.horizon.max(version);
            }
        }
    }

    /// Sends what has been recorded after `from` to all subscribers. Whether anyone is there to be sent it.
    pub fn publish(
        &mut self,
        state: &State,
        from: Version,
        changed: Vec<Key>,
        shapes: &[Shape],
        accepted_at_ms: UnixMillis,
    ) -> bool {
        if self.sender.receiver_count() == 0 {
            return false;
        }
        let new: Vec<Shape> = shapes.iter().filter(|shape| !self.has_announced(shape)).cloned().collect();
        let mut update = encode::update(state, from, changed, &new, accepted_at_ms);
        self.announced.extend(new.into_iter().map(|shape| (state.version(), shape)));
        if self.announced.len() > MAX_ANNOUNCED {
            self.announce_used(state);
            update.starts_over = true;
        }
        // The last one may just have gone.
        self.sender.send(Arc::new(update)).is_ok()
    }

    /// Starts a subscriber that has `position`; without one, or with one that cannot be continued, by a
    /// snapshot.
    pub fn start(&mut self, state: &State, position: Option<&Position>) -> Start {
        if self.sender.receiver_count() == 0 {
            self.announce_used(state);
        }
        let position = position.filter(|position| position.store_id == self.store_id);
        let continued = position.and_then(|position| self.since(state, position.version));
        let (snapshot, catch_up) = match continued {
            Some(catch_up) => (None, catch_up),
            None => {
                let snapshot = self.snapshot(state);
                let catch_up = self.since(state, snapshot.version);
                // The snapshot is chosen so that it can be continued.
                (
                    Some(Arc::clone(&snapshot)),
                    catch_up.unwrap_or_else(|| Arc::new(Update::none(snapshot.version))),
                )
            }
        };
        let header = Message::Header(edge::Header {
            store_id: self.store_id.to_vec(),
            hash_key: state.hash_key().bytes().to_vec(),
            shapes: self.announced.iter().map(|(_, shape)| shape.into()).collect(),
            heartbeat_ms: self.heartbeat_ms,
            snapshot: snapshot.as_ref().map(|snapshot| snapshot.info(state.version())),
        });
        Start { header: header.into(), snapshot, catch_up, updates: self.updates() }
    }

    /// What a subscriber that has been sent everything up to a version has missed since; `None` when that is
    /// not known any more.
    #[must_use]
    pub fn missed(&self, state: &State, version: Version) -> Option<Update> {
        let keys = self.changed_since(state, version)?;
        let new = self.announced.iter().filter(|(announced, _)| *announced > version);
        let shapes: Vec<Shape> = new.map(|(_, shape)| shape.clone()).collect();
        Some(encode::update(state, version, keys, &shapes, 0))
    }

    /// The changes after a version for a subscriber that has just been sent the shapes, each key once with
    /// its last value; `None` when they are not known any more, or that version is not of this log's past.
    fn since(&mut self, state: &State, version: Version) -> Option<Arc<Update>> {
        if version == state.version() {
            return Some(Arc::new(Update::none(version)));
        }
        if let Some((from, update)) = &self.caught_up
            && *from == version
            && update.to == state.version()
        {
            return Some(Arc::clone(update));
        }
        let keys = self.changed_since(state, version)?;
        let update = Arc::new(encode::update(state, version, keys, &[], 0));
        self.caught_up = Some((version, Arc::clone(&update)));
        Some(update)
    }

    /// Everything that is published from now on.
    #[must_use]
    pub fn updates(&self) -> broadcast::Receiver<Arc<Update>> {
        self.sender.subscribe()
    }

    /// Where the log stands, for a subscriber that has been sent everything.
    #[must_use]
    pub fn heartbeat(state: &State) -> Framed {
        let digest = state.ledger().set().digest().into();
        Message::Heartbeat(edge::Heartbeat { version: state.version(), digest }).into()
    }

    /// The oldest version that can be continued by changes.
    #[must_use]
    pub fn horizon(&self) -> Version {
        self.horizon
    }

    fn changed_since(&self, state: &State, version: Version) -> Option<Vec<Key>> {
        if version < self.horizon || version > state.version() {
            return None;
        }
        let start = self.changed.partition_point(|(changed, _)| *changed <= version);
        Some(self.changed.range(start..).map(|(_, key)| *key).collect())
    }

    fn has_announced(&self, shape: &Shape) -> bool {
        self.announced.iter().any(|(_, announced)| announced == shape)
    }

    fn announce_used(&mut self, state: &State) {
        self.announced = state.shapes().map(|shape| (state.version(), shape.clone())).collect();
    }

    // One for all subscribers, for as long as the changes since are known.
    fn snapshot(&mut self, state: &State) -> Arc<Snapshot> {
        let horizon = self.horizon;
        match self.snapshot.take().filter(|snapshot| snapshot.version >= horizon) {
            Some(snapshot) => Arc::clone(self.snapshot.insert(snapshot)),
            None => Arc::clone(self.snapshot.insert(Arc::new(Snapshot::of(state)))),
        }
    }
}
