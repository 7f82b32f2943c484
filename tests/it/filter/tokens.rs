//! Where tokens are looked for, and what is malformed.

use proxy_wasm_harness::{State, json};

use super::support::{Authorized, IAT, ISSUER, Plane, code, raw_jwt, session, synced};

fn plane() -> Plane {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    plane
}

#[test]
fn four_places() {
    let places = r#","tokens":[{"header":"authorization","scheme":"Bearer"},{"header":"X-Token"},{"cookie":"at"},{"query":"access_token"}]"#;
    let (envoy, _stream) = synced(places, &plane());
    let (revoked, innocent) = (session("s1"), session("s2"));
    let get = |path: &str| envoy.worker(0).get(path);
    assert_eq!(get("/").bearer(&revoked).send().state(), State::Replied);
    assert_eq!(get("/").header("x-token", &revoked).send().state(), State::Replied);
    assert_eq!(get("/").header("cookie", format!("a=b; at={revoked}")).send().state(), State::Replied);
    assert_eq!(get(&format!("/?access_token={revoked}")).send().state(), State::Replied);
    // One revoked token among several rejects the request.
    let both = get(&format!("/?access_token={revoked}")).bearer(&innocent).send();
    assert_eq!(code(&both).as_deref(), Some("session_revoked"));
    assert_eq!(get("/").bearer(&innocent).header("x-token", &innocent).send().state(), State::Forwarded);
}

#[test]
fn verified_claims_of_jwt_authn() {
    let (envoy, _stream) = synced(r#","tokens":[{"jwt_authn":"payload"}]"#, &plane());
    let path = ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn", "payload"];
    let with = |sid: &str| {
        let payload = json!({"iss": ISSUER, "sub": "alice", "sid": sid, "iat": IAT, "nothing": null});
        envoy.worker(0).get("/").property(&path, payload).send()
    };
    assert_eq!(code(&with("s1")).as_deref(), Some("session_revoked"));
    assert_eq!(with("s2").state(), State::Forwarded);
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Forwarded);
    envoy.assert_clean();
}

#[test]
fn a_verified_token_without_issuer_and_time_is_still_a_token() {
    let (envoy, _stream) = synced(r#","missing":"deny","tokens":[{"jwt_authn":"payload"}]"#, &plane());
    let path = ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn", "payload"];
    let exchange = envoy.worker(0).get("/").property(&path, json!({"sub": "alice"})).send();
    assert_eq!(exchange.state(), State::Forwarded);
    let nothing = envoy.worker(0).get("/").property(&path, json!({"sub": null})).send();
    assert_eq!(nothing.state(), State::Forwarded);
    assert_eq!(code(&envoy.worker(0).get("/").send()).as_deref(), Some("token_missing"));
}

#[test]
fn missing_tokens_are_a_choice() {
    let (envoy, _stream) = synced("", &plane());
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Forwarded);
    let (envoy, _stream) = synced(r#","missing":"deny""#, &plane());
    let exchange = envoy.worker(0).get("/").send();
    assert_eq!(code(&exchange).as_deref(), Some("token_missing"));
    let basic = envoy.worker(0).get("/").header("authorization", "Basic YTpi").send();
    assert_eq!(code(&basic).as_deref(), Some("token_missing"));
}

#[test]
fn malformed_tokens_are_rejected() {
    let (envoy, _stream) = synced("", &plane());
    let check = |value: &str| {
        let exchange = envoy.worker(0).get("/").header("authorization", value).send();
        assert_eq!(code(&exchange).as_deref(), Some("token_malformed"), "{value:.80}");
    };
    let token = session("s2");
    check("Bearer");
    check("Bearer a b");
    check(&format!("Bearer {token},Bearer {token}"));
    check(&format!("Basic YTpi Bearer {token}"));
    check(&format!("fooBearer {token}"));
    check(&format!("Bearer {}", raw_jwt(r#"{"sub":"a","sub":"b"}"#)));
    check(&format!("Bearer {}", raw_jwt(&"[".repeat(10_000))));
    check(&format!("Bearer {}", raw_jwt("not json")));
    check(&format!("Bearer {}", "x".repeat(1_000_000)));
    assert_eq!(envoy.worker(0).failure(), None);
}

#[test]
fn several_values_of_a_custom_header_are_ambiguous() {
    let (envoy, _stream) = synced(r#","tokens":[{"header":"x-token"}]"#, &plane());
    let token = session("s2");
    let exchange = envoy.worker(0).get("/").header("x-token", &token).header("x-token", &token).send();
    assert_eq!(code(&exchange).as_deref(), Some("token_malformed"));
}

#[test]
fn malformed_tokens_may_pass_and_the_others_are_still_checked() {
    let rest = r#","malformed":"allow","tokens":[{"header":"x-a"},{"header":"x-b"}]"#;
    let (envoy, _stream) = synced(rest, &plane());
    let bad = envoy.worker(0).get("/").header("x-a", "a b").send();
    assert_eq!(bad.state(), State::Forwarded);
    assert_eq!(bad.filter_state("wasm.portcullis").as_deref(), Some("allowed;code=token_malformed"));
    let revoked = envoy.worker(0).get("/").header("x-a", "a b").header("x-b", session("s1")).send();
    assert_eq!(code(&revoked).as_deref(), Some("session_revoked"));
}

#[test]
fn exempt_paths_are_not_checked_and_cannot_be_faked() {
    let (envoy, _stream) = synced(r#","exempt":["/health"]"#, &plane());
    let get = |path: &str| envoy.worker(0).get(path).bearer(&session("s1")).send().state();
    assert_eq!(get("/health"), State::Forwarded);
    assert_eq!(get("/health/live?x=1"), State::Forwarded);
    assert_eq!(get("/healthz"), State::Replied);
    assert_eq!(get("/health/../admin"), State::Replied);
    assert_eq!(get("/health/%2e%2e/admin"), State::Replied);
}
