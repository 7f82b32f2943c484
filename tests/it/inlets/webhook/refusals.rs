//! Every refusal that a webhook can meet and that no other test here has: status, error, and code of the check.

use std::fmt::Write as _;

use portcullis_testbed::{ControlPlane, Reply};
use serde_json::{Value, json};

use super::{LEAVER, SECRET, Signed, TOKEN, stage, tell};
use crate::inlets::support::{events, last_received, now, refused};

/// Refused as not to be revoked, for a reason that names this.
async fn not_revocable(plane: &ControlPlane, body: Value, check: &str, named: &str) {
    let reply = tell(plane, &body).await;
    refused(plane, &reply, 422, "not_revocable", check).await;
    assert!(reply.text().contains(named), "{named}: {}", reply.text());
    let received = last_received(plane).await;
    assert_eq!(received["inlet"], "webhook", "{received}");
    assert!(received["signal"].as_str().unwrap().starts_with("hook"), "{received}");
}

#[tokio::test]
async fn a_path_that_names_no_webhook_is_refused() {
    let (_issuer, plane) = stage(&format!("{TOKEN}\n{LEAVER}")).await;
    let send = async |name: &str| -> Reply {
        let call = plane.api().post(&format!("/inlets/webhook/{name}"));
        let call = call.header("authorization", format!("Token {SECRET}"));
        call.json(&json!({"user": "alice"})).send().await.unwrap()
    };
    for name in ["other", "HOOK", "hook%20", "%2e%2e"] {
        refused(&plane, &send(name).await, 404, "not_found", "webhook_unknown").await;
    }
    refused(&plane, &send("%ff").await, 400, "invalid_request", "syntax").await;
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    // However it is escaped.
    assert_eq!(send("h%6Fok").await.status, 204);
}

#[tokio::test]
async fn a_credential_that_is_there_twice_is_none() {
    let (_issuer, plane) = stage(&format!("{TOKEN}\n{LEAVER}")).await;
    let token = format!("Token {SECRET}");
    for headers in [vec![], vec![("authorization", token.as_str()); 2]] {
        let reply = super::send(&plane, &headers, r#"{"user":"alice"}"#).await;
        refused(&plane, &reply, 401, "invalid_token", "credential").await;
    }
    let (_issuer, plane) =
        stage(&format!("secret_env = \"HOOK_STANDARD\"\nscheme = \"standard\"\n{LEAVER}")).await;
    let body = r#"{"user":"alice"}"#;
    let signed = Signed::new("m", now(), body);
    let headers = [
        ("webhook-id", signed.id.as_str()),
        ("webhook-timestamp", signed.timestamp.as_str()),
        ("webhook-signature", signed.signature.as_str()),
    ];
    for twice in headers {
        let mut sent = headers.to_vec();
        sent.push(twice);
        let reply = super::send(&plane, &sent, body).await;
        refused(&plane, &reply, 401, "invalid_token", "credential").await;
        assert!(reply.text().contains(&format!("one '{}' header", twice.0)), "{}", reply.text());
    }
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    assert_eq!(super::send(&plane, &headers, body).await.status, 204);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let (_issuer, plane) = stage(&format!("{TOKEN}\n{LEAVER}")).await;
    for body in [
        &b""[..],
        b"user=alice",
        b"{\"user\":\"a\",\"user\":\"b\"}",
        b"{} {}",
        b"{\"user\":\"\xff\"}",
        b"{\"user\":\"a\"}x",
    ] {
        let call = plane.api().post(super::PATH).header("content-type", "application/json");
        let call = call.header("authorization", format!("Token {SECRET}"));
        let reply = call.body(body.to_vec()).send().await.unwrap();
        refused(&plane, &reply, 400, "invalid_request", "syntax").await;
    }
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_value_that_nobody_can_be_found_by_is_refused() {
    let (_issuer, plane) = stage(&format!("{TOKEN}\n{LEAVER}")).await;
    for (found, user) in [
        ("nothing", None),
        ("null", Some(json!(null))),
        ("string", Some(json!(""))),
        ("boolean", Some(json!(true))),
        ("number", Some(json!(1.5))),
        ("list", Some(json!(["alice"]))),
        ("object", Some(json!({"id": "alice"}))),
    ] {
        let mut body = json!({});
        if let Some(user) = user {
            body["user"] = user;
        }
        not_revocable(&plane, body, "value_missing", found).await;
    }
    not_revocable(&plane, json!({"user": "a\u{1b}[2J"}), "control_character", "control character").await;
    not_revocable(&plane, json!({"user": "a\nb"}), "control_character", "'value'").await;
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
}

#[tokio::test]
async fn more_than_can_be_revoked_is_refused() {
    let events_of = |count: usize| json!({"events": vec![json!({"user": "a"}); count]});
    let (_issuer, plane) = stage(&format!("{TOKEN}\nevents = \"/events\"\n{LEAVER}")).await;
    not_revocable(&plane, json!({"events": [{"user": "a".repeat(2_049)}]}), "selector_invalid", "2048 bytes")
        .await;
    not_revocable(&plane, events_of(101), "batch_too_large", "at most 100").await;
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    assert_eq!(tell(&plane, &events_of(100)).await.status, 204);

    // Each rule would cost every request another look-up.
    let mut rules = "events = \"/events\"".to_owned();
    for index in 0..23 {
        write!(rules, "\n[[webhooks.rules]]\nwhen = {{ \"/n\" = {index} }}\naction = \"revoke\"\n").unwrap();
        write!(rules, "kind = \"claims\"\nclaims = {{ c{index} = \"/v\" }}").unwrap();
    }
    let (_issuer, plane) = stage(&format!("{TOKEN}\n{rules}")).await;
    let all = |count: usize| -> Value {
        let events: Vec<Value> = (0..count).map(|index| json!({"n": index, "v": "x"})).collect();
        json!({ "events": events })
    };
    not_revocable(&plane, all(23), "too_many_shapes", "22 different sets").await;
    // Not even the first: all of a message or nothing.
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    assert_eq!(tell(&plane, &all(22)).await.status, 204);
}

#[tokio::test]
async fn an_address_that_nobody_has_is_refused() {
    let rule = "[[webhooks.rules]]\naction = \"revoke\"\nkind = \"email\"\nvalue = \"/mail\"";
    let (_issuer, plane) = stage(&format!("{TOKEN}\n{rule}")).await;
    let body = json!({"mail": "alice@example.com"});
    not_revocable(&plane, body, "subject_unknown", "email_claim").await;
    not_revocable(&plane, json!({"mail": 7.5}), "value_missing", "/mail").await;
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_time_that_is_none_is_refused_and_an_old_one_changes_nothing() {
    let rule = "[[webhooks.rules]]\naction = \"revoke\"\nvalue = \"/user\"\ntime = \"/at\"";
    let (_issuer, plane) = stage(&format!("{TOKEN}\n{rule}")).await;
    let at = |at: Value| json!({"user": "alice", "at": at});
    for (check, time) in [
        ("time_invalid", json!("yesterday")),
        ("time_invalid", json!("2026-02-30T00:00:00Z")),
        ("time_invalid", json!(-1)),
        ("time_invalid", json!(1e15)),
        ("time_invalid", json!(null)),
        ("time_invalid", json!(["2026-01-01T00:00:00Z"])),
        ("cutoff_in_future", json!("9999-01-01T00:00:00Z")),
        ("cutoff_in_future", json!(now() + 60)),
        ("cutoff_in_future", json!((now() + 60) * 1_000)),
    ] {
        let named = if check == "time_invalid" { "/at" } else { "future" };
        not_revocable(&plane, at(time), check, named).await;
    }
    // Every token of that time has expired: late, but right.
    assert_eq!(tell(&plane, &at(json!("2020-01-01T00:00:00Z"))).await.status, 204);
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    assert_eq!(last_received(&plane).await.get("refused"), None);
}
