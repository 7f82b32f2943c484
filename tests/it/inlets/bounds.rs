//! What no inlet gives way to: floods, large bodies, slow senders, deep JSON, garbage.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{events, logout, refused, send_form, send_logout, stage};
use crate::support::setup;

const PATH: &str = "/inlets/backchannel-logout";

#[tokio::test]
async fn a_large_body_is_refused_and_the_next_message_is_not() {
    let (issuer, plane) = stage("").await;
    let reply = send_form(&plane, PATH, &format!("logout_token={}", "x".repeat(100_000))).await;
    refused(&plane, &reply, 413, "invalid_request", "too_large").await;
    // Over what is read to be polite, the connection is closed, before or after the answer.
    let form = format!("logout_token={}", "x".repeat(10_000_000));
    let call = plane.api().post(PATH).header("content-type", "application/x-www-form-urlencoded").body(form);
    if let Ok(reply) = call.send().await {
        assert_eq!(reply.status, 413);
    }
    let token = logout(&issuer, "m1").sid("s1").sign().unwrap();
    assert_eq!(send_logout(&plane, &token).await.status, 200);
}

#[tokio::test]
async fn a_slow_sender_is_answered_and_nobody_waits_for_it() {
    let (issuer, plane) = stage("").await;
    let address = plane.url().trim_start_matches("http://").to_owned();
    let mut slow = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\nlogout"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let token = logout(&issuer, "m1").sid("s1").sign().unwrap();
    assert_eq!(send_logout(&plane, &token).await.status, 200);
    let mut answer = vec![0; 4_096];
    let read = tokio::time::timeout(Duration::from_secs(60), slow.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn deep_and_ambiguous_json_is_no_token() {
    let (_issuer, plane) = stage("").await;
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = encode(r#"{"alg":"RS256","typ":"logout+jwt","kid":"key-1"}"#);
    for payload in [
        format!("{}1{}", r#"{"a":"#.repeat(5_000), "}".repeat(5_000)),
        "[".repeat(30_000),
        r#"{"iss":"a","iss":"b"}"#.to_owned(),
        "\u{0}".to_owned(),
        String::new(),
    ] {
        let reply = send_logout(&plane, &format!("{header}.{}.c2ln", encode(&payload))).await;
        refused(&plane, &reply, 400, "invalid_request", "jwt_malformed").await;
    }
}

#[tokio::test]
async fn garbage_is_counted_and_does_not_fill_the_log() {
    let (_issuer, mut plane) = stage("").await;
    for _ in 0..50 {
        assert_eq!(send_form(&plane, PATH, "logout_token=a.b.c").await.status, 400);
    }
    assert_eq!(events(&plane, "received").await.len(), 10);
    let metrics = plane.api().get("/metrics").send().await.unwrap().text();
    let line = r#"inlet_messages_total{inlet="backchannel-logout",outcome="jwt_malformed"} 50"#;
    assert!(metrics.contains(line), "{metrics}");
    // What was only counted is written down when the control plane ends, if not before.
    plane.process().terminate(Duration::from_secs(20)).await.unwrap();
    plane.restart().await.unwrap();
    let counted = events(&plane, "received").await;
    assert_eq!(counted.len(), 11);
    assert_eq!((&counted[10]["count"], &counted[10]["refused"]), (&json!(40), &json!("jwt_malformed")));
}

#[tokio::test]
async fn an_address_may_not_call_without_end() {
    let issuer = portcullis_testbed::Issuer::start().await.unwrap();
    let plane = setup()
        .issuer(&issuer, super::support::SETTINGS)
        .env("PORTCULLIS_INLETS_REQUESTS_PER_MINUTE", "3")
        .env("PORTCULLIS_INLETS_TRUSTED_PROXIES", "127.0.0.0/8")
        .start()
        .await
        .unwrap();
    let send = async |from: &str| {
        let call = plane.api().post(PATH).header("content-type", "application/x-www-form-urlencoded");
        call.header("x-forwarded-for", from).body("logout_token=a.b.c").send().await.unwrap()
    };
    for _ in 0..3 {
        assert_eq!(send("9.9.9.9").await.status, 400);
    }
    let reply = send("9.9.9.9").await;
    refused(&plane, &reply, 429, "temporarily_unavailable", "rate_limited").await;
    assert!(reply.header("retry-after").is_some());
    // Another address has an allowance of its own, and the audit trail says whose message it was.
    assert_eq!(send("8.8.8.8, 9.9.9.9, 7.7.7.7").await.status, 400);
    assert_eq!(super::support::last_received(&plane).await["peer"], "7.7.7.7");
}

#[tokio::test]
async fn other_methods_are_not_taken() {
    let (_issuer, plane) = stage("").await;
    let reply = plane.api().get(PATH).send().await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, Some("POST")));
}
