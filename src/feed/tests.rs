use portcullis_core::sync::{Progress, Sync};
use portcullis_core::{HashKey, Selector};

use super::*;
use crate::log::wire::event::Event as Body;
use crate::log::{wire, wire_requirements};

/// A state with its feed, as the control plane keeps them.
struct Store {
    state: State,
    feed: Feed,
}

impl Store {
    fn new(capacity: usize) -> Self {
        Self { state: State::new(HashKey::new([1; 16])), feed: Feed::new([2; 16], 0, capacity, 5_000) }
    }

    fn apply(&mut self, body: Body) {
        let from = self.state.version();
        let event = wire::Event { at_ms: 1, actor: None, event: Some(body) };
        let effect = self.state.apply(from + 1, event).unwrap();
        self.feed.record(from + 1, &effect.changed);
        self.feed.publish(&self.state, from, effect.changed, &effect.shapes, 1);
    }

    fn revoke(&mut self, sid: u32) {
        let selector = Selector::session("https://i", &sid.to_string()).unwrap();
        let requirements = wire_requirements(&selector);
        self.apply(Body::Revoked(wire::Revoked { requirements, expires_at: Some(9), ..Default::default() }));
    }

    fn undo(&mut self, revocation: Version) {
        self.apply(Body::Undone(wire::Undone { revocation, reason: String::new() }));
    }

    fn revoke_claim(&mut self, name: &str) {
        let field = portcullis_core::Field::Claim(name.parse().unwrap());
        let selector = Selector::new(vec![(field, "x".into())], portcullis_core::CutoffClaim::Iat).unwrap();
        let requirements = wire_requirements(&selector);
        self.apply(Body::Revoked(wire::Revoked { requirements, ..Default::default() }));
    }

    fn start(&mut self, edge: &Sync) -> Start {
        self.feed.start(&self.state, edge.position().as_ref())
    }

    /// Brings an edge up to date and says how many changes that took, or `None` for a snapshot.
    fn synchronize(&mut self, edge: &mut Sync) -> Option<usize> {
        edge.restart();
        let start = self.start(edge);
        edge.receive(start.header.message()).unwrap();
        for chunk in start.snapshot.iter().flat_map(|snapshot| &snapshot.chunks) {
            edge.receive(chunk.message()).unwrap();
        }
        let changes = take(edge, &start.catch_up);
        let store = edge.store().unwrap();
        assert_eq!(store.version, self.state.version());
        assert_eq!(store.set.digest(), self.state.ledger().set().digest());
        start.snapshot.is_none().then_some(changes)
    }
}

fn take(edge: &mut Sync, update: &Update) -> usize {
    let progress = update.parts.iter().map(|part| match edge.receive(part.message()).unwrap() {
        Progress::Changed { changes, .. } => changes.len(),
        Progress::Part | Progress::Replaced => 0,
        other => panic!("{other:?}"),
    });
    progress.sum()
}

#[test]
fn an_edge_that_was_away_gets_what_it_missed() {
    let mut store = Store::new(100);
    let (mut edge, mut fresh) = (Sync::default(), Sync::default());
    store.revoke(1);
    assert_eq!(store.synchronize(&mut edge), None);
    (2..=31).for_each(|sid| store.revoke(sid));
    assert_eq!(store.synchronize(&mut edge), Some(30));
    assert_eq!(store.synchronize(&mut edge), Some(0));
    assert_eq!(store.synchronize(&mut fresh), None);
    assert_eq!(fresh.store().unwrap().set.digest(), edge.store().unwrap().set.digest());
}

#[test]
fn an_edge_that_was_away_too_long_gets_the_set() {
    let mut store = Store::new(10);
    let mut edge = Sync::default();
    store.synchronize(&mut edge);
    (1..=10).for_each(|sid| store.revoke(sid));
    assert_eq!(store.synchronize(&mut edge), Some(10));
    (11..=21).for_each(|sid| store.revoke(sid));
    assert_eq!(store.synchronize(&mut edge), None);
    assert_eq!(edge.store().unwrap().set.len(), 21);
}

#[test]
fn a_key_that_changed_twice_is_one_change() {
    let mut store = Store::new(100);
    let mut edge = Sync::default();
    store.synchronize(&mut edge);
    store.revoke(1);
    store.revoke(2);
    store.undo(1);
    assert_eq!(store.synchronize(&mut edge), Some(2));
}

#[test]
fn another_store_or_a_future_version_is_not_continued() {
    let mut store = Store::new(100);
    store.revoke(1);
    let start = |store: &mut Store, store_id: [u8; 16], version| {
        let position = Position { store_id: store_id.to_vec(), version };
        store.feed.start(&store.state, Some(&position)).snapshot.is_some()
    };
    assert!(!start(&mut store, [2; 16], 1));
    assert!(start(&mut store, [3; 16], 1));
    assert!(start(&mut store, [2; 16], 2));
}

#[test]
fn nothing_falls_between_the_start_and_the_updates() {
    let mut store = Store::new(100);
    store.revoke(1);
    let mut edge = Sync::default();
    let mut start = store.start(&edge);
    store.revoke(2);
    edge.receive(start.header.message()).unwrap();
    for chunk in &start.snapshot.as_ref().unwrap().chunks {
        edge.receive(chunk.message()).unwrap();
    }
    take(&mut edge, &start.catch_up);
    let update = start.updates.try_recv().unwrap();
    assert_eq!((update.from, update.to, take(&mut edge, &update)), (1, 2, 1));
}

#[test]
fn the_snapshot_is_made_once_and_continued() {
    let mut store = Store::new(10);
    store.revoke(1);
    let fresh = Sync::default();
    let first = store.start(&fresh).snapshot.unwrap();
    store.revoke(2);
    let start = store.start(&fresh);
    assert!(Arc::ptr_eq(&first, &start.snapshot.unwrap()));
    assert_eq!((start.catch_up.from, start.catch_up.to), (1, 2));
    (3..=20).for_each(|sid| store.revoke(sid));
    assert!(!Arc::ptr_eq(&first, &store.start(&fresh).snapshot.unwrap()));
}

#[test]
fn long_updates_come_in_parts() {
    let mut store = Store::new(100_000);
    let mut edge = Sync::default();
    store.synchronize(&mut edge);
    let many = u32::try_from(encode::PER_MESSAGE).unwrap() * 4 + 1;
    (1..=many).for_each(|sid| store.revoke(sid));
    let start = store.start(&edge);
    assert_eq!(start.catch_up.parts.len(), 5);
    assert!(start.catch_up.parts.iter().all(|part| part.message().len() <= 64 * 1_024));
    assert_eq!(store.synchronize(&mut edge), Some(many as usize));
    store.apply(Body::Swept(wire::Swept { until: 9 }));
    assert_eq!(store.synchronize(&mut edge), Some(many as usize));
    let mut fresh = Sync::default();
    let mut other = Store::new(100_000);
    (1..=many).for_each(|sid| other.revoke(sid));
    assert_eq!(other.synchronize(&mut fresh), None);
    let chunks = &other.start(&Sync::default()).snapshot.unwrap().chunks;
    assert!(chunks.len() > 1 && chunks.iter().all(|chunk| chunk.message().len() <= 64 * 1_024));
}

#[test]
fn more_at_once_than_is_kept_is_a_snapshot() {
    let mut fresh = Sync::default();
    let mut small = Store::new(10);
    (1..=20).for_each(|sid| small.revoke(sid));
    small.synchronize(&mut fresh);
    small.apply(Body::Swept(wire::Swept { until: 9 }));
    assert_eq!(small.synchronize(&mut fresh), None);
}

#[test]
fn a_shape_that_comes_and_goes_is_announced_once() {
    let mut store = Store::new(100);
    let mut edge = Sync::default();
    edge.restart();
    let mut start = store.start(&edge);
    edge.receive(start.header.message()).unwrap();
    edge.receive(start.snapshot.as_ref().unwrap().chunks[0].message()).unwrap();
    for _ in 0..100 {
        store.revoke(1);
        take(&mut edge, &start.updates.try_recv().unwrap());
        store.undo(store.state.version());
        take(&mut edge, &start.updates.try_recv().unwrap());
    }
    assert_eq!(edge.store().unwrap().shapes.as_slice().len(), 1);
    // The next to come alone is told what is in use, which is nothing.
    drop(start);
    assert_eq!(store.synchronize(&mut edge), Some(0));
    assert_eq!(edge.store().unwrap().shapes.as_slice().len(), 0);
}

#[test]
fn what_was_missed_has_the_shapes_that_were_announced_since() {
    let mut store = Store::new(100);
    let mut edge = Sync::default();
    store.revoke_claim("a");
    edge.restart();
    let start = store.start(&edge);
    edge.receive(start.header.message()).unwrap();
    edge.receive(start.snapshot.as_ref().unwrap().chunks[0].message()).unwrap();
    store.revoke_claim("b");
    store.revoke_claim("c");
    let missed = store.feed.missed(&store.state, 1).unwrap();
    assert_eq!(take(&mut edge, &missed), 2);
    assert_eq!(edge.store().unwrap().shapes.as_slice().len(), 3);
}

#[test]
fn too_many_shapes_over_time_are_a_new_start() {
    let mut store = Store::new(1_000);
    let mut updates = store.start(&Sync::default()).updates;
    let mut over = Vec::new();
    for n in 0..100 {
        store.revoke_claim(&n.to_string());
        over.push(updates.try_recv().unwrap().starts_over);
        store.undo(store.state.version());
        updates.try_recv().unwrap();
    }
    assert_eq!(over.iter().filter(|over| **over).count(), 2);
    let mut edge = Sync::default();
    assert_eq!(store.synchronize(&mut edge), None);
    assert!(edge.store().unwrap().shapes.as_slice().len() < MAX_ANNOUNCED);
}
