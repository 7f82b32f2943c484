//! `inlet try`: what would a captured message do?

use portcullis_testbed::ControlPlane;
use serde_json::{Value, json};

use super::support::{events, logout, now, send_logout, stage};
use crate::support::{key, post, problem, run};

/// What the API says that a message would do.
pub(super) async fn try_message(plane: &ControlPlane, inlet: &str, body: &str) -> Value {
    let reply = post(plane, &format!("/v1/inlets/{inlet}/try"), json!({ "body": body })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json().unwrap()
}

#[tokio::test]
async fn a_trial_says_what_would_happen_and_changes_nothing() {
    let (issuer, plane) = stage("").await;
    let token = logout(&issuer, "m1").sub("alice").iat(now() - 5).sign().unwrap();
    let trial = try_message(&plane, "backchannel-logout", &token).await;
    assert_eq!(
        (&trial["accepted"], &trial["status"], &trial["repeated"]),
        (&json!(true), &json!(200), &json!(false))
    );
    assert_eq!((&trial["message"], &trial["signal"]), (&json!("m1"), &json!("logout")));
    let would = &trial["revocations"][0];
    assert_eq!((&would["kind"], &would["value"]), (&json!("subject"), &json!("alice")));
    assert_eq!(would["issuer"], issuer.name());
    assert!(would["cutoff"].is_string() && would["expires_at"].is_string(), "{would}");
    assert_eq!(events(&plane, "revoked").await.len() + events(&plane, "received").await.len(), 0);
    // Nor is it taken for received: the message itself still is, and after that no more.
    assert_eq!(send_logout(&plane, &token).await.status, 200);
    let trial = try_message(&plane, "backchannel-logout", &token).await;
    assert_eq!((&trial["repeated"], &trial["refused"]["code"]), (&json!(true), &json!("replayed")));
}

#[tokio::test]
async fn the_command_line_reads_a_request_a_body_and_a_token() {
    let (issuer, plane) = stage("").await;
    let token = logout(&issuer, "m1").sid("s1").sign().unwrap();
    let form = format!("logout_token={token}");
    let request = format!(
        "POST /inlets/backchannel-logout HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n{form}\r\n"
    );
    let file = plane.dir().join("message");
    let path = file.to_str().unwrap().to_owned();
    for text in [&token, &form, &request] {
        std::fs::write(&file, text).unwrap();
        let ran = run(&plane, &["inlet", "try", "backchannel-logout", &path, "--fail-if-refused"], 0).await;
        assert!(ran.stdout.contains("would revoke session s1 of"), "{}", ran.stdout);
        let ran = run(&plane, &["inlet", "try", "backchannel-logout", &path, "--json"], 0).await;
        assert_eq!(ran.json().unwrap()["revocations"][0]["value"], "s1");
    }
    std::fs::write(&file, logout(&issuer, "m2").sign().unwrap()).unwrap();
    let ran = run(&plane, &["inlet", "try", "backchannel-logout", &path], 0).await;
    assert!(ran.stdout.contains("sub_and_sid_missing") && ran.stdout.contains("400"), "{}", ran.stdout);
    run(&plane, &["inlet", "try", "backchannel-logout", &path, "--fail-if-refused"], 1).await;
    let ran = run(&plane, &["inlet", "try", "pigeon", &path], 1).await;
    assert!(ran.stderr.contains("backchannel-logout"), "{}", ran.stderr);
    run(&plane, &["inlet", "try", "backchannel-logout", "/nonexistent"], 2).await;
}

#[tokio::test]
async fn a_trial_needs_a_scope_and_tells_nothing_of_other_issuers() {
    let (issuer, plane) = stage("").await;
    let token = logout(&issuer, "m1").sid("s1").sign().unwrap();
    let send = async |key: &str| {
        let call = plane.api().post("/v1/inlets/backchannel-logout/try").bearer(key);
        call.json(&json!({ "body": token })).send().await.unwrap()
    };
    for scope in ["read", "revoke"] {
        assert_eq!(send(&key(&plane, &[scope], &[]).await).await.status, 200);
    }
    problem(&send(&key(&plane, &["edge"], &[]).await).await, 403, "scope");
    problem(&send(&key(&plane, &["read"], &["https://other.example"]).await).await, 403, "issuer");
}
