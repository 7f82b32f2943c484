//! What a worker tells the control plane.

use std::time::Duration;

use portcullis_core::wire::edge::edge_message::Message as Edge;
use portcullis_core::wire::edge::{Rejections, Tried};
use portcullis_core::{Cutoff, Selector};

use super::support::{Authorized, IAT, ISSUER, Plane, said, send_delta, sent, session, synced};

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

fn text(path: &[u8]) -> &str {
    std::str::from_utf8(path).unwrap()
}

/// What the only message says was tried: key, path, count, ages of first and last, and whether it passed.
fn tried(message: Edge) -> Vec<Tried> {
    let Edge::Receipt(receipt) = message else { panic!("no receipt") };
    assert_eq!(receipt.tried_more, 0);
    receipt.tried
}

#[test]
fn what_revoked_tokens_ask_for_is_told_with_key_path_and_age() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let alice = Selector::subject(ISSUER, "alice", Default::default()).unwrap();
    plane.revoke(&alice, Cutoff::At(IAT - 1));
    let (envoy, stream) = synced("", &plane);
    sent(&stream);
    let ask = |path: &str, token: &str| drop(envoy.worker(0).get(path).bearer(token).send());
    ask("/payments?card=4111", &session("s1"));
    envoy.advance(Duration::from_millis(300));
    ask("/payments", &session("s1"));
    ask("/orders", &session("s1"));
    // Innocents, and what no revocation stands against, are nobody's business.
    ask("/private", &session("s2"));
    ask("/malformed", "a b");
    sent(&stream);
    envoy.advance(Duration::from_millis(900));
    let key = Selector::session(ISSUER, "s1").unwrap().hash(&plane.hash_key()).to_bytes().to_vec();
    let told = tried(said(&stream));
    let rows = told.iter().map(|row| (text(&row.path), row.count, row.passed, &row.key));
    assert_eq!(rows.collect::<Vec<_>>(), [("/payments", 2, false, &key), ("/orders", 1, false, &key)]);
    assert!(told.iter().all(|row| row.last_ms_ago <= 900), "{told:?}");
    let apart = |row: &Tried| row.first_ms_ago - row.last_ms_ago;
    assert_eq!((apart(&told[0]), apart(&told[1])), (300, 0), "{told:?}");
    envoy.advance(Duration::from_secs(2));
    assert!(sent(&stream).is_empty());
    envoy.assert_clean();
}

#[test]
fn a_token_that_two_revocations_match_was_tried_against_both() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    plane.revoke(&Selector::subject(ISSUER, "alice", Default::default()).unwrap(), Cutoff::At(IAT));
    let (envoy, stream) = synced("", &plane);
    sent(&stream);
    drop(envoy.worker(0).get("/").bearer(&session("s1")).send());
    envoy.advance(Duration::from_secs(1));
    let told = tried(said(&stream));
    assert_eq!(told.iter().map(|tried| tried.count).collect::<Vec<_>>(), [1, 1]);
    assert_ne!(told[0].key, told[1].key);
}

#[test]
fn what_an_observing_filter_lets_pass_is_told_as_passed() {
    for mode in ["observe", "mark"] {
        let mut plane = Plane::new();
        plane.revoke_session("s1");
        let (envoy, stream) = synced(&format!(r#","mode":"{mode}""#), &plane);
        sent(&stream);
        drop(envoy.worker(0).get("/payments").bearer(&session("s1")).send());
        envoy.advance(Duration::from_secs(1));
        let told = tried(said(&stream));
        assert_eq!((text(&told[0].path), told[0].count, told[0].passed), ("/payments", 1, true), "{mode}");
    }
}

#[test]
fn paths_can_be_kept_from_the_control_plane() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    // The path is read here, for the exemption, and told all the same to nobody.
    let (envoy, stream) = synced(r#","reports":"counts","exempt":["/health"]"#, &plane);
    sent(&stream);
    for path in ["/payments", "/orders"] {
        drop(envoy.worker(0).get(path).bearer(&session("s1")).send());
    }
    envoy.advance(Duration::from_secs(1));
    let told = tried(said(&stream));
    assert_eq!((told.len(), text(&told[0].path), told[0].count), (1, "", 2), "{told:?}");
}

#[test]
fn what_is_tried_while_the_control_plane_is_away_is_told_when_it_is_back() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, stream) = synced("", &plane);
    stream.reset();
    (0..100).for_each(|n| drop(envoy.worker(0).get(&format!("/{n}")).bearer(&session("s1")).send()));
    let stream = super::support::connect(&envoy);
    plane.send_snapshot(&stream);
    envoy.advance(Duration::from_secs(2));
    let receipts = sent(&stream).into_iter().filter(|message| matches!(message, Edge::Receipt(_)));
    let told: Vec<Tried> = receipts.flat_map(tried).collect();
    assert_eq!(told.iter().map(|tried| tried.count).sum::<u64>(), 100);
    assert_eq!(told.len(), portcullis_core::tries::MAX_PATHS + 1, "{told:?}");
}
