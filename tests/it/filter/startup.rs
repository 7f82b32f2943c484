//! Before the first snapshot.

use std::time::Duration;

use proxy_wasm_harness::State;

use super::support::{Authorized, Plane, builder, code, connect, connected, send, send_delta, session};

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn a_request_is_held_until_the_set_is_there() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, stream) = connected("");
    let revoked = envoy.worker(0).get("/").bearer(&session("s1")).send();
    let innocent = envoy.worker(0).get("/").bearer(&session("s2")).send();
    assert_eq!((revoked.state(), innocent.state()), (State::Held, State::Held));
    plane.send_snapshot(&stream);
    assert_eq!(innocent.state(), State::Forwarded);
    assert_eq!(code(&revoked).as_deref(), Some("session_revoked"));
    envoy.assert_clean();
}

#[test]
fn a_held_request_waits_for_the_changes_since_the_snapshot_too() {
    let mut plane = Plane::new();
    let old = plane.snapshot(100);
    let delta = plane.revoke_session("s1");
    let (envoy, stream) = connected("");
    let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
    for message in old {
        send(&stream, plane.as_of_now(message));
        assert_eq!(exchange.state(), State::Held);
    }
    send_delta(&stream, delta);
    assert_eq!(code(&exchange).as_deref(), Some("session_revoked"));
    envoy.assert_clean();
}

#[test]
fn a_held_request_that_passed_is_cut_like_any_other() {
    let mut plane = Plane::new();
    let (envoy, stream) = connected("");
    let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
    plane.send_snapshot(&stream);
    assert_eq!(exchange.state(), State::Forwarded);
    send_delta(&stream, plane.revoke_session("s1"));
    assert_eq!(exchange.state(), State::Replied);
    envoy.assert_clean();
}

#[test]
fn after_the_hold_the_policy_decides() {
    let (envoy, _stream) = connected("");
    let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
    envoy.advance(MS(4_800));
    assert_eq!(exchange.state(), State::Held);
    envoy.advance(MS(400));
    assert_eq!((exchange.state(), code(&exchange).as_deref()), (State::Replied, Some("not_synced")));
    envoy.assert_clean();
}

#[test]
fn the_policy_may_allow() {
    let (envoy, _stream) = connected(r#","startup":{"hold":"100ms","then":"allow"}"#);
    let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
    assert_eq!(exchange.state(), State::Held);
    envoy.advance(MS(200));
    assert_eq!(exchange.state(), State::Forwarded);
    assert_eq!(exchange.filter_state("wasm.portcullis").as_deref(), Some("allowed;code=not_synced"));
}

#[test]
fn a_body_waits_with_its_request() {
    let (envoy, stream) = connected("");
    let exchange = envoy.worker(0).post("/").bearer(&session("s1")).open();
    assert_eq!(exchange.state(), State::Held);
    exchange.send_data("body");
    exchange.end_request();
    assert_eq!(exchange.state(), State::Held);
    Plane::new().send_snapshot(&stream);
    assert_eq!((exchange.state(), exchange.forwarded_body()), (State::Forwarded, b"body".to_vec()));
    envoy.assert_clean();
}

#[test]
fn what_was_let_in_before_the_set_is_cut_by_it() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    for rest in
        [r#","startup":{"hold":"0s","then":"allow"}"#, r#","startup":{"hold":"100ms","then":"allow"}"#]
    {
        let (envoy, stream) = connected(rest);
        let exchange = envoy.worker(0).get("/sse").bearer(&session("s1")).send();
        envoy.advance(MS(300));
        assert_eq!(exchange.state(), State::Forwarded, "{rest}");
        plane.send_snapshot(&stream);
        assert_eq!(code(&exchange).as_deref(), Some("session_revoked"), "{rest}");
        envoy.assert_clean();
    }
}

#[test]
fn an_operator_sees_who_waits() {
    let (envoy, stream) = connected("");
    let _held = envoy.worker(0).get("/").bearer(&session("s1")).send();
    envoy.advance(MS(200));
    assert_eq!(envoy.metric("portcullis_requests_held"), Some(1));
    // The worker and the main thread's VM.
    assert_eq!(envoy.metric("portcullis_workers_unsynced"), Some(2));
    Plane::new().send_snapshot(&stream);
    envoy.advance(MS(1_000));
    assert_eq!(envoy.metric("portcullis_requests_held"), Some(0));
    assert_eq!(envoy.metric("portcullis_workers_unsynced"), Some(1));
}

#[test]
fn without_a_hold_the_policy_decides_at_once() {
    let (envoy, _stream) = connected(r#","startup":{"hold":"0s"}"#);
    let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
    assert_eq!(code(&exchange).as_deref(), Some("not_synced"));
}

#[test]
fn what_the_set_has_no_say_in_is_not_held() {
    let (envoy, _stream) = connected(r#","exempt":["/health"]"#);
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Forwarded);
    assert_eq!(envoy.worker(0).get("/health").bearer(&session("s1")).send().state(), State::Forwarded);
    let malformed = envoy.worker(0).get("/").header("authorization", "Bearer a b").send();
    assert_eq!(code(&malformed).as_deref(), Some("token_malformed"));
}

#[test]
fn a_client_that_gives_up_while_held_is_forgotten() {
    let plane = Plane::new();
    let (envoy, stream) = connected("");
    let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
    exchange.disconnect();
    envoy.advance(MS(200));
    assert_eq!(envoy.metric("portcullis_requests_held"), None, "forgotten before anything else happens");
    plane.send_snapshot(&stream);
    envoy.advance(MS(10_000));
    assert_eq!(envoy.worker(0).failure(), None);
    envoy.assert_clean();
}

#[test]
fn an_edge_that_never_reaches_a_control_plane_rejects() {
    let envoy = builder("").start().unwrap();
    envoy.remove_cluster("portcullis");
    let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
    envoy.advance(MS(6_000));
    assert_eq!(code(&exchange).as_deref(), Some("not_synced"));
    envoy.set_cluster("portcullis", proxy_wasm_harness::Cluster::healthy());
    let stream = connect(&envoy);
    Plane::new().send_snapshot(&stream);
    assert_eq!(envoy.worker(0).get("/").bearer(&session("s1")).send().state(), State::Forwarded);
    envoy.assert_clean();
}
