//! A control plane that is broken, or not the one it should be. Whatever it sends: the filter does not trap, goes
//! on rejecting what it rejected, and takes no more memory than its configuration allows.

use std::time::Duration;

use portcullis_core::set::{Change, RevocationSet};
use portcullis_core::wire::edge::control_message::Message as Control;
use portcullis_core::wire::edge::edge_message::Message as Edge;
use portcullis_core::wire::edge::{
    ClaimPath, Delta, Entries, Field, Header, Heartbeat, Pages, Shape, SnapshotChunk, SnapshotInfo, field,
};
use portcullis_core::{Cutoff, Key};
use proxy_wasm_harness::{Envoy, GrpcStream, State};

use super::support::{Authorized, Plane, connect, send, sent, session, synced};

const MIB: usize = 1 << 20;
/// More than the longest message, its decoded form, and what is made of it: what one message may cost for a while.
const ONE_MESSAGE: usize = 48 * MIB;

/// A filter that enforces one revocation and takes a thousand.
fn victim() -> (Envoy, GrpcStream, Plane) {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, stream) = synced(r#","limits":{"revocations":1000}"#, &plane);
    (envoy, stream, plane)
}

/// The filter is alive and enforces what it did, and its memory has not grown by more than that.
#[track_caller]
fn unharmed(envoy: &Envoy, before: usize, growth: usize, what: &str) {
    let state = |sid| envoy.worker(0).get("/").bearer(&session(sid)).send().state();
    assert_eq!((state("s1"), state("s2")), (State::Replied, State::Forwarded), "{what}");
    let grown = envoy.worker(0).memory_size() - before;
    assert!(grown <= growth, "{what}: {grown} bytes more");
    assert_eq!(envoy.worker(0).failure(), None, "{what}");
    envoy.assert_clean();
}

fn asks_for_snapshot(stream: &GrpcStream) -> bool {
    sent(stream).iter().any(|message| matches!(message, Edge::SnapshotRequest(_)))
}

fn chunk(index: u32, pages: Pages, last: bool) -> Control {
    Control::Chunk(SnapshotChunk { index, pages: Some(pages), last })
}

/// The pages of a set of so many keys.
fn pages(count: u64) -> Pages {
    let mut set = RevocationSet::default();
    for key in keys(count).as_chunks().0 {
        set.apply(Change { key: Key::from_bytes(*key), cutoff: Some(Cutoff::Always) });
    }
    Pages::of(&set, usize::MAX).remove(0)
}

/// One page of entries that ascend.
fn page(first: u32, entries: u16) -> Pages {
    let always = (0..entries).flat_map(|n| [&[0; 6][..], &n.to_le_bytes(), &[0]].concat()).collect();
    Pages { first, always_counts: entries.to_le_bytes().to_vec(), always, ..Pages::default() }
}

/// Keys as hashes are, of a counter.
fn keys(count: u64) -> Vec<u8> {
    let spread = |n: u64| n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    (0..count).flat_map(|n| [&spread(n)[..], &spread(!n)[..3]].concat()).collect()
}

fn announce(plane: &Plane, entries: u64) -> Control {
    let info = SnapshotInfo { version: 9, entries, digest: vec![7; 16], current: 9 };
    Control::Header(Header { snapshot: Some(info), ..plane.header() })
}

/// Everything that is wrong by itself, and what it is.
fn wrong(plane: &Plane) -> Vec<(&'static str, Vec<Control>)> {
    let next = || Delta { from_version: plane.version, to_version: plane.version + 1, ..Delta::default() };
    let other = Plane::new().other_store();
    let nested = || {
        let names = vec![String::new(); 500_000];
        Field { field: Some(field::Field::Claim(ClaimPath { names })) }
    };
    let shape = |fields| Shape { kind: 1, fields, cutoff_claim: 0 };
    let header = |shapes| Control::Header(Header { shapes, ..plane.header() });
    vec![
        ("a header that announces millions", vec![announce(plane, 14_000_000)]),
        ("a header that announces more than there are numbers", vec![announce(plane, u64::MAX)]),
        (
            "a header that announces what it does not send",
            vec![announce(plane, 1_000), chunk(0, pages(1), true)],
        ),
        ("more than was announced", vec![announce(plane, 1), chunk(0, pages(100_000), true)]),
        ("another digest", vec![announce(plane, 2), chunk(0, pages(2), true)]),
        ("a chunk left out", vec![announce(plane, 9), chunk(0, pages(2), false), chunk(2, pages(3), false)]),
        (
            "the same chunk again",
            vec![announce(plane, 9), chunk(0, pages(2), false), chunk(0, pages(2), false)],
        ),
        (
            "an entry that is none",
            vec![announce(plane, 9), chunk(0, Pages { always: vec![0; 10], ..page(0, 1) }, false)],
        ),
        (
            "more than the pages have",
            vec![announce(plane, 9), chunk(0, Pages { always: vec![0; 18], ..page(0, 1) }, false)],
        ),
        (
            "an entry twice",
            vec![
                announce(plane, 9),
                chunk(0, Pages { always: vec![0; 18], always_counts: vec![2, 0], ..page(0, 1) }, false),
            ],
        ),
        ("a page that is none", vec![announce(plane, 9), chunk(0, page(4_096, 1), false)]),
        (
            "pages that go back",
            vec![announce(plane, 9), chunk(0, page(2, 1), false), chunk(1, page(1, 1), false)],
        ),
        ("an empty chunk", vec![announce(plane, 9), chunk(0, Pages::default(), false)]),
        ("a snapshot that nobody has announced", vec![chunk(0, pages(2), true)]),
        ("two headers", vec![announce(plane, 9), announce(plane, 9)]),
        ("the store of somebody else", vec![Control::Header(other.header())]),
        ("a store without a name", vec![Control::Header(Header { store_id: vec![], ..plane.header() })]),
        ("no hash key", vec![Control::Header(Header { hash_key: vec![1; 15], ..plane.header() })]),
        ("no heartbeat", vec![Control::Header(Header { heartbeat_ms: 0, ..plane.header() })]),
        ("a million shapes", vec![header(vec![Shape::default(); 1_000_000])]),
        ("a million fields", vec![header(vec![shape(vec![Field::default(); 1_000_000])])]),
        ("a million names", vec![header(vec![shape(vec![nested(), nested()])])]),
        ("a shape that nobody knows", vec![header(vec![shape(vec![Field::default()])])]),
        ("a change before the header", vec![Control::Delta(next())]),
        ("a heartbeat before the header", vec![plane.heartbeat()]),
    ]
}

#[test]
fn what_is_wrong_is_not_taken() {
    let (envoy, mut stream, plane) = victim();
    let before = envoy.worker(0).memory_size();
    for (what, messages) in wrong(&plane) {
        stream.reset();
        stream = connect(&envoy);
        for message in messages {
            if stream.is_open() {
                send(&stream, message);
            }
        }
        assert!(stream.cancelled_by_filter() || asks_for_snapshot(&stream), "{what}");
        unharmed(&envoy, before, ONE_MESSAGE, what);
    }
}

#[test]
fn changes_that_do_not_continue_change_nothing() {
    let (envoy, _stream, plane) = victim();
    let before = envoy.worker(0).memory_size();
    let right = Delta { from_version: 1, to_version: 2, removed: keys(1), ..Delta::default() };
    let digest = vec![9; 16];
    let cases = [
        ("a version that goes back", Delta { to_version: 0, digest: digest.clone(), ..right.clone() }),
        ("an old version", Delta { from_version: 0, digest: digest.clone(), ..right.clone() }),
        (
            "a version to come",
            Delta { from_version: 7, to_version: 8, digest: digest.clone(), ..right.clone() },
        ),
        ("another digest", Delta { digest: digest.clone(), ..right.clone() }),
        ("half a digest", Delta { digest: vec![9; 8], ..right.clone() }),
        ("a part that is empty", Delta { removed: vec![], ..right.clone() }),
        ("half a key", Delta { removed: vec![0; 8], digest: digest.clone(), ..right.clone() }),
        (
            "more than is taken",
            Delta { entries: Some(Entries { always: keys(2_000), cutoff: vec![] }), digest, ..right },
        ),
    ];
    for (what, delta) in cases {
        connect(&envoy).reset();
        let stream = connect(&envoy);
        send(&stream, Control::Header(plane.header()));
        send(&stream, Control::Delta(delta));
        assert!(stream.cancelled_by_filter() || asks_for_snapshot(&stream), "{what}");
        unharmed(&envoy, before, ONE_MESSAGE, what);
    }
    let heartbeats =
        [(0, plane.ledger.set().digest().into()), (9, vec![0; 16]), (1, vec![0; 16]), (1, vec![])];
    for (version, digest) in heartbeats {
        connect(&envoy).reset();
        let stream = connect(&envoy);
        send(&stream, Control::Header(plane.header()));
        send(&stream, Control::Heartbeat(Heartbeat { version, digest }));
        unharmed(&envoy, before, ONE_MESSAGE, "a heartbeat that is wrong");
    }
}

#[test]
fn garbage_of_any_length_ends_the_stream_and_nothing_else() {
    let (envoy, mut stream, _plane) = victim();
    let before = envoy.worker(0).memory_size();
    let lengths = [0, 1, 2, 100, 65_536, 8_392_800, 8_392_801, 100 * MIB];
    for (length, byte) in
        lengths.into_iter().flat_map(|length| [(length, 0_u8), (length, 0x0a), (length, 0xff)])
    {
        stream.reset();
        stream = connect(&envoy);
        stream.send(vec![byte; length]);
        // The longest ones Envoy does not even hand over.
        assert!(!stream.is_open(), "{length} times {byte}");
        unharmed(&envoy, before, ONE_MESSAGE, "garbage");
    }
}

#[test]
fn an_endless_snapshot_ends() {
    let (envoy, stream, plane) = victim();
    stream.reset();
    let stream = connect(&envoy);
    let before = envoy.worker(0).memory_size();
    send(&stream, announce(&plane, 1_000));
    let mut chunks = 0;
    while stream.is_open() && chunks < 10_000 {
        send(&stream, chunk(chunks, page(chunks, 1), false));
        chunks += 1;
    }
    assert_eq!(chunks, 1_001);
    unharmed(&envoy, before, MIB, "an endless snapshot");
}

#[test]
fn an_endless_catch_up_is_not_kept() {
    let (envoy, stream, plane) = victim();
    stream.reset();
    let stream = connect(&envoy);
    let before = envoy.worker(0).memory_size();
    sent(&stream);
    send(&stream, Control::Header(plane.header()));
    for n in 0..2_000 {
        let part = Delta { from_version: 1, to_version: 9, removed: keys(100), ..Delta::default() };
        send(&stream, Control::Delta(part));
        if n == 10 {
            assert!(asks_for_snapshot(&stream));
        }
    }
    unharmed(&envoy, before, MIB, "an endless catch-up");
    // What it was asked for does not come either.
    for _ in 0..12 {
        envoy.advance(Duration::from_secs(1));
        send(&stream, plane.heartbeat());
    }
    assert!(stream.cancelled_by_filter());
}

#[test]
fn keys_that_somebody_has_chosen_do_not_fill_one_page() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, stream) = synced("", &plane);
    stream.reset();
    let before = envoy.worker(0).memory_size();
    // With a snapshot.
    let stream = connect(&envoy);
    send(&stream, announce(&plane, 10_000_000));
    send(&stream, chunk(0, page(7, 8_000), false));
    assert!(stream.is_open());
    send(&stream, chunk(1, page(8, 10_000), false));
    assert!(!stream.is_open());
    // And by changes.
    let stream = connect(&envoy);
    send(&stream, Control::Header(plane.header()));
    let chosen = |n: u16| [&[7, 0][..], &n.to_le_bytes(), &[0; 7]].concat();
    let always = (0..5_000).flat_map(chosen).collect();
    let entries = Some(Entries { always, cutoff: vec![] });
    let mut set = plane.ledger.set().clone();
    for n in 0..5_000 {
        let key = Key::from_bytes(chosen(n).try_into().unwrap());
        set.apply(Change { key, cutoff: Some(Cutoff::Always) });
    }
    let digest = set.digest().into();
    let (from_version, to_version) = (plane.version, plane.version + 1);
    send(&stream, Control::Delta(Delta { from_version, to_version, entries, digest, ..Delta::default() }));
    assert!(!stream.is_open());
    unharmed(&envoy, before, 2 * MIB, "chosen keys");
}

#[test]
fn a_control_plane_does_not_fill_the_log() {
    let (envoy, stream, plane) = victim();
    let before = envoy.logs().len();
    for _ in 0..2_000 {
        // Agrees, goes wrong, is asked for a snapshot, and sends it.
        let wrong = Delta { from_version: 7, to_version: 8, removed: keys(1), ..Delta::default() };
        send(&stream, Control::Delta(wrong));
        plane.send_snapshot(&stream);
    }
    assert!(stream.is_open());
    let said = envoy.logs().len() - before;
    assert!((10..=20).contains(&said), "{said} lines");
    for _ in 0..15 {
        envoy.advance(Duration::from_secs(1));
        send(&stream, plane.heartbeat());
    }
    let logs = envoy.logs();
    let left_out = logs.iter().filter(|log| log.message.contains("were left out")).count();
    assert_eq!(left_out, 1, "{logs:?}");
    unharmed(&envoy, 0, usize::MAX, "a talkative control plane");
}

/// Everything that is wrong, and what is right, in an order that a seed decides, with bytes changed and ends cut
/// off.
#[test]
fn whatever_comes_in_whatever_order() {
    use portcullis_core::wire::edge::ControlMessage;
    use prost::Message as _;

    let (envoy, mut stream, plane) = victim();
    let before = envoy.worker(0).memory_size();
    let small = |message: &Control| ControlMessage { message: Some(message.clone()) }.encoded_len() < 100_000;
    let mut messages: Vec<Control> =
        wrong(&plane).into_iter().flat_map(|(_, messages)| messages).filter(small).collect();
    messages.extend([Control::Header(plane.header()), plane.heartbeat(), plane.heartbeat()]);
    messages.extend(plane.snapshot(1));
    messages.extend(plane.snapshot(1));
    let mut random = 1_u64;
    let mut next = |bound: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % bound
    };
    for round in 0..400 {
        if !stream.is_open() {
            stream = connect(&envoy);
        }
        let message = messages[next(messages.len())].clone();
        // A header is believed: TLS vouches for it, and no other message says which claims are looked at.
        let believed = matches!(message, Control::Header(_));
        let mut bytes = ControlMessage { message: Some(message) }.encode_to_vec();
        match next(4) {
            0 => bytes.truncate(next(bytes.len() + 1)),
            1 if !believed && !bytes.is_empty() => {
                let at = next(bytes.len());
                bytes[at] ^= u8::try_from(1 + next(255)).unwrap();
            }
            _ => {}
        }
        stream.send(&bytes);
        if round % 10 == 0 {
            unharmed(&envoy, before, ONE_MESSAGE, "at random");
            envoy.advance(Duration::from_millis(20));
        }
    }
    unharmed(&envoy, before, ONE_MESSAGE, "at random");
}
