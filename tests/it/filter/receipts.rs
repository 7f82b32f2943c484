//! What a worker tells the control plane.

use std::time::Duration;

use portcullis_core::wire::edge::Rejections;
use portcullis_core::wire::edge::edge_message::Message as Edge;

use super::support::{Authorized, Plane, said, send_delta, sent, session, synced};

/// The harness's clock starts at the beginning of 2026.
const STARTED_AT_MS: u64 = 1_767_225_600_000;

#[test]
fn every_version_that_is_enforced_is_confirmed() {
    let mut plane = Plane::new();
    plane.revoke_session("s0");
    let (_envoy, stream) = synced("", &plane);
    let receipts = |stream| -> Vec<_> {
        let receipt = |message| match message {
            Edge::Receipt(receipt) => Some((receipt.version, receipt.revocations, receipt.digest)),
            _ => None,
        };
        sent(stream).into_iter().filter_map(receipt).collect()
    };
    let digest = |plane: &Plane| -> Vec<u8> { plane.ledger.set().digest().into() };
    assert_eq!(receipts(&stream), [(1, 1, digest(&plane))]);
    send_delta(&stream, plane.revoke_session("s1"));
    assert_eq!(receipts(&stream), [(2, 2, digest(&plane))]);
}

#[test]
fn rejections_are_reported_within_a_tick() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, stream) = synced("", &plane);
    sent(&stream);
    (0..3).for_each(|_| drop(envoy.worker(0).get("/").bearer(&session("s1")).send()));
    envoy.worker(0).get("/").bearer(&session("s2")).send();
    envoy.worker(0).get("/").header("authorization", "Bearer a b").send();
    envoy.advance(Duration::from_secs(1));
    let Edge::Receipt(receipt) = said(&stream) else { panic!("no receipt") };
    let rejections = |code: &str, count| Rejections { code: code.into(), count, passed: false };
    assert_eq!(receipt.rejections, [rejections("session_revoked", 3), rejections("token_malformed", 1)]);
    envoy.advance(Duration::from_secs(1));
    assert!(sent(&stream).is_empty());
}

#[test]
fn propagation_is_measured_from_the_acceptance() {
    let mut plane = Plane::new();
    let (envoy, stream) = synced("", &plane);
    let mut delta = plane.revoke_session("s1");
    delta.accepted_at_ms = STARTED_AT_MS + u64::try_from(envoy.now().as_millis()).unwrap() - 7;
    send_delta(&stream, delta);
    assert_eq!(envoy.histogram("portcullis_propagation_ms").as_deref(), Some(&[7][..]));
}
