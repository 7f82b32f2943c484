//! Token revocation (RFC 7009) and introspection (RFC 7662).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis_testbed::{ControlPlane, Issuer, Reply, Token};
use serde_json::{Value, json};

use super::forgeries::{Forgery, Parties};
use super::support::{events, last_received, now, refused, stage};
use crate::support::{key, post, setup};

const REVOKE: &str = "/inlets/revoke";
const INTROSPECT: &str = "/inlets/introspect";
/// How to authenticate, by what was tried.
const BASIC: &str = "Basic realm=\"portcullis\"";
const BEARER: &str = "Bearer realm=\"portcullis\"";
const SMALL_BEARER: &str = "Bearer realm=\"portcullis\", error=\"insufficient_scope\"";
const WRONG_BEARER: &str = "Bearer realm=\"portcullis\", error=\"invalid_token\"";

async fn send(plane: &ControlPlane, path: &str, authorization: &str, form: &str) -> Reply {
    let call = plane.api().post(path).header("content-type", "application/x-www-form-urlencoded");
    call.header("authorization", authorization).body(form.to_owned()).send().await.unwrap()
}

async fn revoke(plane: &ControlPlane, token: &str) -> Reply {
    send(plane, REVOKE, &format!("Bearer {}", plane.admin_key()), &format!("token={token}")).await
}

async fn introspect(plane: &ControlPlane, token: &str) -> Value {
    let reply =
        send(plane, INTROSPECT, &format!("Bearer {}", plane.admin_key()), &format!("token={token}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json().unwrap()
}

async fn is_revoked(plane: &ControlPlane, token: &str) -> bool {
    let answer = post(plane, "/v1/check", json!({ "token": token })).await.json().unwrap();
    answer["revoked"].as_bool().unwrap()
}

#[tokio::test]
async fn a_jwt_is_revoked_by_its_jti_else_by_its_hash_and_an_opaque_token_by_its_hash() {
    let (issuer, plane) = stage("").await;
    let named = issuer.token().sub("alice").jti("t1").sign().unwrap();
    // Another token with the same jti is the same token.
    let same = issuer.token().sub("alice").jti("t1").claim("scope", "more").sign().unwrap();
    let nameless = issuer.token().sub("alice").sign().unwrap();
    let other = issuer.token().sub("alice").claim("scope", "other").sign().unwrap();
    // No selector has such a `jti`.
    let long = issuer.token().jti(&"x".repeat(2_049)).sign().unwrap();
    let control = issuer.token().jti("a\nb").sign().unwrap();
    let encrypted = format!("{}.k.i.c.t", URL_SAFE_NO_PAD.encode(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#));
    for token in [&named, &nameless, "opaque-1", &long, &control, &encrypted] {
        let reply = revoke(&plane, token).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, ""), "{token}");
        assert!(is_revoked(&plane, token).await, "{token}");
        assert_eq!(last_received(&plane).await["revocations"].as_array().unwrap().len(), 1);
    }
    assert!(is_revoked(&plane, &same).await);
    assert!(!is_revoked(&plane, &other).await && !is_revoked(&plane, "opaque-2").await);
    let kinds: Vec<Value> =
        events(&plane, "revoked").await.iter().map(|event| event["value"].clone()).collect();
    assert_eq!(kinds[0], "t1");
    assert!(kinds[1..].iter().all(|value| value.as_str().unwrap().starts_with("sha256:")));
    // Nothing that was sent is kept.
    assert!(!plane.dir().join("data").read_dir().unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        bytes.windows(8).any(|window| window == b"opaque-1")
    }));
}

#[tokio::test]
async fn revoking_twice_is_no_error_and_done_once() {
    let (issuer, plane) = stage("").await;
    let token = issuer.token().sub("alice").jti("t1").sign().unwrap();
    for _ in 0..3 {
        assert_eq!(revoke(&plane, &token).await.status, 200);
    }
    assert_eq!(events(&plane, "revoked").await.len(), 1);
    // Undone, it can be revoked again.
    let id = events(&plane, "revoked").await[0]["revocation"].as_str().unwrap().to_owned();
    assert_eq!(post(&plane, &format!("/v1/revocations/{id}/undo"), json!({})).await.status, 200);
    assert!(!is_revoked(&plane, &token).await);
    assert_eq!(revoke(&plane, &token).await.status, 200);
    assert!(is_revoked(&plane, &token).await);
}

#[tokio::test]
async fn what_is_no_token_of_a_configured_issuer_is_no_error_and_nothing_is_done() {
    let (issuer, plane) = stage("").await;
    let stranger = Issuer::start().await.unwrap();
    for token in [stranger.token().jti("t1").sign().unwrap(), "two%20words".to_owned()] {
        assert_eq!(revoke(&plane, &token).await.status, 200, "{token}");
    }
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    assert!(!is_revoked(&plane, &issuer.token().jti("t1").sign().unwrap()).await);
}

#[tokio::test]
async fn the_client_authenticates_with_an_api_key() {
    let (issuer, plane) = stage("").await;
    let token = issuer.token().jti("t1").sign().unwrap();
    let form = format!("token={token}&token_type_hint=access_token");
    let basic = |password: &str| format!("Basic {}", STANDARD.encode(format!("client:{password}")));
    for (path, scope, wrong_scope) in [(REVOKE, "revoke", "read"), (INTROSPECT, "read", "revoke")] {
        let good = key(&plane, &[scope], &[]).await;
        for authorization in [format!("Bearer {good}"), basic(&good)] {
            assert_eq!(send(&plane, path, &authorization, &form).await.status, 200, "{path}");
        }
        for (authorization, challenge) in [
            ("", BEARER),
            ("Digest x", BEARER),
            ("Bearer nonsense", WRONG_BEARER),
            ("bearer nonsense", WRONG_BEARER),
            (&basic("nonsense"), BASIC),
            ("basic !", BASIC),
        ] {
            let reply = send(&plane, path, authorization, &form).await;
            assert_eq!(reply.status, 401, "{path} {authorization}");
            // RFC 7662 section 2.3 sends a bearer's error to RFC 6750; RFC 7009 knows only those of RFC 6749.
            let wrong_bearer = path == INTROSPECT && challenge == WRONG_BEARER;
            let error = if wrong_bearer { "invalid_token" } else { "invalid_client" };
            assert_eq!(reply.json().unwrap()["error"], error, "{path} {authorization}");
            assert_eq!(reply.header("www-authenticate"), Some(challenge), "{path} {authorization}");
        }
        let scoped = key(&plane, &[wrong_scope], &[]).await;
        // RFC 6750 section 3.1 has an error for a bearer that is not enough; RFC 7009 knows only those of RFC 6749.
        let of_bearer = match path {
            INTROSPECT => ("insufficient_scope", Some(SMALL_BEARER)),
            _ => ("unauthorized_client", None),
        };
        for (authorization, (error, challenge)) in
            [(format!("Bearer {scoped}"), of_bearer), (basic(&scoped), ("unauthorized_client", None))]
        {
            let reply = send(&plane, path, &authorization, &form).await;
            assert_eq!((reply.status.as_u16(), &reply.json().unwrap()["error"]), (403, &json!(error)));
            assert_eq!(reply.header("www-authenticate"), challenge);
        }
        let admin = format!("Bearer {}", plane.admin_key());
        for wrong in ["", "token=", "token=a&token=b", "token=a&token_type_hint=a&token_type_hint=b"] {
            let reply = send(&plane, path, &admin, wrong).await;
            assert_eq!(
                (reply.status.as_u16(), &reply.json().unwrap()["error"]),
                (400, &json!("invalid_request"))
            );
        }
    }
}

#[tokio::test]
async fn a_limited_key_revokes_its_issuers_tokens_only() {
    let (issuer, plane) = stage("").await;
    let other = key(&plane, &["revoke"], &["https://other.example"]).await;
    let own = key(&plane, &["revoke"], &[issuer.name()]).await;
    let form = format!("token={}", issuer.token().jti("t1").sign().unwrap());
    let reply = send(&plane, REVOKE, &format!("Bearer {other}"), &form).await;
    refused(&plane, &reply, 403, "unauthorized_client", "issuer").await;
    let reply = send(&plane, REVOKE, &format!("Bearer {own}"), &form).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    // A hash names no issuer: the signature says whose token it is. Whose an opaque one is, nothing says.
    let nameless = issuer.token().sub("alice").sign().unwrap();
    for (key, token, status) in
        [(&other, nameless.as_str(), 403), (&own, "opaque", 403), (&own, &nameless, 200)]
    {
        let reply = send(&plane, REVOKE, &format!("Bearer {key}"), &format!("token={token}")).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert_eq!(is_revoked(&plane, token).await, status == 200);
    }
    let revoked = events(&plane, "revoked").await.pop().unwrap();
    assert!(revoked["value"].as_str().unwrap().starts_with("sha256:"), "{revoked}");
}

/// Signed by nobody who may, it is no token: no error, and nothing follows.
#[tokio::test]
async fn a_forged_token_is_not_revoked() {
    let parties = Parties::gather().await;
    let plane = parties.plane(setup(), "").await;
    let valid = |by: &Issuer| by.token().sub("alice").jti("t1");
    let refuse = async |forgery: &Forgery| {
        // One that is encrypted is its holder's, whatever is in it: see below.
        if forgery.check == "jwt_encrypted" {
            return;
        }
        let call = forgery.post(&plane, REVOKE, "application/x-www-form-urlencoded");
        let call = call.bearer(plane.admin_key()).body(format!("token={}", forgery.token));
        let reply = call.send().await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, ""));
        let received = last_received(&plane).await;
        // The client learns nothing, and the audit trail has which check it did not pass.
        assert_eq!((&received["refused"], &received["revocations"]), (&json!(forgery.check), &json!([])));
        assert_eq!(received["signal"], "token-revocation");
    };
    parties.try_all(&plane, valid, None, refuse).await;
    let token = valid(&parties.issuer).sign().unwrap();
    assert!(!is_revoked(&plane, &token).await);
    assert_eq!(revoke(&plane, &token).await.status, 200);
    assert!(is_revoked(&plane, &token).await);
}

#[tokio::test]
async fn a_forged_token_is_not_active() {
    let parties = Parties::gather().await;
    let plane = parties.plane(setup(), "").await;
    let valid = |by: &Issuer| by.token().sub("alice").jti("t1");
    let refuse = async |forgery: &Forgery| {
        let call = forgery.post(&plane, INTROSPECT, "application/x-www-form-urlencoded");
        let call = call.bearer(plane.admin_key()).body(format!("token={}", forgery.token));
        let reply = call.send().await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.json().unwrap()), (200, json!({"active": false})));
    };
    parties.try_all(&plane, valid, None, refuse).await;
    for issuer in [&parties.issuer, &parties.other] {
        assert_eq!(introspect(&plane, &valid(issuer).sign().unwrap()).await["active"], true);
    }
}

#[tokio::test]
async fn an_active_token_is_told_and_of_others_nothing_is() {
    let (issuer, plane) = stage("").await;
    let valid = || issuer.token().sub("alice").sid("s1").jti("t1").claim("scope", "a b").claim("secret", "x");
    let answer = introspect(&plane, &valid().iat(now()).sign().unwrap()).await;
    assert_eq!((&answer["active"], &answer["sub"]), (&json!(true), &json!("alice")), "{answer}");
    assert_eq!((&answer["iss"], &answer["jti"]), (&json!(issuer.name()), &json!("t1")));
    assert_eq!((&answer["scope"], answer.get("secret")), (&json!("a b"), None));
    assert!(answer["exp"].is_u64() && answer["iat"].is_u64(), "{answer}");

    let inactive: &[fn(Token) -> Token] = &[
        |token| token.claim("exp", now() - 5),
        |token| token.no_expiry(),
        |token| token.claim("nbf", now() + 90),
        |token| token.iat(now() + 90),
        |token| token.header("typ", "logout+jwt"),
        |token| token.header("typ", "global-token-revocation+jwt"),
        |token| token.header("typ", "application/secevent+jwt"),
        |token| token.header("typ", "StatusList+JWT"),
        |token| token.claim("iss", "https://other.example"),
        |token| token.without("iss"),
    ];
    for (index, spoil) in inactive.iter().enumerate() {
        let answer = introspect(&plane, &spoil(valid()).sign().unwrap()).await;
        assert_eq!(answer, json!({"active": false}), "{index}");
    }
    // The provider's clock may be ahead by a minute.
    let ahead = valid().iat(now() + 50).claim("nbf", now() + 50).sign().unwrap();
    assert_eq!(introspect(&plane, &ahead).await["active"], true);
    for typ in ["at+jwt", "application/at+jwt", "Bearer"] {
        let token = valid().header("typ", typ).sign().unwrap();
        assert_eq!(introspect(&plane, &token).await["active"], true, "{typ}");
    }
    for token in ["opaque", "a.b.c", "two%20words"] {
        assert_eq!(introspect(&plane, token).await, json!({"active": false}), "{token}");
    }
    // Revoked: its session, though not the token itself.
    let session = json!({"kind": "session", "issuer": issuer.name(), "value": "s1"});
    assert_eq!(post(&plane, "/v1/revocations", session).await.status, 201);
    assert_eq!(introspect(&plane, &valid().sign().unwrap()).await, json!({"active": false}));
}

#[tokio::test]
async fn a_limited_key_is_told_nothing_of_other_issuers_tokens() {
    let (issuer, plane) = stage("").await;
    let limited = key(&plane, &["read"], &["https://other.example"]).await;
    let form = format!("token={}", issuer.token().sub("alice").sign().unwrap());
    let reply = send(&plane, INTROSPECT, &format!("Bearer {limited}"), &form).await;
    assert_eq!(reply.json().unwrap(), json!({"active": false}));
}

/// Sends a token with these headers, and fields of the form behind it.
async fn send_with(plane: &ControlPlane, path: &str, headers: &[(&str, &str)], form: &str) -> Reply {
    let call = plane.api().post(path).body(form.to_owned());
    headers.iter().fold(call, |call, (name, value)| call.header(name, value)).send().await.unwrap()
}

#[tokio::test]
async fn a_request_that_breaks_a_rule_is_answered_as_oauth_has_it() {
    let (issuer, plane) = stage("").await;
    let token = issuer.token().jti("t1").sign().unwrap();
    let admin = format!("Bearer {}", plane.admin_key());
    let (good, bad) = (("authorization", admin.as_str()), ("authorization", "Bearer nonsense"));
    let form = ("content-type", "application/x-www-form-urlencoded");
    let is_token = format!("token={token}");
    // Client credentials are taken from the header only (RFC 6749 section 2.3.1: the form is optional).
    let in_form = format!("{is_token}&client_id=client&client_secret={}", plane.admin_key());
    let client = (401, "invalid_client", "credential");
    let media_type = (415, "invalid_request", "unsupported_media_type");
    let syntax = (400, "invalid_request", "syntax");
    let twice = format!("{is_token}&{is_token}");
    let hint_twice = format!("{is_token}&token_type_hint=access_token&token_type_hint=access_token");
    for ((status, error, check), headers, body) in [
        (client, vec![form], is_token.as_str()),
        (client, vec![form], &in_form),
        (client, vec![form, bad], &in_form),
        (client, vec![form, good, good], &is_token),
        (client, vec![form, good, bad], &is_token),
        (media_type, vec![good], &is_token),
        (media_type, vec![("content-type", "application/json"), good], "{}"),
        (media_type, vec![("content-type", "multipart/form-data"), good], &is_token),
        (media_type, vec![form, form, good], &is_token),
        (syntax, vec![form, good], ""),
        (syntax, vec![form, good], "token="),
        (syntax, vec![form, good], "Token=a"),
        (syntax, vec![form, good], &twice),
        (syntax, vec![form, good], &hint_twice),
    ] {
        for path in [REVOKE, INTROSPECT] {
            let reply = send_with(&plane, path, &headers, body).await;
            assert_eq!(reply.status, status, "{path} {check}: {}", reply.text());
            let answer = reply.json().unwrap();
            // RFC 7662 section 2.3: a bearer's failure at introspection is RFC 6750's.
            let is_bearer = headers.iter().filter(|(name, _)| *name == "authorization").count() == 1;
            let error =
                if path == INTROSPECT && status == 401 && is_bearer { "invalid_token" } else { error };
            assert_eq!(answer["error"], error, "{path} {check}");
            assert!(!answer["error_description"].as_str().unwrap().is_empty());
            assert_eq!(reply.header("content-type"), Some("application/json"));
            assert_eq!(reply.header("cache-control"), Some("no-store"));
            let challenge = reply.header("www-authenticate").map(|text| text.split(' ').next().unwrap());
            assert_eq!(challenge, (status == 401).then_some("Bearer"), "{path} {check}");
            let metrics = plane.api().get("/metrics").send().await.unwrap().text();
            let (_, name) = path.rsplit_once('/').unwrap();
            assert!(metrics.contains(&format!("inlet=\"{name}\",outcome=\"{check}\"")), "{path} {check}");
        }
    }
    assert!(!is_revoked(&plane, &token).await);
    // Refusals of the one that changes something are in the audit trail; the first ten of an address by themselves.
    let received = events(&plane, "received").await;
    assert_eq!(received.len(), 10);
    assert!(
        received.iter().all(|event| event["inlet"] == "revoke" && event["refused"].is_string()),
        "{received:?}"
    );
}

#[tokio::test]
async fn a_hint_is_only_a_hint() {
    let (issuer, plane) = stage("").await;
    let admin = format!("Bearer {}", plane.admin_key());
    for (index, hint) in
        ["", "access_token", "refresh_token", "urn:example:other", "%20", "a%22b"].into_iter().enumerate()
    {
        let token = issuer.token().jti(&format!("t{index}")).sign().unwrap();
        let form = format!("token={token}&token_type_hint={hint}&unknown=x");
        let reply = send(&plane, INTROSPECT, &admin, &form).await;
        assert_eq!((reply.status.as_u16(), &reply.json().unwrap()["active"]), (200, &json!(true)), "{hint}");
        let reply = send(&plane, REVOKE, &admin, &form).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, ""), "{hint}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(is_revoked(&plane, &token).await, "{hint}");
    }
}

#[tokio::test]
async fn of_an_inactive_token_no_more_is_said_than_that() {
    let (issuer, plane) = stage("").await;
    let admin = format!("Bearer {}", plane.admin_key());
    let stranger = Issuer::start().await.unwrap();
    stranger.rotate().await.unwrap();
    let by_jti = issuer.token().sub("bob").jti("revoked").sign().unwrap();
    let nameless = issuer.token().sub("carol").sign().unwrap();
    for token in [&by_jti, &nameless, "opaque-1"] {
        assert_eq!(revoke(&plane, token).await.status, 200);
    }
    let subject = json!({"kind": "subject", "issuer": issuer.name(), "value": "alice"});
    assert_eq!(post(&plane, "/v1/revocations", subject).await.status, 201);
    for (what, token) in [
        ("expired", issuer.token().sub("dave").iat(now() - 60).claim("exp", now() - 5).sign().unwrap()),
        ("not yet valid", issuer.token().sub("dave").claim("nbf", now() + 90).sign().unwrap()),
        ("a stranger's", stranger.token().sub("dave").sign().unwrap()),
        ("a stranger's in the issuer's name", stranger.token().claim("iss", issuer.name()).sign().unwrap()),
        (
            "with the issuer's kid too",
            stranger.token().claim("iss", issuer.name()).header("kid", issuer.kid()).sign().unwrap(),
        ),
        ("revoked by its jti", by_jti),
        ("revoked by its hash", nameless),
        ("revoked by its subject", issuer.token().sub("alice").iat(now() - 5).sign().unwrap()),
        ("opaque and revoked", "opaque-1".to_owned()),
        ("opaque", "opaque-2".to_owned()),
        ("garbage", "%00%ff".to_owned()),
        ("long", "x".repeat(20_000)),
    ] {
        let reply = send(&plane, INTROSPECT, &admin, &format!("token={token}")).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, r#"{"active":false}"#), "{what}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{what}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{what}");
    }
}
