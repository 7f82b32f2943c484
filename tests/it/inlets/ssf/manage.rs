//! `portcullis ssf`: streams at their transmitter.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use portcullis_testbed::{ControlPlane, Issuer};
use serde_json::{Value, json};

use super::support::*;
use super::transmitter::{TOKEN, Transmitter};
use crate::inlets::support::{SETTINGS, events, last_received};
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
    let changes = transmitter.with(|inner| inner.calls.clone());
    let changes: Vec<String> = changes.into_iter().filter(|call| !call.starts_with("GET")).collect();
    assert_eq!(changes, ["POST stream", "POST stream", "PATCH stream"]);
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
    let other = json!({"format": "opaque", "id": "stream-2"});
    let token = bare(transmitter.issuer(), "m", VERIFICATION, json!({})).claim("sub_id", other);
    refused(&plane, &push(&plane, token).await, 400, "invalid_request", "stream_wrong").await;
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
    assert_eq!(last_received(&plane).await["refused"], Value::Null);
    // A session is processed by the events that can be about one, and by no other.
    accepted(&push(&plane, token("m3", "session")).await);
    assert_eq!(last_received(&plane).await["refused"], Value::Null);
    let disabled =
        bare(issuer, "m4", &risc("account-disabled"), json!({})).claim("sub_id", subject("session"));
    passed_over(&plane, &push(&plane, disabled).await, "subject_critical").await;
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
    // At the start, by the second `add`, and because there is a stream now.
    transmitter.until(|inner| inner.calls.iter().filter(|call| *call == "GET stream").count() == 3).await;
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
    assert_eq!(last_received(&plane).await["refused"], Value::Null);
}

#[tokio::test]
async fn what_the_transmitter_answers_is_told() {
    let (transmitter, plane) = stage("token_env = \"SSF_TOKEN\"").await;
    let (name, other) = (transmitter.issuer().name().to_owned(), "https://other.example");
    let call = async |method: &str, path: &str| {
        let call = plane.api().call(method.parse().unwrap(), path).bearer(plane.admin_key());
        let call = if path.ends_with("status") { call.json(&json!({"status": "paused"})) } else { call };
        call.send().await.unwrap()
    };
    let add = ("POST", "/v1/ssf/idp");
    let read = ("GET", "/v1/ssf/idp");
    let remove = ("DELETE", "/v1/ssf/idp");
    let set_status = ("POST", "/v1/ssf/idp/status");
    let verify = ("POST", "/v1/ssf/idp/verify");
    let none = || json!({});
    let stream = |iss: &str| {
        json!([{"stream_id": "s", "iss": iss, "delivery": {"method": "urn:ietf:rfc:8935",
            "endpoint_url": "https://portcullis.example/inlets/ssf/push/idp"}}])
    };
    let foreign = format!("is of issuer {other}, and the configured transmitter is {name}");
    let foreign = foreign.as_str();
    // What the transmitter answers to what, and what of it is said; before there is a stream.
    for (instead, status, body, (method, path), says) in [
        ("POST stream", 400, json!({"err": "no"}), add, "/ssf/stream answers 400: {\"err\":\"no\"}"),
        ("POST stream", 401, none(), add, "answers 401"),
        ("POST stream", 403, none(), add, "answers 403"),
        // It should be 201: whether that has made one, reading it tells.
        ("POST stream", 200, none(), add, "answers 200"),
        ("POST stream", 201, none(), add, "a stream without stream_id"),
        ("POST stream", 307, none(), add, "redirect (307)"),
        ("GET stream", 302, none(), read, "redirect (302)"),
        ("GET description", 301, none(), read, "redirect (301)"),
        ("POST stream", 201, stream(other)[0].clone(), add, foreign),
        ("GET stream", 401, none(), read, "answers 401"),
        ("GET stream", 200, none(), read, "a stream without stream_id"),
        ("GET stream", 200, stream(other), read, foreign),
        ("GET description", 200, json!({"issuer": other}), read, foreign),
        ("GET description", 200, none(), read, "is of issuer nobody"),
        ("GET description", 500, none(), read, "ssf-configuration answers 500"),
    ] {
        transmitter.with(|inner| inner.instead.insert(instead, (status, body)));
        let problem = problem(&call(method, path).await, 502, "transmitter");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{instead} {status}: {detail}");
        transmitter.with(|inner| inner.instead.clear());
    }
    // None is there, in both ways of saying so.
    for (status, body) in [(404, none()), (200, json!([]))] {
        transmitter.with(|inner| inner.instead.insert("GET stream", (status, body)));
        for (method, path) in [read, remove, set_status, verify] {
            problem(&call(method, path).await, 404, "no_stream");
        }
        transmitter.with(|inner| inner.instead.clear());
    }
    // One, instead of a list with it.
    transmitter.with(|inner| inner.instead.insert("GET stream", (200, stream(&name)[0].clone())));
    transmitter.with(|inner| inner.instead.insert("GET status", (200, json!({"status": "paused"}))));
    let shown = call(read.0, read.1).await.json().unwrap();
    assert_eq!((&shown["stream_id"], &shown["status"]), (&json!("s"), &json!("paused")), "{shown}");
    transmitter.with(|inner| inner.instead.clear());

    assert_eq!(call(add.0, add.1).await.status, 200);
    for (instead, status, (method, path)) in [
        ("PATCH stream", 404, add),
        ("DELETE stream", 404, remove),
        ("GET status", 404, read),
        ("POST status", 400, set_status),
        ("POST status", 403, set_status),
        ("POST status", 404, set_status),
        ("POST verify", 404, verify),
    ] {
        transmitter.with(|inner| inner.instead.insert(instead, (status, none())));
        let problem = problem(&call(method, path).await, 502, "transmitter");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("answers {status}")), "{instead}: {detail}");
        transmitter.with(|inner| inner.instead.clear());
    }
    // Taken, and done later.
    transmitter.with(|inner| inner.instead.insert("POST status", (202, none())));
    let later = call(set_status.0, set_status.1).await;
    assert_eq!((later.status.as_u16(), &later.json().unwrap()["stream_id"]), (200, &json!("stream-1")));
}

#[tokio::test]
async fn a_stream_is_kept_in_use_within_its_inactivity_timeout() {
    let (transmitter, plane) = stage("token_env = \"SSF_TOKEN\"").await;
    transmitter.with(|inner| inner.inactivity_timeout = Some(2));
    run(&plane, &["ssf", "add", "idp"], 0).await;
    // Calls that name the stream, though nobody asks for its status here.
    transmitter.until_called("GET status", 3).await;
    // One that fails is told, and made again.
    transmitter.with(|inner| inner.instead.insert("GET status", (403, json!({}))));
    plane.log().wait_for("answers 403", Duration::from_secs(30)).await.unwrap();
    transmitter.with(|inner| inner.instead.clear());
    transmitter.until_called("GET status", 2).await;
}

#[tokio::test]
async fn what_may_be_critical_is_held_off_until_the_transmitter_has_said() {
    let transmitter = Transmitter::start().await;
    let issuer = transmitter.issuer();
    transmitter.with(|inner| inner.down = true);
    let stream = push_stream("idp", issuer, "");
    let plane = setup().issuer(issuer, SETTINGS).config(&stream).start().await.unwrap();
    let token = |jti: &str, member: &str| {
        let subject = json!({"format": "complex", "user": iss_sub(issuer, jti), member: {"format": "opaque", "id": "x"}});
        bare(issuer, jti, &caep("session-revoked"), json!({})).claim("sub_id", subject)
    };
    for member in ["device", "tenant", "new-member"] {
        let reply = push(&plane, token("m1", member)).await;
        refused(&plane, &reply, 503, "temporarily_unavailable", "critical_unknown").await;
        assert_eq!(reply.header("retry-after"), Some("5"));
    }
    // What is understood need not wait.
    accepted(&push(&plane, token("m2", "session")).await);
    transmitter.with(|inner| inner.down = false);
    plane.log().wait_for(KNOWN, Duration::from_secs(30)).await.unwrap();
    passed_over(&plane, &push(&plane, token("m1", "device")).await, "subject_critical").await;
    accepted(&push(&plane, token("m3", "tenant")).await);
    assert_eq!(events(&plane, "revoked").await.len(), 2);
}

#[tokio::test]
async fn a_transmitter_at_a_private_address_must_be_meant() {
    let transmitter = Transmitter::start().await;
    let issuer = transmitter.issuer();
    let lines = push_stream("idp", issuer, "token_env = \"SSF_TOKEN\"");
    let plane = setup().issuer(issuer, "audiences = [\"portcullis\"]").config(&lines).env("SSF_TOKEN", TOKEN);
    let plane =
        plane.env("PORTCULLIS_INLETS_PUBLIC_URL", "https://portcullis.example").start().await.unwrap();
    for args in [["ssf", "add", "idp"], ["ssf", "status", "idp"], ["ssf", "verify", "idp"]] {
        let ran = run(&plane, &args, 1).await;
        assert!(ran.stderr.contains("set allow_private_addresses"), "{}", ran.stderr);
    }
    assert_eq!(transmitter.with(|inner| inner.calls.clone()), Vec::<String>::new());
}

/// Its description is between the host and the path of its name (Shared Signals 1.0, section 7.2).
#[tokio::test]
async fn a_transmitter_may_have_a_path() {
    async fn describe(headers: HeaderMap) -> Json<Value> {
        let host = headers["host"].to_str().unwrap();
        let at = |path: &str| format!("http://{host}{path}");
        Json(json!({"issuer": at("/tenant/a"), "configuration_endpoint": at("/streams")}))
    }
    let router = Router::new()
        .route("/.well-known/ssf-configuration/tenant/a", get(describe))
        .route("/streams", get(async || Json(json!([]))));
    let issuer = Issuer::start_with(router).await.unwrap();
    let (name, jwks) = (format!("{}/tenant/a", issuer.name()), issuer.jwks_uri());
    let config = format!(
        "[[issuers]]\nissuer = \"{name}\"\njwks_uri = \"{jwks}\"\n{SETTINGS}\n\
         [[ssf]]\nname = \"idp\"\ntransmitter = \"{name}\"\ndelivery = \"push\"\n"
    );
    let plane = setup().config(&config).start().await.unwrap();
    let call = plane.api().get("/v1/ssf/idp").bearer(plane.admin_key());
    problem(&call.send().await.unwrap(), 404, "no_stream");
}
