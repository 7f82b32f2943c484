//! The bounds of every inlet: a large body, a slow sender, JSON that is deep, ambiguous, or of many members.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis_testbed::{ControlPlane, Issuer, Reply};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{SETTINGS, events, now};
use crate::support::{key, setup};

const SECRET: &str = "a secret of the test's own";
const FORM: &str = "application/x-www-form-urlencoded";
/// Every path that takes a body, its media type, and the member of its errors that says what is wrong.
const INLETS: [(&str, &str, &str); 9] = [
    ("/inlets/backchannel-logout", FORM, "error"),
    ("/inlets/global-token-revocation", "application/json", "error"),
    ("/inlets/revoke", FORM, "error"),
    ("/inlets/introspect", FORM, "error"),
    ("/inlets/keycloak/acme/k_logout", "text/plain", "error"),
    ("/inlets/keycloak/acme/realm/k_logout", "text/plain", "error"),
    ("/inlets/ssf/push/idp", "application/secevent+jwt", "err"),
    ("/inlets/webhook/hook", "application/json", "error"),
    ("/inlets/scim/v2/Users", "application/scim+json", "detail"),
];

async fn stage() -> (Issuer, ControlPlane) {
    let issuer = Issuer::start().await.unwrap();
    let name = issuer.name();
    let lines = format!(
        "[[ssf]]\nname = \"idp\"\ntransmitter = \"{name}\"\ndelivery = \"push\"\n\
         [[webhooks]]\nname = \"hook\"\nissuer = \"{name}\"\nsecret_env = \"HOOK_SECRET\"\nscheme = \"token\"\n\
         [[webhooks.rules]]\naction = \"revoke\"\nvalue = \"/user\"\n"
    );
    let plane = setup()
        .issuer(&issuer, &format!("{SETTINGS}\nname = \"acme\""))
        .config(&lines)
        .env("HOOK_SECRET", SECRET)
        .env("PORTCULLIS_INLETS_PUBLIC_URL", "https://portcullis.example");
    (issuer, plane.start().await.unwrap())
}

#[tokio::test]
async fn a_large_body_is_refused_in_each_protocols_words() {
    let (_issuer, plane) = stage().await;
    for (path, media_type, member) in INLETS {
        let send = async |bytes: usize| {
            let call = plane.api().post(path).header("content-type", media_type);
            call.body("x".repeat(bytes)).send().await
        };
        let reply = send(100_000).await.unwrap();
        assert_eq!(reply.status, 413, "{path}: {}", reply.text());
        assert!(reply.json().unwrap()[member].is_string(), "{path}: {}", reply.text());
        // Over what is read to be polite, the connection is closed, before or after the answer.
        if let Ok(reply) = send(10_000_000).await {
            assert_eq!(reply.status, 413, "{path}");
        }
    }
    assert_eq!(events(&plane, "revoked").await.len(), 0);
}

#[tokio::test]
async fn a_slow_sender_is_answered_at_each_inlet() {
    let (_issuer, plane) = stage().await;
    let address = plane.url().trim_start_matches("http://").to_owned();
    let slow = INLETS.map(async |(path, media_type, member)| {
        let mut slow = TcpStream::connect(&address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\ncontent-length: 100\r\n\r\nx"
        );
        slow.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4_096];
        let read = tokio::time::timeout(Duration::from_secs(60), slow.read(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer[..read.unwrap().unwrap()]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
        assert!(answer.contains(&format!("\"{member}\":")), "{path}: {answer}");
    });
    join_all(slow).await;
}

#[tokio::test]
async fn json_bombs_are_refused_by_whoever_reads_json() {
    let (issuer, plane) = stage().await;
    let scim = key(&plane, &["revoke"], &[issuer.name()]).await;
    let many: String = (0..6_000).map(|index| format!("\"m{index}\":1,")).collect();
    for (index, body) in [
        format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000)),
        "[".repeat(60_000),
        "{\"user\":\"a\",\"user\":\"b\"}".to_owned(),
        format!("{{{many}\"last\":1e999}}"),
        "\u{0}".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let token = issuer.token().header("typ", "global-token-revocation+jwt").jti(&index.to_string());
        let token = token.sub("client-1").claim("aud", "portcullis").claim("exp", now() + 300);
        let send = async |path: &str, media_type: &str, authorization: String| -> Reply {
            let call = plane.api().post(path).header("content-type", media_type).body(body.clone());
            call.header("authorization", authorization).send().await.unwrap()
        };
        for (path, media_type, authorization) in [
            (
                "/inlets/global-token-revocation",
                "application/json",
                format!("Bearer {}", token.sign().unwrap()),
            ),
            ("/inlets/webhook/hook", "application/json", SECRET.to_owned()),
            ("/inlets/scim/v2/Users", "application/scim+json", format!("Bearer {scim}")),
        ] {
            let reply = send(path, media_type, authorization).await;
            assert_eq!(reply.status, 400, "{path}: {} for {:.40}", reply.text(), body);
        }
    }
    let received: Vec<Value> = events(&plane, "received").await;
    assert!(received.iter().all(|event| event["refused"] == json!("syntax")), "{received:?}");
    assert_eq!(received.len(), 15);
    // They cost nobody else anything.
    let reply = plane.api().get("/readyz").send().await.unwrap();
    assert_eq!(reply.status, 200);
}
