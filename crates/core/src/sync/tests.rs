use alloc::vec;

use super::*;
use crate::cutoff::{Cutoff, CutoffClaim};
use crate::field::Field;
use crate::key::Key;
use crate::selector::Selector;

fn change(n: u8) -> Change {
    Change { key: Key::from_bytes([n; 11]), cutoff: Some(Cutoff::Always) }
}

fn set_of(keys: &[u8]) -> RevocationSet {
    let mut set = RevocationSet::default();
    for n in keys {
        set.apply(change(*n));
    }
    set
}

fn message(message: Control) -> Vec<u8> {
    ControlMessage { message: Some(message) }.encode_to_vec()
}

fn header(snapshot: Option<(Version, &[u8])>) -> Vec<u8> {
    header_at(snapshot, 0)
}

/// The header of a snapshot that changes up to `current` follow.
fn header_at(snapshot: Option<(Version, &[u8])>, current: Version) -> Vec<u8> {
    let info = snapshot.map(|(version, keys)| edge::SnapshotInfo {
        version,
        entries: keys.len() as u64,
        digest: set_of(keys).digest().into(),
        current,
    });
    message(Control::Header(edge::Header {
        store_id: vec![1; 16],
        hash_key: vec![2; 16],
        shapes: vec![],
        heartbeat_ms: 1000,
        snapshot: info,
    }))
}

fn chunk(index: u32, keys: &[u8], last: bool) -> Vec<u8> {
    let pages = edge::Pages::of(&set_of(keys), usize::MAX).pop();
    message(Control::Chunk(edge::SnapshotChunk { index, pages, last }))
}

fn delta(from: Version, to: Version, keys: &[u8], after: Option<&[u8]>) -> edge::Delta {
    let mut delta = edge::Delta { from_version: from, to_version: to, ..Default::default() };
    keys.iter().for_each(|n| delta.push(change(*n)));
    delta.digest = after.map(|keys| set_of(keys).digest().into()).unwrap_or_default();
    delta
}

fn heartbeat(version: Version, keys: &[u8]) -> Vec<u8> {
    message(Control::Heartbeat(edge::Heartbeat { version, digest: set_of(keys).digest().into() }))
}

fn synced(keys: &[u8]) -> Sync {
    let mut sync = Sync::default();
    sync.receive(&header(Some((5, keys)))).unwrap();
    assert_eq!(sync.receive(&chunk(0, keys, true)), Ok(Progress::Replaced));
    sync
}

#[track_caller]
fn holds(sync: &Sync, version: Version, keys: &[u8]) {
    let store = sync.store().unwrap();
    assert_eq!((store.version, &store.set), (version, &set_of(keys)));
}

#[test]
fn a_snapshot_is_in_force_when_it_is_whole() {
    let mut sync = Sync::default();
    assert_eq!(
        sync.receive(&header(Some((5, &[1, 2])))),
        Ok(Progress::Greeted { heartbeat: 1000, reshaped: false })
    );
    assert_eq!(sync.receive(&chunk(0, &[1], false)), Ok(Progress::Part));
    assert!(sync.store().is_none());
    assert_eq!(sync.receive(&chunk(1, &[2], true)), Ok(Progress::Replaced));
    holds(&sync, 5, &[1, 2]);
    assert_eq!(sync.receive(&heartbeat(5, &[1, 2])), Ok(Progress::Confirmed));
}

#[test]
fn an_empty_store_needs_one_empty_chunk() {
    let sync = synced(&[]);
    holds(&sync, 5, &[]);
}

#[test]
fn chunks_that_do_not_add_up_leave_the_old_set() {
    let check = |messages: &[Vec<u8>], expect: SyncError| {
        let mut sync = synced(&[9]);
        sync.restart();
        let mut last = Ok(Progress::Part);
        for message in messages {
            last = sync.receive(message);
        }
        assert_eq!(last, Err(expect));
        holds(&sync, 5, &[9]);
    };
    let head = header(Some((7, &[1, 2])));
    check(&[head.clone(), chunk(1, &[1], false)], SyncError::OutOfPlace("chunk"));
    check(&[head.clone(), chunk(0, &[1], true)], SyncError::Count { announced: 2, received: 1 });
    check(&[head.clone(), chunk(0, &[1, 1], true)], SyncError::Count { announced: 2, received: 1 });
    check(&[head.clone(), chunk(0, &[1, 2, 3], false)], SyncError::Count { announced: 2, received: 3 });
    check(&[head.clone(), chunk(0, &[1, 3], true)], SyncError::SnapshotDigest(7));
    check(&[head.clone(), message(Control::Delta(delta(5, 6, &[1], None)))], SyncError::OutOfPlace("delta"));
    check(&[chunk(0, &[1], true)], SyncError::OutOfPlace("chunk"));
    check(&[head.clone(), head], SyncError::OutOfPlace("header"));
}

#[test]
fn deltas_continue_the_version() {
    let mut sync = synced(&[1]);
    let next = delta(5, 7, &[2, 3], Some(&[1, 2, 3]));
    let changes = vec![change(2), change(3)];
    let expect = Progress::Changed { changes, reshaped: false, accepted_at: 0 };
    assert_eq!(sync.receive(&message(Control::Delta(next.clone()))), Ok(expect));
    holds(&sync, 7, &[1, 2, 3]);
    let gap = SyncError::Gap { have: 7, from: 5 };
    assert_eq!(sync.receive(&message(Control::Delta(next))), Err(gap.clone()));
    assert!(gap.is_mended_by_snapshot());
    let gap = SyncError::Gap { have: 7, from: 8 };
    assert_eq!(sync.receive(&heartbeat(8, &[1, 2, 3])), Err(gap));
    assert_eq!(sync.receive(&heartbeat(7, &[1, 2])), Err(SyncError::Digest(7)));
}

#[test]
fn a_long_catch_up_is_in_force_with_its_last_part() {
    let shape = Selector::session("i", "s").unwrap().shape().clone();
    let mut sync = synced(&[1]);
    sync.restart();
    sync.receive(&header(None)).unwrap();
    let mut part = delta(5, 9, &[2], None);
    part.shapes = vec![edge::Shape::from(&shape)];
    assert_eq!(sync.receive(&message(Control::Delta(part))), Ok(Progress::Part));
    holds(&sync, 5, &[1]);
    assert_eq!(sync.receive(&heartbeat(9, &[1, 2, 3])), Ok(Progress::Ignored));
    let last = sync.receive(&message(Control::Delta(delta(5, 9, &[3], Some(&[1, 2, 3])))));
    let changes = vec![change(2), change(3)];
    assert_eq!(last, Ok(Progress::Changed { changes, reshaped: true, accepted_at: 0 }));
    holds(&sync, 9, &[1, 2, 3]);
    assert_eq!(sync.store().unwrap().shapes.as_slice(), core::slice::from_ref(&shape));
}

#[test]
fn a_catch_up_that_breaks_off_has_never_been() {
    let mut sync = synced(&[1]);
    sync.restart();
    sync.receive(&header(None)).unwrap();
    let mut part = delta(5, 9, &[2], None);
    part.removed = [1; 11].to_vec();
    part.shapes = vec![edge::Shape::from(Selector::session("i", "s").unwrap().shape())];
    sync.receive(&message(Control::Delta(part.clone()))).unwrap();
    holds(&sync, 5, &[1]);
    sync.restart();
    sync.receive(&header(None)).unwrap();
    part.digest = vec![0; 16];
    assert_eq!(sync.receive(&message(Control::Delta(part))), Err(SyncError::Digest(9)));
    holds(&sync, 5, &[1]);
    assert!(sync.store().unwrap().shapes.as_slice().is_empty());
    let right = delta(5, 6, &[2], Some(&[1, 2]));
    sync.receive(&message(Control::Delta(right))).unwrap();
    holds(&sync, 6, &[1, 2]);
}

#[test]
fn a_wrong_digest_is_mended_by_a_snapshot_and_nothing_else_is_heard_until_then() {
    let mut sync = synced(&[1]);
    let wrong = message(Control::Delta(delta(5, 6, &[2], Some(&[1]))));
    assert_eq!(sync.receive(&wrong), Err(SyncError::Digest(6)));
    sync.await_snapshot();
    assert_eq!(sync.receive(&message(Control::Delta(delta(6, 7, &[3], Some(&[3]))))), Ok(Progress::Ignored));
    assert_eq!(sync.receive(&header(None)), Err(SyncError::OtherStore));
    sync.receive(&header(Some((8, &[1, 3])))).unwrap();
    holds(&sync, 5, &[1]);
    sync.receive(&chunk(0, &[1, 3], true)).unwrap();
    holds(&sync, 8, &[1, 3]);
}

#[test]
fn another_store_cannot_be_continued() {
    let mut sync = synced(&[1]);
    sync.restart();
    let other = edge::Header {
        store_id: vec![3; 16],
        hash_key: vec![2; 16],
        heartbeat_ms: 1000,
        ..Default::default()
    };
    let refused = Err(SyncError::OtherStore);
    assert_eq!(sync.receive(&message(Control::Header(other))), refused);
    let rekeyed = edge::Header {
        store_id: vec![1; 16],
        hash_key: vec![3; 16],
        heartbeat_ms: 1000,
        ..Default::default()
    };
    assert_eq!(sync.receive(&message(Control::Header(rekeyed))), refused);
    holds(&sync, 5, &[1]);
}

#[test]
fn new_shapes_come_with_the_delta_that_needs_them() {
    let mut sync = synced(&[]);
    let shape = Selector::session("i", "s").unwrap().shape().clone();
    let mut next = delta(5, 6, &[1], Some(&[1]));
    next.shapes = vec![edge::Shape::from(&shape)];
    let Ok(Progress::Changed { reshaped: true, .. }) = sync.receive(&message(Control::Delta(next))) else {
        panic!("not reshaped");
    };
    assert_eq!(sync.store().unwrap().shapes.as_slice(), core::slice::from_ref(&shape));
    let mut again = delta(6, 7, &[], Some(&[1]));
    again.shapes = vec![edge::Shape::from(&shape); 64];
    assert_eq!(
        sync.receive(&message(Control::Delta(again))),
        Ok(Progress::Changed { changes: vec![], reshaped: false, accepted_at: 0 })
    );
    assert_eq!(sync.store().unwrap().shapes.as_slice(), core::slice::from_ref(&shape));
    let mut flood = delta(7, 8, &[], Some(&[1]));
    let other = |n: usize| {
        let field = Field::Claim(alloc::format!("c{n}").parse().unwrap());
        edge::Shape::from(&Shape::new(vec![field], CutoffClaim::Iat).unwrap())
    };
    flood.shapes = (0..64).map(other).collect();
    let refused = sync.receive(&message(Control::Delta(flood)));
    assert_eq!(refused, Err(SyncError::TooManyShapes(65)));
    assert_eq!(sync.store().unwrap().shapes.as_slice().len(), 1);
}

#[test]
fn an_old_snapshot_is_not_in_force_before_the_changes_since_it() {
    let mut sync = synced(&[9]);
    sync.restart();
    let apply = |sync: &mut Sync, delta| sync.receive(&message(Control::Delta(delta)));
    assert!(sync.receive(&header_at(Some((6, &[1])), 8)).is_ok());
    assert_eq!(sync.receive(&chunk(0, &[1], true)), Ok(Progress::Part));
    holds(&sync, 5, &[9]);
    assert_eq!(sync.receive(&heartbeat(6, &[1])), Ok(Progress::Ignored));
    assert_eq!(apply(&mut sync, delta(6, 7, &[2], Some(&[1, 2]))), Ok(Progress::Part));
    holds(&sync, 5, &[9]);
    // In two parts, of which the last moves the version.
    assert_eq!(apply(&mut sync, delta(7, 8, &[3], None)), Ok(Progress::Part));
    assert_eq!(apply(&mut sync, delta(7, 8, &[4], Some(&[1, 2, 3, 4]))), Ok(Progress::Replaced));
    holds(&sync, 8, &[1, 2, 3, 4]);
}

#[test]
fn changes_that_do_not_continue_an_old_snapshot_leave_the_set_in_force() {
    let mut sync = synced(&[9]);
    sync.restart();
    assert!(sync.receive(&header_at(Some((6, &[1])), 8)).is_ok());
    assert_eq!(sync.receive(&chunk(0, &[1], true)), Ok(Progress::Part));
    assert_eq!(sync.receive(&chunk(1, &[2], true)), Err(SyncError::OutOfPlace("chunk")));
    let wrong = message(Control::Delta(delta(6, 8, &[2], Some(&[3]))));
    assert_eq!(sync.receive(&wrong), Err(SyncError::Digest(8)));
    holds(&sync, 5, &[9]);
}

#[test]
fn garbage_and_excess_are_errors() {
    let mut sync = synced(&[1]);
    assert!(matches!(sync.receive(b"\xff\xff"), Err(SyncError::Wire(WireError::Encoding(_)))));
    assert_eq!(sync.receive(b""), Err(SyncError::Wire(WireError::Field("message"))));
    sync.restart();
    let info = edge::SnapshotInfo { version: 1, entries: u64::MAX, digest: vec![0; 16], current: 0 };
    let huge = edge::Header {
        store_id: vec![1; 16],
        hash_key: vec![2; 16],
        heartbeat_ms: 1000,
        snapshot: Some(info),
        ..Default::default()
    };
    let too_large = SyncError::TooLarge { revocations: u64::MAX, limit: MAX_ENTRIES };
    assert_eq!(sync.receive(&message(Control::Header(huge))), Err(too_large));
    holds(&sync, 5, &[1]);
}

#[test]
fn a_set_beyond_the_limit_is_refused_before_it_takes_room() {
    let mut sync = Sync::new(3);
    sync.receive(&header(Some((5, &[1, 2, 3])))).unwrap();
    sync.receive(&chunk(0, &[1, 2, 3], true)).unwrap();
    // Others in their place fit, one more does not, nor does a snapshot of as many.
    let mut exchange = delta(5, 6, &[4, 5], Some(&[3, 4, 5]));
    [1, 2].into_iter().for_each(|n| exchange.push(Change { cutoff: None, ..change(n) }));
    assert!(matches!(sync.receive(&message(Control::Delta(exchange))), Ok(Progress::Changed { .. })));
    let too_large = Err(SyncError::TooLarge { revocations: 4, limit: 3 });
    let more = delta(6, 7, &[6], Some(&[3, 4, 5, 6]));
    assert_eq!(sync.receive(&message(Control::Delta(more))), too_large);
    holds(&sync, 6, &[3, 4, 5]);
    sync.restart();
    assert_eq!(sync.receive(&header(Some((7, &[3, 4, 5, 6])))), too_large);
    holds(&sync, 6, &[3, 4, 5]);
}

#[test]
fn what_goes_on_without_bringing_anything_is_refused() {
    let mut sync = synced(&[1]);
    let part = message(Control::Delta(delta(5, 6, &[], None)));
    assert_eq!(sync.receive(&part), Err(SyncError::Empty("delta")));
    sync.restart();
    sync.receive(&header(Some((7, &[1, 2])))).unwrap();
    assert_eq!(sync.receive(&chunk(0, &[], false)), Err(SyncError::Empty("chunk")));
    // Nor is the same entry again something, or one of an earlier page.
    for again in [2, 1] {
        sync.restart();
        sync.receive(&header(Some((7, &[1, 2, 3])))).unwrap();
        assert_eq!(sync.receive(&chunk(0, &[2], false)), Ok(Progress::Part));
        assert_eq!(sync.receive(&chunk(1, &[again], false)), Err(SyncError::OutOfOrder));
    }
    // And others not for ever.
    sync.restart();
    sync.receive(&header(Some((7, &[1, 2])))).unwrap();
    assert_eq!(sync.receive(&chunk(0, &[1], false)), Ok(Progress::Part));
    assert_eq!(sync.receive(&chunk(1, &[2], false)), Ok(Progress::Part));
    let count = Err(SyncError::Count { announced: 2, received: 3 });
    assert_eq!(sync.receive(&chunk(2, &[3], false)), count);
    holds(&sync, 5, &[1]);
}

#[test]
fn a_header_that_was_cut_short_never_takes_shapes_away() {
    let shape = Selector::session("i", "s").unwrap().shape().into();
    let with_shape = edge::Header {
        store_id: vec![1; 16],
        hash_key: vec![2; 16],
        shapes: vec![shape],
        heartbeat_ms: 1000,
        snapshot: None,
    };
    let bytes = message(Control::Header(with_shape));
    let mut sync = synced(&[1]);
    sync.restart();
    sync.receive(&bytes).unwrap();
    assert_eq!(sync.store().unwrap().shapes.as_slice().len(), 1);
    // The same, with every end of the header itself.
    for end in 0..bytes.len() - 2 {
        sync.restart();
        let mut cut = vec![0x0a, u8::try_from(end).unwrap()];
        cut.extend(bytes.get(2..2 + end).unwrap());
        assert!(sync.receive(&cut).is_err(), "{end}");
        assert_eq!(sync.store().unwrap().shapes.as_slice().len(), 1, "{end}");
    }
}

#[test]
fn a_message_that_decoding_would_blow_up_is_refused_undecoded() {
    let mut sync = synced(&[1]);
    sync.restart();
    let bomb = edge::Header { shapes: vec![edge::Shape::default(); 1_000_000], ..edge::Header::default() };
    let bomb = message(Control::Header(bomb));
    assert_eq!(sync.receive(&bomb), Err(SyncError::TooManyShapes(1_000_000)));
    let field = edge::Field::default();
    let shape = edge::Shape { fields: vec![field; 600_000], ..edge::Shape::default() };
    let bomb = edge::Delta { shapes: vec![shape], ..edge::Delta::default() };
    assert_eq!(sync.receive(&message(Control::Delta(bomb))), Err(SyncError::LargeShapes(1_200_000)));
    assert_eq!(sync.receive(&vec![0; MAX_MESSAGE_BYTES + 1]), Err(SyncError::TooLong));
    holds(&sync, 5, &[1]);
}
