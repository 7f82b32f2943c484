//! The bounds of every inlet: another method, a large body, a slow sender, another media type, too many requests, a
//! full log, JSON that is deep, ambiguous, or of many members. Each protocol says so in its own words.

mod inlet;

use std::time::Duration;

use futures_util::future::join_all;
use portcullis_testbed::{BrokenKeys, ControlPlane, ControlPlaneSetup, Issuer, Reply};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{SETTINGS, events, last_received, now};
use crate::support::{ISSUER, key, post, problem, setup};
use inlet::{INLETS, Sender, Words};

const SECRET: &str = "a secret of the test's own";

fn with_inlets(issuer: &Issuer) -> ControlPlaneSetup {
    let name = issuer.name();
    let lines = format!(
        "[[ssf]]\nname = \"idp\"\ntransmitter = \"{name}\"\ndelivery = \"push\"\n\
         [[webhooks]]\nname = \"hook\"\nissuer = \"{name}\"\nsecret_env = \"HOOK_SECRET\"\nscheme = \"token\"\n\
         [[webhooks.rules]]\naction = \"revoke\"\nvalue = \"/user\"\n"
    );
    setup()
        .issuer(issuer, &format!("{SETTINGS}\nname = \"acme\""))
        .config(&lines)
        .env("HOOK_SECRET", SECRET)
        .env("PORTCULLIS_INLETS_PUBLIC_URL", "https://portcullis.example")
}

async fn stage() -> (Issuer, ControlPlane) {
    let issuer = Issuer::start().await.unwrap();
    let plane = with_inlets(&issuer).start().await.unwrap();
    (issuer, plane)
}

/// The audit trail's last word is this refusal. Introspection changes nothing, and is only counted.
async fn written_down(plane: &ControlPlane, name: &str, check: &str) {
    if name == "introspect" {
        let metrics = plane.api().get("/metrics").send().await.unwrap().text();
        let line = format!("inlet_messages_total{{inlet=\"introspect\",outcome=\"{check}\"}} 1");
        assert!(metrics.contains(&line), "{line}: {metrics}");
        return;
    }
    let received = last_received(plane).await;
    assert_eq!((&received["inlet"], &received["refused"]), (&json!(name), &json!(check)), "{received}");
}

#[tokio::test]
async fn another_method_is_not_taken() {
    let (issuer, plane) = stage().await;
    let sender = Sender::new(&issuer, &plane).await;
    for inlet in &INLETS {
        let call = plane.api().call("DELETE".parse().unwrap(), inlet.path);
        let reply = call.bearer(&sender.scim_key).send().await.unwrap();
        match inlet.words {
            Words::Scim => {
                inlet.words.check(&reply, 405, "");
                assert_eq!(reply.header("allow"), Some("GET,HEAD,POST"));
            }
            // No message of the protocol: the same as for any other path.
            _ => {
                problem(&reply, 405, "method_not_allowed");
                assert_eq!(reply.header("allow"), Some("POST"), "{}", inlet.path);
            }
        }
    }
}

#[tokio::test]
async fn a_large_body_is_refused_in_each_protocols_words() {
    let (_issuer, plane) = stage().await;
    for inlet in &INLETS {
        let send = async |bytes: usize| {
            let call = plane.api().post(inlet.path).header("content-type", inlet.media_type);
            call.body("x".repeat(bytes)).send().await
        };
        inlet.words.check(&send(100_000).await.unwrap(), 413, "invalid_request");
        written_down(&plane, inlet.name, "too_large").await;
        // Over what is read to be polite, the connection is closed, before or after the answer.
        if let Ok(reply) = send(10_000_000).await {
            inlet.words.check(&reply, 413, "invalid_request");
        }
    }
    assert_eq!(events(&plane, "revoked").await.len(), 0);
}

#[tokio::test]
async fn a_slow_sender_is_answered_at_each_inlet() {
    let (_issuer, plane) = stage().await;
    let address = plane.url().trim_start_matches("http://").to_owned();
    let slow = INLETS.iter().map(async |inlet| {
        let (path, media_type) = (inlet.path, inlet.media_type);
        let mut slow = TcpStream::connect(&address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {media_type}\r\n\
             content-length: 100\r\n\r\nx"
        );
        slow.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(60), slow.read_to_end(&mut answer)).await;
        read.unwrap().unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 408"), "{path}: {answer}");
        let body: Value = serde_json::from_str(body).unwrap();
        inlet.words.check_body(&body, 408, "invalid_request");
    });
    join_all(slow).await;
    let received = events(&plane, "received").await;
    assert_eq!(received.len(), INLETS.len() - 1);
    assert!(received.iter().all(|event| event["refused"] == json!("body_timeout")), "{received:?}");
}

#[tokio::test]
async fn another_media_type_is_not_taken() {
    let (issuer, plane) = stage().await;
    let sender = Sender::new(&issuer, &plane).await;
    for inlet in &INLETS {
        let message = (inlet.message)(&sender, "m1");
        let reply = message.send(&plane, inlet.path, "application/x-other").await;
        // Keycloak's body is a JWS whatever it is declared to be.
        if inlet.name == "keycloak" {
            assert_eq!(reply.status, 204, "{}: {}", inlet.path, reply.text());
            continue;
        }
        inlet.words.check(&reply, 415, "invalid_request");
        written_down(&plane, inlet.name, "unsupported_media_type").await;
    }
}

#[tokio::test]
async fn who_calls_too_often_is_told_to_wait() {
    let issuer = Issuer::start().await.unwrap();
    let plane = with_inlets(&issuer)
        .env("PORTCULLIS_INLETS_REQUESTS_PER_MINUTE", "1")
        .env("PORTCULLIS_INLETS_TRUSTED_PROXIES", "127.0.0.0/8")
        .start()
        .await
        .unwrap();
    let sender = Sender::new(&issuer, &plane).await;
    for (index, inlet) in INLETS.iter().enumerate() {
        let send = async |id: &str| {
            let message = (inlet.message)(&sender, id).header("x-forwarded-for", format!("10.9.9.{index}"));
            message.send(&plane, inlet.path, inlet.media_type).await
        };
        let (first, second) = (format!("{index}-a"), format!("{index}-b"));
        assert_eq!(send(&first).await.status.as_u16(), inlet.accepted, "{}", inlet.path);
        let reply = send(&second).await;
        inlet.words.check(&reply, 429, "temporarily_unavailable");
        assert_eq!(reply.header("retry-after"), Some("5"), "{}", inlet.path);
        written_down(&plane, inlet.name, "rate_limited").await;
    }
}

/// Sets the greatest size of the log, or none, and starts it again.
async fn limit_log(plane: &mut ControlPlane, limit: Option<u32>) {
    let file = plane.dir().join("portcullis.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let unlimited = config.split("\n[log]").next().unwrap();
    let limit = limit.map(|bytes| format!("\n[log]\nmax_bytes = {bytes}\n")).unwrap_or_default();
    std::fs::write(&file, format!("{unlimited}{limit}")).unwrap();
    plane.restart().await.unwrap();
}

#[tokio::test]
async fn a_message_that_cannot_be_stored_is_to_be_sent_again() {
    let (issuer, mut plane) = stage().await;
    let sender = Sender::new(&issuer, &plane).await;
    limit_log(&mut plane, Some(262_144)).await;
    // Until nothing of any size fits.
    for size in [1_000, 100, 0] {
        for sid in 0.. {
            let value = format!("{size}-{sid}");
            let request =
                json!({"kind": "session", "issuer": ISSUER, "value": value, "reason": "x".repeat(size)});
            let reply = post(&plane, "/v1/revocations", request).await;
            if reply.status != 201 {
                problem(&reply, 507, "log_full");
                break;
            }
        }
    }
    // Introspection writes nothing.
    let writers = INLETS.iter().filter(|inlet| inlet.name != "introspect");
    for (index, inlet) in writers.clone().enumerate() {
        for _ in 0..2 {
            let message = (inlet.message)(&sender, &format!("m{index}"));
            let reply = message.send(&plane, inlet.path, inlet.media_type).await;
            inlet.words.check(&reply, 503, "temporarily_unavailable");
            assert_eq!(reply.header("retry-after"), Some("5"), "{}", inlet.path);
        }
    }
    limit_log(&mut plane, None).await;
    for (index, inlet) in writers.enumerate() {
        let message = (inlet.message)(&sender, &format!("m{index}"));
        let reply = message.send(&plane, inlet.path, inlet.media_type).await;
        assert_eq!(reply.status.as_u16(), inlet.accepted, "{}: {}", inlet.path, reply.text());
    }
}

#[tokio::test]
async fn a_message_whose_signature_cannot_be_checked_is_to_be_sent_again() {
    let issuer = Issuer::start().await.unwrap();
    issuer.break_keys(Some(BrokenKeys::Unavailable));
    let plane = with_inlets(&issuer).start().await.unwrap();
    let sender = Sender::new(&issuer, &plane).await;
    let mut refused = 0;
    for (index, inlet) in INLETS.iter().enumerate() {
        let message = (inlet.message)(&sender, &format!("m{index}"));
        let reply = message.send(&plane, inlet.path, inlet.media_type).await;
        // Nothing of these is signed by the issuer.
        if matches!(inlet.name, "webhook" | "scim") {
            assert_eq!(reply.status.as_u16(), inlet.accepted, "{}: {}", inlet.path, reply.text());
            continue;
        }
        inlet.words.check(&reply, 503, "temporarily_unavailable");
        assert_eq!(reply.header("retry-after"), Some("5"), "{}", inlet.path);
        refused += usize::from(inlet.name != "introspect");
    }
    let received = events(&plane, "received").await;
    let checks: Vec<&Value> =
        received.iter().map(|event| &event["refused"]).filter(|check| !check.is_null()).collect();
    assert_eq!(checks.len(), refused);
    // The keys are asked for six times a minute at most.
    let temporary = ["keys_unavailable", "keys_asked_too_often"];
    assert!(checks.iter().all(|check| temporary.contains(&check.as_str().unwrap())), "{checks:?}");
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
