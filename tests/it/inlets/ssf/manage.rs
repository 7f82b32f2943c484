//! `portcullis ssf`: streams at their transmitter.

use portcullis_testbed::ControlPlane;
use serde_json::json;

use super::support::*;
use super::transmitter::{TOKEN, Transmitter};
use crate::inlets::support::{SETTINGS, last_received};
use crate::support::{key, problem, run, run_as, setup};

async fn stage(lines: &str) -> (Transmitter, ControlPlane) {
    let transmitter = Transmitter::start().await;
    let issuer = transmitter.issuer();
    let lines = format!("authorization_env = \"STREAM_AUTHORIZATION\"\n{lines}");
    let plane = setup()
        .issuer(issuer, SETTINGS)
        .config(&push_stream("idp", issuer, &lines))
        .env("STREAM_AUTHORIZATION", AUTHORIZATION)
        .env("SSF_TOKEN", TOKEN)
        .env("PORTCULLIS_INLETS_PUBLIC_URL", "https://portcullis.example")
        .start()
        .await
        .unwrap();
    transmitter.with(|inner| inner.receiver = Some(plane.api()));
    (transmitter, plane)
}

#[tokio::test]
async fn a_stream_is_created_verified_paused_and_removed() {
    let (transmitter, plane) = stage("token_env = \"SSF_TOKEN\"").await;
    let ran = run(&plane, &["ssf", "status", "idp"], 1).await;
    assert!(ran.stderr.contains("portcullis ssf add idp"), "{}", ran.stderr);
    let added = run(&plane, &["ssf", "add", "idp", "--json"], 0).await.json().unwrap();
    assert_eq!((&added["stream_id"], &added["delivery"]), (&json!("stream-1"), &json!("push")));
    let there = transmitter.with(|inner| inner.stream.clone()).unwrap();
    assert_eq!(
        there["delivery"],
        json!({"method": "urn:ietf:rfc:8935", "authorization_header": AUTHORIZATION,
            "endpoint_url": "https://portcullis.example/inlets/ssf/push/idp"})
    );
    let requested = there["events_requested"].as_array().unwrap();
    assert!(requested.contains(&json!(caep("session-revoked"))), "{requested:?}");
    assert!(!requested.contains(&json!(caep("credential-change"))), "{requested:?}");
    // The transmitter has one stream for each receiver.
    run(&plane, &["ssf", "add", "idp"], 0).await;
    let calls = transmitter.with(|inner| inner.calls.clone());
    assert_eq!(calls[calls.len() - 3..], ["POST stream", "GET stream", "PATCH stream"]);
    // A transmitter may take the change and make it later.
    transmitter.with(|inner| inner.later = true);
    let added = run(&plane, &["ssf", "add", "idp", "--json"], 0).await.json().unwrap();
    assert_eq!(added["stream_id"], "stream-1", "{added}");

    let ran = run(&plane, &["ssf", "verify", "idp"], 0).await;
    assert!(ran.stdout.contains("verified"), "{}", ran.stdout);
    let status = run(&plane, &["ssf", "status", "idp", "--json"], 0).await.json().unwrap();
    assert_eq!(status["status"], "enabled");
    assert!(status["verified_at"].is_string() && status["received_at"].is_string(), "{status}");
    let ran = run(&plane, &["ssf", "status", "idp", "--set", "paused", "--reason", "maintenance"], 0).await;
    assert!(ran.stdout.contains("paused (maintenance)"), "{}", ran.stdout);
    assert_eq!(
        transmitter.with(|inner| inner.status.clone()),
        json!({"stream_id": "stream-1", "status": "paused", "reason": "maintenance"})
    );
    run(&plane, &["ssf", "remove", "idp"], 0).await;
    assert_eq!(transmitter.with(|inner| inner.stream.clone()), None);
    run(&plane, &["ssf", "status", "idp"], 1).await;
}

#[tokio::test]
async fn a_verification_with_another_state_is_none() {
    let (transmitter, plane) = stage("token_env = \"SSF_TOKEN\"").await;
    run(&plane, &["ssf", "add", "idp"], 0).await;
    transmitter.with(|inner| inner.forged_state = Some("guess".into()));
    let ran = run(&plane, &["ssf", "verify", "idp"], 1).await;
    assert!(ran.stderr.contains("no verification event"), "{}", ran.stderr);
    assert_eq!(transmitter.with(|inner| inner.answers.clone()), [400]);
    assert_eq!(last_received(&plane).await["refused"], "state_wrong");
    // Nor is one of another stream.
    transmitter.with(|inner| {
        inner.forged_state = None;
        inner.other_stream = Some("stream-2".into());
    });
    run(&plane, &["ssf", "verify", "idp"], 1).await;
    assert_eq!(last_received(&plane).await["refused"], "stream_wrong");
    transmitter.with(|inner| inner.other_stream = None);
    run(&plane, &["ssf", "verify", "idp"], 0).await;
    transmitter.with(|inner| inner.too_soon = true);
    let ran = run(&plane, &["ssf", "verify", "idp"], 1).await;
    assert!(ran.stderr.contains("too recently"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_subject_with_a_critical_member_is_passed_over() {
    let (transmitter, plane) = stage("token_env = \"SSF_TOKEN\"").await;
    // The transmitter says which members are critical.
    run(&plane, &["ssf", "add", "idp"], 0).await;
    let issuer = transmitter.issuer();
    let subject = |member: &str| json!({"format": "complex", "user": iss_sub(issuer, "alice"), member: {"format": "opaque", "id": "x"}});
    let token = |jti: &str, member: &str| {
        bare(issuer, jti, &caep("session-revoked"), json!({})).claim("sub_id", subject(member))
    };
    passed_over(&plane, &push(&plane, token("m1", "device")).await, "subject_critical").await;
    accepted(&push(&plane, token("m2", "tenant")).await);
    assert_eq!(last_received(&plane).await["refused"], serde_json::Value::Null);
}

#[tokio::test]
async fn access_tokens_come_by_client_credentials_and_are_renewed() {
    let transmitter = Transmitter::start().await;
    let issuer = transmitter.issuer();
    let lines = format!(
        "token_url = \"{}/token\"\nclient_id = \"client-1\"\nclient_secret_env = \"SSF_SECRET\"",
        issuer.name()
    );
    let plane = setup()
        .issuer(issuer, SETTINGS)
        .config(&push_stream("idp", issuer, &lines))
        .env("SSF_SECRET", "secret")
        .env("PORTCULLIS_INLETS_PUBLIC_URL", "https://portcullis.example")
        .start()
        .await
        .unwrap();
    for _ in 0..2 {
        run(&plane, &["ssf", "add", "idp"], 0).await;
    }
    assert_eq!(transmitter.with(|inner| inner.tokens), 1);
    // Another one is handed out elsewhere, and the old one is not accepted any more.
    transmitter.with(|inner| inner.tokens = 7);
    run(&plane, &["ssf", "status", "idp"], 0).await;
    assert_eq!(transmitter.with(|inner| inner.tokens), 8);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let (transmitter, plane) = stage("token_env = \"SSF_NOTHING\"").await;
    let ran = run(&plane, &["ssf", "add", "idp"], 1).await;
    assert!(ran.stderr.contains("SSF_NOTHING"), "{}", ran.stderr);
    let ran = run(&plane, &["ssf", "add", "other"], 1).await;
    assert!(ran.stderr.contains("[[ssf]]"), "{}", ran.stderr);
    let reader = key(&plane, &["read", "revoke"], &[]).await;
    run_as(&plane, &reader, &["ssf", "status", "idp"], 4).await;
    let call = plane.api().get("/v1/ssf/idp").bearer(&reader);
    problem(&call.send().await.unwrap(), 403, "scope");
    let (transmitter_down, plane_down) = stage("token_env = \"SSF_TOKEN\"").await;
    transmitter_down.with(|inner| inner.down = true);
    let call = plane_down.api().post("/v1/ssf/idp").bearer(plane_down.admin_key());
    problem(&call.send().await.unwrap(), 502, "transmitter");
    assert_eq!(transmitter.with(|inner| inner.stream.clone()), None);
}

#[tokio::test]
async fn a_transmitter_that_says_only_what_it_must_can_push_and_not_be_managed() {
    let (transmitter, plane) = stage("token_env = \"SSF_TOKEN\"").await;
    transmitter.with(|inner| inner.taciturn = true);
    for (args, lacks) in [
        (["ssf", "add", "idp"], "configuration_endpoint"),
        (["ssf", "status", "idp"], "configuration_endpoint"),
        (["ssf", "verify", "idp"], "verification_endpoint"),
    ] {
        let ran = run(&plane, &args, 1).await;
        assert!(ran.stderr.contains(&format!("has no {lacks}")), "{}", ran.stderr);
    }
    // No member of a subject is critical where none is named.
    let user = iss_sub(transmitter.issuer(), "alice");
    let subject = json!({"format": "complex", "user": user, "device": {"format": "opaque", "id": "d"}});
    let token = bare(transmitter.issuer(), "m1", &caep("session-revoked"), json!({}));
    accepted(&push(&plane, token.claim("sub_id", subject)).await);
    assert_eq!(last_received(&plane).await["refused"], serde_json::Value::Null);
}
