//! Would a token be rejected?

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{ISSUER, control_plane, post, problem, problem_at, revoke_session, text};

fn jwt(claims: &Value) -> String {
    let encode = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.c2ln", encode(&json!({"alg": "RS256", "kid": "k1"})), encode(claims))
}

#[tokio::test]
async fn a_revoked_session_is_named_as_the_reason() {
    let plane = control_plane().await;
    let made = revoke_session(&plane, "s1").await;
    let claims = json!({"iss": ISSUER, "sid": "s1", "sub": "alice", "iat": 1_700_000_000});
    for request in [json!({"token": jwt(&claims)}), json!({"claims": claims})] {
        let answer = post(&plane, "/v1/check", request).await.json().unwrap();
        assert_eq!(answer["revoked"], true, "{answer}");
        assert_eq!((text(&answer, "/code"), text(&answer, "/kind")), ("session_revoked", "session"));
        assert_eq!(text(&answer, "/revocations/0/id"), text(&made, "/id"));
        assert_eq!(answer["since"], made["created_at"]);
    }
}

#[tokio::test]
async fn what_nothing_matches_is_not_revoked() {
    let plane = control_plane().await;
    revoke_session(&plane, "s1").await;
    let claims = json!({"iss": ISSUER, "sid": "s2", "iat": 1_700_000_000});
    let answer = post(&plane, "/v1/check", json!({"token": jwt(&claims)})).await.json().unwrap();
    let expect = json!({"revoked": false, "code": null, "kind": null, "revocations": [], "since": null});
    assert_eq!(answer, expect);
}

#[tokio::test]
async fn a_token_issued_after_the_cutoff_is_not_revoked() {
    let plane = control_plane().await;
    let request = json!({"kind": "subject", "issuer": ISSUER, "value": "alice", "cutoff": 1_700_000_000,
        "expires_at": "2100-01-01T00:00:00Z"});
    assert_eq!(post(&plane, "/v1/revocations", request).await.status, 201);
    for (iat, revoked) in [(1_700_000_000, true), (1_700_000_001, true), (1_700_000_002, false)] {
        let claims = json!({"iss": ISSUER, "sub": "alice", "iat": iat});
        let answer = post(&plane, "/v1/check", json!({"claims": claims})).await.json().unwrap();
        // The default clock skew is a second.
        assert_eq!(answer["revoked"], revoked, "{iat}: {answer}");
    }
}

#[tokio::test]
async fn an_opaque_token_is_found_by_its_hash() {
    let plane = control_plane().await;
    post(&plane, "/v1/revocations", json!({"kind": "token", "token": "opaque-1"})).await;
    let answer = post(&plane, "/v1/check", json!({"token": "opaque-1"})).await.json().unwrap();
    assert_eq!(text(&answer, "/code"), "token_revoked");
    let answer = post(&plane, "/v1/check", json!({"token": "opaque-2"})).await.json().unwrap();
    assert_eq!(answer["revoked"], false);
}

#[tokio::test]
async fn a_token_that_cannot_be_read_is_an_answer() {
    let plane = control_plane().await;
    let answer = post(&plane, "/v1/check", json!({"token": "two words"})).await.json().unwrap();
    assert_eq!(answer["revoked"], false);
    assert!(text(&answer, "/malformed").contains("characters"), "{answer}");
}

#[tokio::test]
async fn one_subject_is_needed_and_not_two() {
    let plane = control_plane().await;
    problem_at(&post(&plane, "/v1/check", json!({})).await, 422, "invalid_field", "/token");
    let both = json!({"token": "t", "claims": {}});
    problem_at(&post(&plane, "/v1/check", both).await, 422, "field_not_applicable", "/claims");
}

#[tokio::test]
async fn claims_that_are_no_unambiguous_object_are_refused() {
    let plane = control_plane().await;
    for claims in [r#"["sub"]"#, r#""alice""#, r#"{"sub":"alice","sub":"bob"}"#] {
        let call = plane.api().post("/v1/check").bearer(plane.admin_key());
        let body = format!(r#"{{"claims":{claims}}}"#);
        let reply = call.header("content-type", "application/json").body(body).send().await.unwrap();
        problem_at(&reply, 422, "invalid_field", "/claims");
    }
    problem(&post(&plane, "/v1/check", json!({"jwt": "t"})).await, 422, "invalid_field");
}
