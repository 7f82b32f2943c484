//! Requests in flight and open streams of what is revoked.

use portcullis_core::{Cutoff, CutoffClaim, Selector};
use proxy_wasm_harness::{State, json};

use super::support::{Authorized, IAT, ISSUER, Plane, code, jwt, send_delta, session, synced};

#[test]
fn a_request_waiting_for_its_response_is_answered() {
    let mut plane = Plane::new();
    let (envoy, stream) = synced("", &plane);
    let revoked = envoy.worker(0).get("/").bearer(&session("s1")).send();
    let innocent = envoy.worker(0).get("/").bearer(&session("s2")).send();
    send_delta(&stream, plane.revoke_session("s1"));
    assert_eq!((revoked.state(), code(&revoked).as_deref()), (State::Replied, Some("session_revoked")));
    assert_eq!(innocent.state(), State::Forwarded);
    envoy.assert_clean();
}

#[test]
fn a_stream_whose_response_has_begun_is_reset_and_the_log_knows_why() {
    let mut plane = Plane::new();
    let (envoy, stream) = synced("", &plane);
    let exchange = envoy.worker(0).get("/sse").bearer(&session("s1")).send();
    exchange.respond(200, [("content-type", "text/event-stream")]);
    // Long enough for the stream to be indexed, too short for a missed heartbeat.
    envoy.advance(std::time::Duration::from_secs(2));
    send_delta(&stream, plane.revoke_session("s1"));
    assert_eq!(exchange.state(), State::Reset);
    assert_eq!(exchange.details().as_deref(), Some("portcullis_session_revoked"));
    assert_eq!(exchange.filter_state("wasm.portcullis").as_deref(), Some("rejected;code=session_revoked"));
    assert_eq!(envoy.metric("portcullis_streams_cut_total"), Some(1));
    envoy.assert_clean();
}

#[test]
fn only_tokens_at_or_before_the_cut_off_are_cut() {
    let mut plane = Plane::new();
    let (envoy, stream) = synced("", &plane);
    let token = |iat: u64| jwt(&json!({"iss": ISSUER, "sub": "alice", "iat": iat}));
    let old = envoy.worker(0).get("/").bearer(&token(IAT)).send();
    let new = envoy.worker(0).get("/").bearer(&token(IAT + 1)).send();
    let alice = Selector::subject(ISSUER, "alice", CutoffClaim::Iat).unwrap();
    send_delta(&stream, plane.revoke(&alice, Cutoff::At(IAT)));
    assert_eq!((old.state(), new.state()), (State::Replied, State::Forwarded));
}

#[test]
fn a_shape_that_is_new_finds_streams_that_are_old() {
    let mut plane = Plane::new();
    plane.revoke_session("other");
    let (envoy, stream) = synced("", &plane);
    let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
    exchange.respond(200, [("content-type", "text/event-stream")]);
    // Long enough for the stream to be indexed, too short for a missed heartbeat.
    envoy.advance(std::time::Duration::from_secs(2));
    let alice = Selector::subject(ISSUER, "alice", CutoffClaim::Iat).unwrap();
    send_delta(&stream, plane.revoke(&alice, Cutoff::At(IAT)));
    assert_eq!(exchange.state(), State::Reset);
    envoy.assert_clean();
}

#[test]
fn a_snapshot_cuts_what_it_revokes() {
    let mut plane = Plane::new();
    let (envoy, stream) = synced("", &plane);
    let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
    stream.reset();
    plane.revoke_session("s1");
    plane.send_snapshot(&super::support::connect(&envoy));
    assert_eq!(exchange.state(), State::Replied);
}

#[test]
fn all_streams_of_a_session_end_and_no_finished_one_is_touched() {
    let mut plane = Plane::new();
    let (envoy, stream) = synced("", &plane);
    let exchanges: Vec<_> = (0..50).map(|_| envoy.worker(0).get("/").bearer(&session("s1")).send()).collect();
    for done in &exchanges[..20] {
        done.respond(200, [("content-length", "0")]);
        done.finish();
    }
    send_delta(&stream, plane.revoke_session("s1"));
    assert!(exchanges[..20].iter().all(|exchange| exchange.state() == State::Finished));
    assert!(exchanges[20..].iter().all(|exchange| exchange.state() == State::Replied));
    assert_eq!(envoy.metric("portcullis_streams_cut_total"), Some(30));
    envoy.assert_clean();
}

#[test]
fn streams_can_be_left_alone() {
    let mut plane = Plane::new();
    for rest in [r#","streams":"keep""#, r#","mode":"observe""#, r#","mode":"mark""#] {
        let (envoy, stream) = synced(rest, &plane);
        let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
        send_delta(&stream, plane.revoke_session("s1"));
        assert_eq!(exchange.state(), State::Forwarded, "{rest}");
        plane.undo(plane.version);
    }
}

#[test]
fn claims_of_jwt_authn_are_read_again_for_a_new_shape() {
    let mut plane = Plane::new();
    plane.revoke_session("other");
    let (envoy, stream) = synced(r#","tokens":[{"jwt_authn":"payload"}]"#, &plane);
    let path = ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn", "payload"];
    let payload = json!({"iss": ISSUER, "sub": "alice", "sid": "s1", "iat": IAT});
    let exchange = envoy.worker(0).get("/").property(&path, payload).send();
    assert_eq!(exchange.state(), State::Forwarded);
    let alice = Selector::subject(ISSUER, "alice", CutoffClaim::Iat).unwrap();
    send_delta(&stream, plane.revoke(&alice, Cutoff::At(IAT)));
    assert_eq!((exchange.state(), code(&exchange).as_deref()), (State::Replied, Some("subject_revoked")));
    envoy.assert_clean();
}
