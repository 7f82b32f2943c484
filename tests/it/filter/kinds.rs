//! Every kind of revocation rejects what it names, with its code, and nothing else.

use portcullis_core::token::sha256_hex;
use portcullis_core::{Cutoff, CutoffClaim, Field, Selector};
use proxy_wasm_harness::{State, json};

use super::support::{Authorized, IAT, ISSUER, Plane, code, jwt, synced};

fn token() -> String {
    jwt(&json!({
        "iss": ISSUER, "sub": "alice", "sid": "s1", "jti": "j1", "azp": "app", "iat": IAT, "auth_time": IAT - 500,
        "tenant": 42, "groups": ["ops", "admin"], "realm_access": {"roles": ["editor"]},
    }))
}

/// What a token gets when only this is revoked.
#[track_caller]
fn check(selector: &Selector, cutoff: Cutoff, expect: Option<&str>) {
    let mut plane = Plane::new();
    plane.revoke(selector, cutoff);
    let (envoy, _stream) = synced("", &plane);
    let exchange = envoy.worker(0).get("/").bearer(&token()).send();
    assert_eq!(code(&exchange).as_deref(), expect, "{selector:?}\n{}", exchange.trace());
    let state = if expect.is_some() { State::Replied } else { State::Forwarded };
    assert_eq!(exchange.state(), state);
    envoy.assert_clean();
}

fn claims(pairs: &[(&str, &str)]) -> Selector {
    let requirements =
        pairs.iter().map(|(name, value)| (Field::Claim(name.parse().unwrap()), (*value).into())).collect();
    Selector::new(requirements, CutoffClaim::Iat).unwrap()
}

#[test]
fn the_seven_kinds() {
    let now = Cutoff::At(IAT);
    check(&Selector::session(ISSUER, "s1").unwrap(), Cutoff::Always, Some("session_revoked"));
    check(&Selector::subject(ISSUER, "alice", CutoffClaim::Iat).unwrap(), now, Some("subject_revoked"));
    check(&Selector::token(ISSUER, "j1").unwrap(), Cutoff::Always, Some("token_revoked"));
    check(&Selector::raw_token(&sha256_hex(&token())).unwrap(), Cutoff::Always, Some("token_revoked"));
    check(&Selector::client(ISSUER, "app", CutoffClaim::Iat).unwrap(), now, Some("client_revoked"));
    check(&Selector::issuer(ISSUER, CutoffClaim::Iat).unwrap(), now, Some("issuer_revoked"));
    check(&Selector::key(ISSUER, "k1").unwrap(), Cutoff::Always, Some("key_revoked"));
    check(&claims(&[("iss", ISSUER), ("tenant", "42"), ("sub", "alice")]), now, Some("claims_revoked"));
}

#[test]
fn others_pass() {
    check(&Selector::session(ISSUER, "s2").unwrap(), Cutoff::Always, None);
    check(&Selector::session("https://other.example", "s1").unwrap(), Cutoff::Always, None);
    check(&Selector::subject(ISSUER, "app", CutoffClaim::Iat).unwrap(), Cutoff::Always, None);
    check(&claims(&[("azp", "alice")]), Cutoff::Always, None);
    check(&claims(&[("tenant", "42"), ("sub", "bob")]), Cutoff::Always, None);
}

#[test]
fn arrays_and_nested_claims() {
    check(&claims(&[("groups", "admin")]), Cutoff::Always, Some("claims_revoked"));
    check(&claims(&[("/realm_access/roles", "editor")]), Cutoff::Always, Some("claims_revoked"));
    check(&claims(&[("groups", "dev")]), Cutoff::Always, None);
}

#[test]
fn cut_offs_compare_the_claim_that_they_name() {
    let iat = Selector::subject(ISSUER, "alice", CutoffClaim::Iat).unwrap();
    check(&iat, Cutoff::At(IAT - 1), None);
    check(&iat, Cutoff::At(IAT), Some("subject_revoked"));
    // The user signed in before the cut-off; a token refreshed since still has the old `auth_time`.
    let auth_time = Selector::subject(ISSUER, "alice", CutoffClaim::AuthTime).unwrap();
    check(&auth_time, Cutoff::At(IAT - 500), Some("subject_revoked"));
    check(&auth_time, Cutoff::At(IAT - 501), None);
}

#[test]
fn an_opaque_token_is_revoked_by_its_hash() {
    let mut plane = Plane::new();
    plane.revoke(&Selector::raw_token(&sha256_hex("opaque-1")).unwrap(), Cutoff::Always);
    let (envoy, _stream) = synced("", &plane);
    let revoked = envoy.worker(0).get("/").bearer("opaque-1").send();
    assert_eq!(code(&revoked).as_deref(), Some("token_revoked"));
    assert_eq!(envoy.worker(0).get("/").bearer("opaque-2").send().state(), State::Forwarded);
}

#[test]
fn an_undone_revocation_lets_the_old_token_in() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, stream) = synced("", &plane);
    assert_eq!(envoy.worker(0).get("/").bearer(&token()).send().state(), State::Replied);
    super::support::send_delta(&stream, plane.undo(1));
    assert_eq!(envoy.worker(0).get("/").bearer(&token()).send().state(), State::Forwarded);
}
