//! Enforce, observe, mark; and a control plane that has gone silent.

use std::time::Duration;

use proxy_wasm_harness::State;

use super::support::{Authorized, Plane, code, connected, session, synced};

fn plane() -> Plane {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    plane
}

const MARK: &str = "x-portcullis";

#[test]
fn observe_lets_pass_and_counts() {
    let (envoy, _stream) = synced(r#","mode":"observe""#, &plane());
    let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
    assert_eq!(exchange.state(), State::Forwarded);
    assert!(!exchange.forwarded_headers().unwrap().contains(MARK));
    assert_eq!(exchange.filter_state("wasm.portcullis").as_deref(), Some("observed;code=session_revoked"));
    envoy.advance(Duration::from_secs(1));
    let name = "portcullis_requests_total.outcome.observed.code.session_revoked";
    assert_eq!(envoy.metric(name), Some(1), "{:?}", envoy.metrics());
}

#[test]
fn mark_tells_the_next_filter() {
    let (envoy, _stream) = synced(r#","mode":"mark""#, &plane());
    let mark = |sid: &str| {
        let exchange = envoy.worker(0).get("/").bearer(&session(sid)).header(MARK, "forged").send();
        assert_eq!(exchange.state(), State::Forwarded);
        exchange.forwarded_headers().unwrap().all(MARK)
    };
    assert_eq!(mark("s1"), ["revoked; kind=session"]);
    assert!(mark("s2").is_empty());
}

#[test]
fn a_clients_own_mark_is_removed_in_every_mode() {
    for rest in ["", r#","mode":"observe""#, r#","exempt":["/"]"#] {
        let (envoy, _stream) = synced(rest, &plane());
        let exchange = envoy.worker(0).get("/").bearer(&session("s2")).header(MARK, "forged").send();
        assert!(!exchange.forwarded_headers().unwrap().contains(MARK), "{rest}");
    }
}

#[test]
fn nothing_is_held_when_nothing_is_enforced() {
    for mode in ["observe", "mark"] {
        let (envoy, _stream) = connected(&format!(r#","mode":"{mode}""#));
        let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
        assert_eq!(exchange.state(), State::Forwarded, "{mode}");
    }
}

#[test]
fn a_stale_set_is_enforced_and_may_reject_everything() {
    for (then, innocent) in [("allow", State::Forwarded), ("deny", State::Replied)] {
        let rest = format!(r#","staleness":{{"after":"10s","then":"{then}"}}"#);
        let (envoy, _stream) = synced(&rest, &plane());
        envoy.advance(Duration::from_secs(9));
        assert_eq!(envoy.worker(0).get("/").bearer(&session("s2")).send().state(), State::Forwarded);
        envoy.advance(Duration::from_secs(3));
        let revoked = envoy.worker(0).get("/").bearer(&session("s1")).send();
        assert_eq!(code(&revoked).as_deref(), Some("session_revoked"));
        let exchange = envoy.worker(0).get("/").bearer(&session("s2")).send();
        assert_eq!(exchange.state(), innocent, "{then}");
        if then == "deny" {
            assert_eq!(code(&exchange).as_deref(), Some("stale"));
        }
        assert!(envoy.metric("portcullis_sync_age_seconds").unwrap() >= 10);
    }
}
