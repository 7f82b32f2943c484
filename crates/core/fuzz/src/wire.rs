//! The control plane's messages: whatever comes, the set is the one that a plain map says it is, its digest is
//! that of its entries, and it stays within its bounds.

use std::collections::BTreeMap;

use portcullis_core::sync::{MAX_SHAPES, Progress, Sync};
use portcullis_core::wire::edge::control_message::Message as Control;
use portcullis_core::wire::edge::{
    ControlMessage, Delta, Header, Heartbeat, Pages, SnapshotChunk, SnapshotInfo,
};
use portcullis_core::{Change, Cutoff, Digest, Key, RevocationSet, Version};
use prost::Message as _;

use super::input::Input;

type Map = BTreeMap<Key, Cutoff>;

/// Raw messages, and messages that are right or wrong in one place.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut model = Model { sync: Sync::new(MAX_ENTRIES), set: Map::new(), version: 0, ready: false };
    model.snapshot(&mut Input(&[0, 2, 0]));
    while !input.is_empty() {
        match input.byte() % 8 {
            0 | 1 => {
                let count = input.short();
                model.raw(input.bytes(count));
            }
            2 | 3 => model.snapshot(&mut input),
            4 | 5 => model.delta(&mut input),
            6 => {
                model.sync.restart();
                model.ready = false;
            }
            _ => {
                model.sync.await_snapshot();
                model.ready = false;
            }
        }
        model.check();
    }
}

/// Few, so that sets that are too large come up.
const MAX_ENTRIES: u64 = 48;

struct Model {
    sync: Sync,
    set: Map,
    version: Version,
    /// Nothing is under way, so that what is right is taken.
    ready: bool,
}

impl Model {
    fn check(&self) {
        let Some(store) = self.sync.store() else { return };
        assert_eq!(store.set.iter().collect::<Map>(), self.set);
        assert_eq!((store.set.len(), store.set.digest()), (self.set.len(), digest(&self.set)));
        assert_eq!(store.version, self.version);
        assert!(store.shapes.as_slice().len() <= MAX_SHAPES && store.set.len() as u64 <= MAX_ENTRIES);
        assert!(self.set.iter().all(|(key, cutoff)| store.set.get(*key) == Some(*cutoff)));
    }

    fn raw(&mut self, bytes: &[u8]) {
        let before = self.sync.store().map(|store| store.set.digest());
        self.ready = false;
        match self.sync.receive(bytes) {
            Ok(Progress::Changed { changes, .. }) => self.apply(&changes),
            // By a digest that somebody has guessed: what is in it is all there is to compare with.
            Ok(Progress::Replaced) => {
                self.set = self.sync.store().map(|store| store.set.iter().collect()).unwrap_or_default();
            }
            _ => assert_eq!(self.sync.store().map(|store| store.set.digest()), before),
        }
        self.version = self.sync.store().map_or(0, |store| store.version);
    }

    fn snapshot(&mut self, input: &mut Input<'_>) {
        let damage = input.byte();
        let set: Map = entries(input).into_iter().collect();
        let (version, per_chunk) = (u64::from(input.byte()), usize::from(damage / 8 % 4) + 1);
        let mut info =
            SnapshotInfo { version, entries: set.len() as u64, digest: digest(&set).into(), current: 0 };
        match damage % 8 {
            1 => info.entries += 1,
            2 => info.entries = u64::MAX,
            3 => info.digest.iter_mut().take(1).for_each(|byte| *byte ^= 1),
            _ => {}
        }
        let mut chunks = Pages::of(&set_of(&set), per_chunk);
        if damage % 8 == 4 {
            chunks.extend(chunks.first().cloned());
        }
        if chunks.is_empty() {
            chunks.push(Pages::default());
        }
        let count = chunks.len();
        let chunks = chunks.into_iter().enumerate().map(|(at, pages)| {
            let index = u32::try_from(at).unwrap_or(u32::MAX) + u32::from(damage % 8 == 5);
            let last = at + 1 == count && damage % 8 != 6;
            Control::Chunk(SnapshotChunk { index, pages: Some(pages), last })
        });
        self.sync.restart();
        let mut last = self.send(Control::Header(header(info)));
        for chunk in chunks {
            last = self.send(chunk);
        }
        self.ready = last == Some(Progress::Replaced);
        let right = matches!(damage % 8, 0 | 7) || (damage % 8 == 4 && set.is_empty());
        assert_eq!(self.ready, right, "damage {}", damage % 8);
        if self.ready {
            (self.set, self.version) = (set, version);
        }
    }

    fn delta(&mut self, input: &mut Input<'_>) {
        let damage = input.byte();
        let mut delta = Delta {
            from_version: self.version,
            to_version: self.version.saturating_add(1),
            ..Delta::default()
        };
        entries(input).into_iter().for_each(|(key, cutoff)| delta.push(Change { key, cutoff: Some(cutoff) }));
        // Some of those that are there, and one that is not.
        let (skip, count) = (usize::from(input.byte()), usize::from(input.byte() % 4));
        let known = self.set.keys().skip(skip % 8).take(count).copied().chain([Key::from_bytes([255; 11])]);
        known.for_each(|key| delta.push(Change { key, cutoff: None }));
        let mut after = self.set.clone();
        let changes = delta.changes().unwrap_or_else(|error| panic!("{error}"));
        changes.iter().for_each(|change| apply(&mut after, *change));
        delta.digest = digest(&after).into();
        match damage % 8 {
            1 => delta.from_version = delta.from_version.wrapping_add(1),
            2 => delta.to_version = delta.from_version.wrapping_sub(1),
            3 => delta.digest.iter_mut().take(1).for_each(|byte| *byte ^= 1),
            4 => delta.digest.truncate(usize::from(damage / 8) % 16),
            5 => delta.removed.push(0),
            _ => {}
        }
        let fits = after.len() as u64 <= MAX_ENTRIES;
        let right = matches!(damage % 8, 0 | 6 | 7) && fits;
        let to = delta.to_version;
        let progress = self.send(Control::Delta(delta));
        let taken = matches!(progress, Some(Progress::Changed { .. }));
        assert!(!taken || right || (damage % 8 == 2 && fits), "damage {} is taken", damage % 8);
        assert!(taken || !right || !self.ready, "a change that is right is refused");
        if taken {
            (self.set, self.version) = (after, to);
        }
        self.ready &= taken;
        if taken && right {
            let heartbeat = Heartbeat { version: self.version, digest: digest(&self.set).into() };
            assert_eq!(self.send(Control::Heartbeat(heartbeat)), Some(Progress::Confirmed));
        }
    }

    fn send(&mut self, message: Control) -> Option<Progress> {
        self.sync.receive(&ControlMessage { message: Some(message) }.encode_to_vec()).ok()
    }

    fn apply(&mut self, changes: &[Change]) {
        changes.iter().for_each(|change| apply(&mut self.set, *change));
    }
}

fn apply(map: &mut Map, change: Change) {
    match change.cutoff {
        Some(cutoff) => drop(map.insert(change.key, cutoff)),
        None => drop(map.remove(&change.key)),
    }
}

fn digest(map: &Map) -> Digest {
    set_of(map).digest()
}

fn set_of(map: &Map) -> RevocationSet {
    let mut set = RevocationSet::default();
    for (key, cutoff) in map {
        set.apply(Change { key: *key, cutoff: Some(*cutoff) });
    }
    set
}

fn header(info: SnapshotInfo) -> Header {
    Header {
        store_id: vec![1; 16],
        hash_key: vec![2; 16],
        shapes: vec![],
        heartbeat_ms: 1_000,
        snapshot: Some(info),
    }
}

/// A few entries; keys are short numbers, so that some come again.
fn entries(input: &mut Input<'_>) -> Vec<(Key, Cutoff)> {
    let count = input.byte() % 24;
    let mut entry = || {
        let (number, cutoff) = (input.byte(), input.byte());
        let cutoff = if cutoff == 0 { Cutoff::Always } else { Cutoff::At(u64::from(cutoff)) };
        (Key::from_bytes([number % 64; 11]), cutoff)
    };
    (0..count).map(|_| entry()).collect()
}
