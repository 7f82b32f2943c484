//! Snapshots, deltas, and what is done when they do not add up.

use portcullis_core::wire::edge::Delta;
use portcullis_core::wire::edge::control_message::Message as Control;
use portcullis_core::wire::edge::edge_message::Message as Edge;
use proxy_wasm_harness::{Envoy, GrpcStream, State};

use super::support::{Authorized, Plane, connect, send, send_delta, sent, session, synced};

#[track_caller]
fn enforces(envoy: &Envoy, revoked: &[&str], innocent: &[&str]) {
    for sid in revoked {
        assert_eq!(envoy.worker(0).get("/").bearer(&session(sid)).send().state(), State::Replied, "{sid}");
    }
    for sid in innocent {
        assert_eq!(envoy.worker(0).get("/").bearer(&session(sid)).send().state(), State::Forwarded, "{sid}");
    }
}

fn asked_for_snapshot(stream: &GrpcStream) -> bool {
    sent(stream).iter().any(|message| matches!(message, Edge::SnapshotRequest(_)))
}

#[test]
fn a_snapshot_in_many_chunks() {
    let mut plane = Plane::new();
    (0..1_000).for_each(|n| drop(plane.revoke_session(&format!("s{n}"))));
    let (envoy, stream) = super::support::connected("");
    plane.snapshot(7).into_iter().for_each(|message| send(&stream, message));
    enforces(&envoy, &["s0", "s500", "s999"], &["s1000"]);
    envoy.advance(std::time::Duration::from_secs(1));
    assert_eq!(envoy.metric("portcullis_revocations"), Some(1_000));
    assert_eq!(envoy.metric("portcullis_version"), Some(1_000));
}

#[test]
fn a_delta_is_enforced_with_the_next_request() {
    let mut plane = Plane::new();
    let (envoy, stream) = synced("", &plane);
    enforces(&envoy, &[], &["s1"]);
    send_delta(&stream, plane.revoke_session("s1"));
    enforces(&envoy, &["s1"], &["s2"]);
}

#[test]
fn a_gap_or_a_wrong_digest_leads_to_a_snapshot_and_the_old_set_stays_in_force() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let spoilers: [fn(&mut Delta); 2] = [|delta| delta.from_version += 1, |delta| delta.digest[0] ^= 1];
    for spoil in spoilers {
        let (envoy, stream) = synced("", &plane);
        let mut delta = plane.revoke_session("s2");
        spoil(&mut delta);
        sent(&stream);
        send_delta(&stream, delta);
        assert!(asked_for_snapshot(&stream));
        enforces(&envoy, &["s1"], &["s3"]);
        plane.send_snapshot(&stream);
        enforces(&envoy, &["s1", "s2"], &["s3"]);
        plane.undo(plane.version);
        envoy.assert_clean();
    }
}

#[test]
fn a_heartbeat_with_another_digest_leads_to_a_snapshot() {
    let plane = Plane::new();
    let (envoy, stream) = synced("", &plane);
    let mut other = Plane::new();
    other.revoke_session("s1");
    other.version = 0;
    sent(&stream);
    send(&stream, other.heartbeat());
    assert!(asked_for_snapshot(&stream));
    envoy.assert_clean();
}

#[test]
fn a_snapshot_that_does_not_come_ends_the_stream() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, stream) = synced("", &plane);
    let mut delta = plane.revoke_session("s2");
    delta.from_version += 1;
    send_delta(&stream, delta);
    for _ in 0..10 {
        // Heartbeats alone do not keep it.
        envoy.advance(std::time::Duration::from_secs(1));
        send(&stream, plane.heartbeat());
    }
    assert!(stream.cancelled_by_filter());
    enforces(&envoy, &["s1"], &["s3"]);
}

#[test]
fn a_control_plane_that_is_wrong_again_and_again_is_asked_ever_more_rarely() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, mut stream) = super::support::connected("");
    let mut streams = 0;
    let mut requests = 0;
    while envoy.now() < std::time::Duration::from_secs(60) {
        for mut message in plane.snapshot(10) {
            if let Control::Header(header) = &mut message {
                header.snapshot.as_mut().unwrap().digest[0] ^= 1;
            }
            if stream.is_open() {
                send(&stream, message);
            }
        }
        requests += usize::from(asked_for_snapshot(&stream));
        streams += 1;
        stream = connect(&envoy);
    }
    assert!((8..=30).contains(&streams), "{streams} streams and {requests} requests in a minute");
    envoy.assert_clean();
}

#[test]
fn half_a_snapshot_changes_nothing() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, stream) = synced("", &plane);
    stream.reset();
    let stream = connect(&envoy);
    let mut replacement = Plane::new().other_store();
    replacement.revoke_session("s2");
    replacement.revoke_session("s3");
    let messages = replacement.snapshot(1);
    let (last, first) = messages.split_last().unwrap();
    first.iter().for_each(|message| send(&stream, message.clone()));
    enforces(&envoy, &["s1"], &["s2", "s3"]);
    send(&stream, last.clone());
    enforces(&envoy, &["s2", "s3"], &["s1"]);
}

#[test]
fn an_edge_that_was_away_continues_with_deltas() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, stream) = synced("", &plane);
    stream.reset();
    let missed = [plane.revoke_session("s2"), plane.undo(1)];
    let stream = connect(&envoy);
    send(&stream, Control::Header(plane.header()));
    missed.into_iter().for_each(|delta| send_delta(&stream, delta));
    enforces(&envoy, &["s2"], &["s1"]);
    let Some(Edge::Receipt(receipt)) = sent(&stream).pop() else { panic!("no receipt") };
    assert_eq!((receipt.version, receipt.digest), (3, plane.ledger.set().digest().into()));
}

#[test]
fn garbage_ends_the_stream_and_nothing_else() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, stream) = synced("", &plane);
    stream.send(b"\xff\xff\xff garbage");
    assert!(stream.cancelled_by_filter());
    enforces(&envoy, &["s1"], &["s2"]);
    let again = connect(&envoy);
    assert!(again.is_open());
    again.send(b"");
    assert!(again.cancelled_by_filter());
    assert_eq!(envoy.worker(0).failure(), None);
    envoy.assert_clean();
}
