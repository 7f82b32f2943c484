//! Keycloak's admin actions: not-before and logout, for a client and for the realm.

use portcullis_testbed::{ControlPlane, Issuer, Reply, Token};
use serde_json::{Value, json};

use super::forgeries::{Forgery, Parties};
use super::support::{events, last_received, now, refused, rejected_as, stage};
use crate::support::setup;

const CLIENT: &str = "/inlets/keycloak/acme";
const REALM: &str = "/inlets/keycloak/acme/realm";

/// An action as Keycloak signs it: no `iss`, no `aud`, `typ` JWT.
fn action(issuer: &Issuer, id: &str, action: &str) -> Token {
    let token = issuer.token().without("iss").without("iat").no_expiry();
    token.claim("id", id).claim("expiration", now() + 30).claim("resource", "app").claim("action", action)
}

fn not_before(issuer: &Issuer, id: &str, at: u64) -> Token {
    action(issuer, id, "PUSH_NOT_BEFORE").claim("notBefore", at)
}

async fn send(plane: &ControlPlane, path: &str, token: Token) -> Reply {
    let call = plane.api().post(path).header("content-type", "text/plain; charset=utf-8");
    call.body(token.sign().unwrap()).send().await.unwrap()
}

async fn rejected(plane: &ControlPlane, issuer: &Issuer, client: &str, iat: u64) -> Option<String> {
    let claims = json!({"iss": issuer.name(), "azp": client, "sub": "alice", "sid": "s1", "iat": iat});
    rejected_as(plane, claims).await
}

const SETTINGS: &str = "name = \"acme\"\nclock_skew = \"0s\"";

#[tokio::test]
async fn a_clients_not_before_stops_the_clients_tokens() {
    let (issuer, plane) = stage(SETTINGS).await;
    let at = now() - 10;
    let reply = send(&plane, &format!("{CLIENT}/k_push_not_before"), not_before(&issuer, "a1", at)).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (204, ""));
    assert_eq!(rejected(&plane, &issuer, "app", at).await.as_deref(), Some("client_revoked"));
    assert_eq!(rejected(&plane, &issuer, "app", at + 1).await, None);
    assert_eq!(rejected(&plane, &issuer, "other", at).await, None);
    let received = last_received(&plane).await;
    assert_eq!((&received["signal"], &received["message"]), (&json!("push-not-before"), &json!("a1")));
    // One that was cleared changes nothing; the path may also name the issuer by its iss.
    let escaped = issuer.name().replace(':', "%3A").replace('/', "%2F");
    let path = format!("/inlets/keycloak/{escaped}/k_push_not_before");
    let reply = send(&plane, &path, not_before(&issuer, "a2", 0)).await;
    assert_eq!(reply.status, 204, "{}", reply.text());
    assert_eq!(events(&plane, "revoked").await.len(), 1);
}

#[tokio::test]
async fn a_realms_not_before_stops_every_token_of_the_realm() {
    let (issuer, plane) = stage(SETTINGS).await;
    let at = now() - 10;
    let path = format!("{REALM}/k_push_not_before");
    // Only a client that is an audience may stand for the realm.
    let reply = send(&plane, &path, not_before(&issuer, "a1", at)).await;
    refused(&plane, &reply, 400, "invalid_request", "resource_wrong").await;
    let token = not_before(&issuer, "a2", at).claim("resource", "portcullis");
    assert_eq!(send(&plane, &path, token).await.status, 204);
    assert_eq!(rejected(&plane, &issuer, "any", at).await.as_deref(), Some("issuer_revoked"));
    assert_eq!(rejected(&plane, &issuer, "any", at + 1).await, None);
}

#[tokio::test]
async fn a_logout_ends_the_sessions_that_it_names_or_everything_before_a_time() {
    let (issuer, plane) = stage(SETTINGS).await;
    let path = format!("{CLIENT}/k_logout");
    let token = action(&issuer, "a1", "LOGOUT").claim("keycloakSessionIds", json!(["s1", "s2"]));
    assert_eq!(send(&plane, &path, token.claim("adapterSessionIds", json!(["x"]))).await.status, 204);
    for (sid, expect) in [("s1", Some("session_revoked")), ("s2", Some("session_revoked")), ("s3", None)] {
        let claims = json!({"iss": issuer.name(), "sid": sid, "iat": now()});
        assert_eq!(rejected_as(&plane, claims).await.as_deref(), expect);
    }
    let at = now() - 10;
    let token =
        action(&issuer, "a2", "LOGOUT").claim("adapterSessionIds", Value::Null).claim("notBefore", at);
    assert_eq!(send(&plane, &path, token).await.status, 204);
    let claims = json!({"iss": issuer.name(), "azp": "app", "sid": "s9", "iat": at});
    assert_eq!(rejected_as(&plane, claims).await.as_deref(), Some("client_revoked"));
    // The application's own session ids say nothing about tokens.
    let token = action(&issuer, "a3", "LOGOUT").claim("adapterSessionIds", json!(["x"]));
    refused(&plane, &send(&plane, &path, token).await, 400, "invalid_request", "sessions_unknown").await;
    let test =
        send(&plane, &format!("{CLIENT}/k_test_available"), action(&issuer, "a4", "TEST_AVAILABILITY")).await;
    assert_eq!(test.status, 204);
}

/// The check that refuses an action, and how that differs from the valid one. 400, as Keycloak's own adapters answer.
type Case = (&'static str, fn(Token) -> Token);

#[tokio::test]
async fn an_action_that_breaks_a_rule_is_refused() {
    let cases: &[Case] = &[
        ("expired", |token| token.claim("expiration", now() - 70)),
        ("expiration_too_late", |token| token.claim("expiration", now() + 9_000)),
        ("claim_missing", |token| token.without("expiration")),
        ("claim_missing", |token| token.without("id")),
        ("claim_missing", |token| token.without("resource")),
        ("action_wrong", |token| token.claim("action", "LOGOUT")),
        ("claim_missing", |token| token.without("notBefore")),
        ("claim_missing", |token| token.without("action")),
        ("claim_type", |token| token.claim("expiration", "soon")),
        ("claim_type", |token| token.claim("id", 7)),
        ("claim_type", |token| token.claim("resource", json!(["app"]))),
        ("claim_type", |token| token.claim("action", 7)),
        ("claim_type", |token| token.claim("notBefore", "now")),
        ("claim_type", |token| token.claim("notBefore", -1)),
        ("action_wrong", |token| token.claim("action", "push_not_before")),
        ("action_wrong", |token| token.claim("action", "TEST_AVAILABILITY")),
        ("cutoff_in_future", |token| token.claim("notBefore", now() + 90)),
    ];
    let path = format!("{CLIENT}/k_push_not_before");
    for chunk in cases.chunks(10) {
        // Ten refusals of an address are written down one by one in a minute.
        let (issuer, plane) = stage(SETTINGS).await;
        for (check, spoil) in chunk {
            let reply = send(&plane, &path, spoil(not_before(&issuer, "a", now() - 10))).await;
            refused(&plane, &reply, 400, "invalid_request", check).await;
        }
        assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_logout_that_breaks_a_rule_is_refused() {
    let cases: &[Case] = &[
        ("claim_type", |token| token.claim("keycloakSessionIds", json!(["s1", 7]))),
        ("claim_missing", |token| token.claim("keycloakSessionIds", json!([]))),
        ("claim_missing", |token| token.claim("keycloakSessionIds", "s1")),
        ("action_wrong", |token| token.claim("action", "PUSH_NOT_BEFORE").claim("notBefore", now() - 10)),
        ("cutoff_in_future", |token| token.claim("notBefore", now() + 90)),
        ("control_character", |token| token.claim("keycloakSessionIds", json!(["s\u{1b}"]))),
    ];
    let (issuer, plane) = stage(SETTINGS).await;
    for (check, spoil) in cases {
        let reply = send(&plane, &format!("{CLIENT}/k_logout"), spoil(action(&issuer, "a", "LOGOUT"))).await;
        refused(&plane, &reply, 400, "invalid_request", check).await;
    }
    let test = action(&issuer, "a", "LOGOUT");
    let reply = send(&plane, &format!("{CLIENT}/k_test_available"), test).await;
    refused(&plane, &reply, 400, "invalid_request", "action_wrong").await;
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_expiration_that_is_past_by_less_than_the_skew_is_no_reason() {
    let (issuer, plane) = stage(SETTINGS).await;
    let path = format!("{CLIENT}/k_push_not_before");
    let late = not_before(&issuer, "a1", now() - 10).claim("expiration", now() - 55);
    assert_eq!(send(&plane, &path, late).await.status, 204);
    // The realm's clock may be ahead as well.
    let ahead = not_before(&issuer, "a2", now() + 50);
    assert_eq!(send(&plane, &path, ahead).await.status, 204);
    assert!(rejected(&plane, &issuer, "app", now() + 45).await.is_some());
    let (issuer, plane) = stage(&format!("{SETTINGS}\nmessage_skew = \"5s\"")).await;
    let late = not_before(&issuer, "a1", now() - 10).claim("expiration", now() - 55);
    refused(&plane, &send(&plane, &path, late).await, 400, "invalid_request", "expired").await;
}

#[tokio::test]
async fn a_forged_action_is_refused() {
    let parties = Parties::gather().await;
    let plane = parties.plane(setup(), SETTINGS).await;
    let path = format!("{CLIENT}/k_push_not_before");
    let valid = |by: &Issuer| not_before(by, "a1", now() - 10);
    let refuse = async |forgery: &Forgery| {
        let call = forgery.post(&plane, &path, "text/plain").body(forgery.token.clone());
        refused(&plane, &call.send().await.unwrap(), 403, "access_denied", forgery.check).await;
    };
    // No issuer stands in an action: what another one has signed is signed by nobody of the path's.
    parties.try_all(&plane, valid, Some("kid_unknown"), refuse).await;
    assert_eq!(send(&plane, &path, valid(&parties.issuer)).await.status, 204);
}

#[tokio::test]
async fn an_action_is_taken_once_and_only_where_it_belongs() {
    let (issuer, plane) = stage(SETTINGS).await;
    let path = format!("{CLIENT}/k_push_not_before");
    assert_eq!(send(&plane, &path, not_before(&issuer, "a1", now() - 10)).await.status, 204);
    let again = send(&plane, &path, not_before(&issuer, "a1", now() - 10)).await;
    refused(&plane, &again, 403, "access_denied", "replayed").await;
    let elsewhere = not_before(&issuer, "a2", now() - 10);
    let reply = send(&plane, "/inlets/keycloak/nobody/k_push_not_before", elsewhere).await;
    refused(&plane, &reply, 404, "not_found", "iss_not_configured").await;
    let reply = send(&plane, &format!("{CLIENT}/k_dance"), not_before(&issuer, "a3", now())).await;
    refused(&plane, &reply, 404, "not_found", "action_unknown").await;
    let garbage = plane.api().post(&path).body("garbage").send().await.unwrap();
    refused(&plane, &garbage, 403, "access_denied", "jwt_malformed").await;
}
