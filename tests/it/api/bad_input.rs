//! Requests that make no sense: each gets a problem document that names what is wrong, and changes nothing.

use portcullis_testbed::{ControlPlane, Reply};
use serde_json::{Value, json};

use crate::support::{ISSUER, control_plane, get, post, problem, problem_at};

/// Refused, and nothing was put in force.
async fn refused(plane: &ControlPlane, request: Value) -> Reply {
    let reply = post(plane, "/v1/revocations", request).await;
    let list = get(plane, "/v1/revocations?status=all").await.json().unwrap();
    assert_eq!(list["revocations"], json!([]));
    reply
}

async fn raw(plane: &ControlPlane, content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
    let call = plane.api().post("/v1/revocations").bearer(plane.admin_key());
    call.header("content-type", content_type).body(body.into()).send().await.unwrap()
}

#[tokio::test]
async fn a_missing_value_is_named() {
    let plane = control_plane().await;
    let reply = refused(&plane, json!({"kind": "session", "issuer": ISSUER})).await;
    problem_at(&reply, 422, "value_missing", "/value");
    let reply = refused(&plane, json!({"kind": "session", "value": "s1"})).await;
    problem_at(&reply, 422, "issuer_missing", "/issuer");
    let reply = refused(&plane, json!({"issuer": ISSUER, "value": "s1"})).await;
    problem_at(&reply, 422, "invalid_field", "/kind");
}

#[tokio::test]
async fn an_empty_value_is_named() {
    let plane = control_plane().await;
    let reply = refused(&plane, json!({"kind": "subject", "issuer": ISSUER, "value": ""})).await;
    problem_at(&reply, 422, "value_missing", "/value");
    let reply = refused(&plane, json!({"kind": "subject", "issuer": "", "value": "alice"})).await;
    problem_at(&reply, 422, "issuer_missing", "/issuer");
    let reply = refused(&plane, json!({"kind": "claims", "claims": {"iss": ISSUER, "tenant": ""}})).await;
    problem_at(&reply, 422, "selector_invalid", "/claims/tenant");
    let reply = refused(&plane, json!({"kind": "claims", "claims": {}})).await;
    problem_at(&reply, 422, "selector_invalid", "/claims");
}

#[tokio::test]
async fn a_cutoff_in_the_future_is_refused() {
    let plane = control_plane().await;
    let request =
        json!({"kind": "subject", "issuer": ISSUER, "value": "a", "cutoff": "2100-01-01T00:00:00Z"});
    problem_at(&refused(&plane, request).await, 422, "cutoff_in_future", "/cutoff");
}

#[tokio::test]
async fn an_expiry_in_the_past_is_refused() {
    let plane = control_plane().await;
    let request = json!({"kind": "session", "issuer": ISSUER, "value": "s", "expires_at": 1_000_000_000});
    problem_at(&refused(&plane, request).await, 422, "expiry_past", "/expires_at");
}

#[tokio::test]
async fn until_reinstated_excludes_other_ends() {
    let plane = control_plane().await;
    let with = |field: &str, value: Value| {
        let mut request =
            json!({"kind": "session", "issuer": ISSUER, "value": "s", "until_reinstated": true});
        request[field] = value;
        request
    };
    let reply = refused(&plane, with("cutoff", json!(1_700_000_000))).await;
    problem_at(&reply, 422, "cutoff_until_reinstated", "/cutoff");
    let reply = refused(&plane, with("expires_at", json!("2100-01-01T00:00:00Z"))).await;
    problem_at(&reply, 422, "expiry_until_reinstated", "/expires_at");
}

#[tokio::test]
async fn an_unknown_field_is_named() {
    let plane = control_plane().await;
    let request = json!({"kind": "session", "issuer": ISSUER, "value": "s", "until_reinstaded": true});
    problem_at(&refused(&plane, request).await, 422, "invalid_field", "/until_reinstaded");
}

#[tokio::test]
async fn a_field_of_another_kind_is_refused() {
    let plane = control_plane().await;
    let request = json!({"kind": "issuer", "issuer": ISSUER, "value": "alice"});
    problem_at(&refused(&plane, request).await, 422, "field_not_applicable", "/value");
}

#[tokio::test]
async fn a_number_beyond_2_to_the_53_is_refused() {
    let plane = control_plane().await;
    let body = format!(r#"{{"kind":"claims","claims":{{"iss":"{ISSUER}","account":9007199254740993}}}}"#);
    let reply = raw(&plane, "application/json", body).await;
    problem_at(&reply, 422, "invalid_field", "/claims/account");
}

#[tokio::test]
async fn a_claim_given_twice_is_refused() {
    let plane = control_plane().await;
    let body = r#"{"kind":"claims","claims":{"sub":"alice","sub":"bob"}}"#;
    problem_at(&raw(&plane, "application/json", body).await, 422, "invalid_field", "/claims");
}

#[tokio::test]
async fn what_is_not_json_is_refused() {
    let plane = control_plane().await;
    for body in ["", "kind=session", "{\"kind\":", "{\"kind\":\"issuer\"} {}", "\u{feff}{}"] {
        problem(&raw(&plane, "application/json", body).await, 400, "not_json");
    }
    problem(&raw(&plane, "application/json", vec![0xff, 0xfe]).await, 400, "not_json");
}

#[tokio::test]
async fn another_content_type_is_refused() {
    let plane = control_plane().await;
    let body = json!({"kind": "session", "issuer": ISSUER, "value": "s"}).to_string();
    problem(&raw(&plane, "text/plain", body.clone()).await, 415, "unsupported_media_type");
    problem(&raw(&plane, "application/x-www-form-urlencoded", body).await, 415, "unsupported_media_type");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let plane = control_plane().await;
    let request = json!({"kind": "session", "issuer": ISSUER, "value": "x".repeat(65 * 1024)});
    problem(&refused(&plane, request).await, 413, "too_large");
}

#[tokio::test]
async fn a_raw_token_of_a_megabyte_is_refused() {
    let plane = control_plane().await;
    let token = "x".repeat(1_000_000);
    problem(&refused(&plane, json!({"kind": "token", "token": token})).await, 413, "too_large");
    problem(&post(&plane, "/v1/check", json!({"token": token})).await, 413, "too_large");
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let plane = control_plane().await;
    let reply = refused(&plane, json!({"kind": "token", "token": "two words"})).await;
    problem_at(&reply, 422, "token_malformed", "/token");
    let reply = refused(&plane, json!({"kind": "token", "value": "sha256:short"})).await;
    problem_at(&reply, 422, "token_sha256_invalid", "/value");
}

#[tokio::test]
async fn control_characters_are_refused() {
    let plane = control_plane().await;
    let of = |value: &str, reason: &str| json!({"kind": "session", "issuer": ISSUER, "value": value, "reason": reason});
    let claims = |name: &str, value: &str| json!({"kind": "claims", "claims": {"iss": ISSUER, name: value}});
    for (request, pointer) in [
        (of("s\n", ""), "/value"),
        (of("\u{1b}[2J", ""), "/value"),
        (of("s", "a\nb"), "/reason"),
        (of("s", "\u{9b}31m"), "/reason"),
        (json!({"kind": "issuer", "issuer": format!("{ISSUER}\r")}), "/issuer"),
        (claims("tenant", "a\u{7f}"), "/claims/tenant"),
        (claims("ten\u{1b}ant", "a"), "/claims/ten\u{fffd}ant"),
    ] {
        problem_at(&refused(&plane, request).await, 422, "control_character", pointer);
    }
    for (name, issuer, code, pointer) in
        [("ci\n", ISSUER, "key_name_invalid", "/name"), ("ci", "i\u{1b}", "control_character", "/issuers")]
    {
        let key = json!({"name": name, "scopes": ["read"], "issuers": [issuer]});
        problem_at(&post(&plane, "/v1/keys", key).await, 422, code, pointer);
    }
    let made = post(&plane, "/v1/revocations", of("s", "")).await.json().unwrap();
    let undo = format!("/v1/revocations/{}/undo", made["id"].as_str().unwrap());
    let reply = post(&plane, &undo, json!({"reason": "a\u{1b}b"})).await;
    problem_at(&reply, 422, "control_character", "/reason");
}

#[tokio::test]
async fn white_space_around_a_value_is_warned_of() {
    let plane = control_plane().await;
    let warned = async |request: Value, says: &str| {
        let reply = post(&plane, "/v1/revocations", request).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        let warnings = reply.json().unwrap()["warnings"].to_string();
        assert_eq!(warnings.contains("white space"), !says.is_empty(), "{warnings}");
        assert!(warnings.contains(says), "{warnings}");
    };
    let of = |value: &str| json!({"kind": "session", "issuer": ISSUER, "value": value});
    warned(of("s 1"), "").await;
    warned(of(" s1"), r#"`value` is \" s1\""#).await;
    warned(of("s1 "), r#"`value` is \"s1 \""#).await;
    let claims = json!({"kind": "claims", "claims": {"iss": ISSUER, "tenant": "t "}});
    warned(claims, r#"`claims/tenant` is \"t \""#).await;
}

#[tokio::test]
async fn query_parameters_are_checked() {
    let plane = control_plane().await;
    for query in
        ["cursor=abc", "cursor=-1", "limit=0", "limit=1001", "limit=many", "kind=sessions", "colour=red"]
    {
        problem(&get(&plane, &format!("/v1/revocations?{query}")).await, 400, "invalid_query");
    }
    for wait in ["5", "soon", "61s", "-1s"] {
        let path = format!("/v1/revocations?wait={wait}");
        let request = json!({"kind": "session", "issuer": ISSUER, "value": "s"});
        let reply = post(&plane, &path, request).await;
        let problem = problem(&reply, 400, "invalid_query");
        assert_eq!(problem["errors"][0]["parameter"], "wait");
    }
    let list = get(&plane, "/v1/revocations?status=all").await.json().unwrap();
    assert_eq!(list["revocations"], json!([]));
}

#[tokio::test]
async fn what_was_sent_does_not_come_back_whole() {
    let plane = control_plane().await;
    let request = json!({"kind": "x".repeat(10_000)});
    let reply = refused(&plane, request).await;
    problem_at(&reply, 422, "invalid_field", "/kind");
    assert!(reply.body.len() < 2_000, "{} bytes", reply.body.len());
}
