//! `limits`: what a worker takes in, whatever the control plane has.

use std::time::Duration;

use portcullis_core::wire::edge::control_message::Message as Control;
use portcullis_core::wire::edge::edge_message::Message as Edge;
use portcullis_core::wire::edge::{Hello, Refused};
use proxy_wasm_harness::{Envoy, GrpcStream, State};

use super::support::{Authorized, Plane, connect, said, send, send_delta, session, synced};

fn plane(revocations: usize) -> Plane {
    let mut plane = Plane::new();
    (0..revocations).for_each(|n| drop(plane.revoke_session(&format!("s{n}"))));
    plane
}

#[track_caller]
fn hello(stream: &GrpcStream) -> Hello {
    let Edge::Hello(hello) = said(stream) else { panic!("no hello") };
    hello
}

fn state(envoy: &Envoy, sid: &str) -> State {
    envoy.worker(0).get("/").bearer(&session(sid)).send().state()
}

#[test]
fn a_snapshot_beyond_the_limit_is_refused_and_everybody_is_told() {
    let limit = r#","limits":{"revocations":5}"#;
    let mut plane = plane(5);
    let (envoy, stream) = synced(limit, &plane);
    let memory = envoy.worker(0).memory_size();
    stream.reset();
    let stream = connect(&envoy);
    assert_eq!(hello(&stream).refused, None);
    plane.revoke_session("s5");
    let Some(Control::Header(header)) = plane.snapshot(1).into_iter().next() else { panic!("no header") };
    send(&stream, Control::Header(header));

    // The log, the metric, the control plane; the old set stays, and not a byte was taken.
    assert!(stream.cancelled_by_filter());
    let reason = "6 revocations are more than this worker takes (`limits.revocations` is 5)";
    assert!(envoy.logs().iter().any(|log| log.message.contains(reason)), "{:?}", envoy.logs());
    let stream = connect(&envoy);
    assert_eq!(hello(&stream).refused, Some(Refused { revocations: 6, limit: 5 }));
    assert_eq!(envoy.metric("portcullis_workers_over_limit"), Some(1));
    assert_eq!((state(&envoy, "s4"), state(&envoy, "s5")), (State::Replied, State::Forwarded));
    assert_eq!(envoy.worker(0).memory_size(), memory);

    // Once it fits again all of this is over.
    plane.undo(1);
    plane.send_snapshot(&stream);
    envoy.advance(Duration::from_secs(1));
    assert_eq!(envoy.metric("portcullis_workers_over_limit"), Some(0));
    assert_eq!((state(&envoy, "s0"), state(&envoy, "s5")), (State::Forwarded, State::Replied));
    stream.reset();
    assert_eq!(hello(&connect(&envoy)).refused, None);
    envoy.assert_clean();
}

#[test]
fn a_change_beyond_the_limit_is_refused_and_others_are_not() {
    let mut plane = plane(5);
    let (envoy, stream) = synced(r#","limits":{"revocations":5}"#, &plane);
    // One for another fits.
    send_delta(&stream, plane.undo(1));
    send_delta(&stream, plane.revoke_session("s5"));
    assert_eq!((state(&envoy, "s0"), state(&envoy, "s5")), (State::Forwarded, State::Replied));
    send_delta(&stream, plane.revoke_session("s6"));
    assert!(stream.cancelled_by_filter());
    assert_eq!((state(&envoy, "s5"), state(&envoy, "s6")), (State::Replied, State::Forwarded));
    let again = connect(&envoy);
    let hello = hello(&again);
    assert_eq!(hello.refused, Some(Refused { revocations: 6, limit: 5 }));
    assert_eq!(hello.position.map(|position| position.version), Some(7));
    envoy.assert_clean();
}

/// What `limits.revocations` promises, with a set that is full and replaced again and again.
#[test]
fn memory_stays_within_what_the_limit_promises() {
    const LIMIT: usize = 40_000;
    let (envoy, mut stream) = synced(&format!(r#","limits":{{"revocations":{LIMIT}}}"#), &Plane::new());
    let before = envoy.worker(0).memory_size();
    let (one, other) = (plane(LIMIT), plane(LIMIT).other_store());
    for round in 0..6 {
        let plane = if round % 2 == 0 { &one } else { &other };
        plane.snapshot(2_500).into_iter().for_each(|message| send(&stream, message));
        stream.reset();
        stream = connect(&envoy);
    }
    let grown = envoy.worker(0).memory_size() - before;
    // 60 bytes each, twice, and the messages on their way.
    assert!(grown <= 2 * 60 * LIMIT + (1 << 20), "{grown} bytes for {LIMIT} revocations");
    assert!(grown >= 25 * LIMIT, "{grown} bytes cannot be all");
    envoy.assert_clean();
}
