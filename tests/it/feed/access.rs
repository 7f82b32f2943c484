use std::time::Duration;

use portcullis_core::wire::edge::edge_message::Message;
use portcullis_testbed::ControlPlane;
use serde_json::{Value, json};
use tonic::Code;

use super::edge::{Edge, open};
use crate::support::{get, key, setup};

#[tokio::test]
async fn an_edge_needs_a_key_for_edges() {
    let plane = setup().start().await.unwrap();
    let refused = async |key: Option<&str>| open(&plane, key).await.map(|_| ()).unwrap_err().code();
    assert_eq!(refused(None).await, Code::Unauthenticated);
    assert_eq!(refused(Some("edge-key-for-tests-onlY")).await, Code::Unauthenticated);
    let reader = key(&plane, &["read"], &[]).await;
    assert_eq!(refused(Some(&reader)).await, Code::PermissionDenied);
    for allowed in [key(&plane, &["edge"], &[]).await, plane.admin_key().to_owned()] {
        assert!(open(&plane, Some(&allowed)).await.is_ok());
    }
}

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn who_is_refused_is_told_what_to_do_and_the_operator_reads_why() {
    let plane = setup().start().await.unwrap();
    let reader = key(&plane, &["read"], &[]).await;
    let deleted = key(&plane, &["edge"], &[]).await;
    delete(&plane, &deleted).await;
    for (key, told, logged) in [
        (None, "an edge key is needed", "no edge key"),
        (Some("edge-key-for-tests-onlY"), "the edge key is unknown", "unknown edge key"),
        (Some(reader.as_str()), "the key lacks the scope `edge`", "the key lacks the scope edge"),
        (Some(deleted.as_str()), "the edge key was deleted", "deleted edge key"),
    ] {
        let status = open(&plane, key).await.map(|_| ()).unwrap_err();
        assert!(status.message().starts_with(told), "{status}");
        assert!(status.message().contains("portcullis key create NAME --scope edge"), "{status}");
        assert!(status.message().contains("control_plane.token"), "{status}");
        let line = plane.log().wait_for(logged, SOON).await.unwrap();
        assert!(line.contains("WARN") && line.contains("127.0.0.1:"), "{line}");
        // An edge tries again and again.
        assert!(open(&plane, key).await.is_err());
        assert_eq!(plane.log().text().matches(logged).count(), 1);
    }
    for reason in ["no_key", "unknown_key", "scope", "deleted_key"] {
        refused(&plane, reason, 2, 2).await;
    }
    assert!(!get(&plane, "/v1/status").await.text().contains(&deleted));
}

/// Edges were refused so often, by the metric; and one, since an edge last got in from its address, by the status.
async fn refused(plane: &ControlPlane, reason: &str, total: u64, count: u64) -> Value {
    let metrics = plane.api().get("/metrics").send().await.unwrap().text();
    let line = format!("portcullis_control_edge_refusals_total{{reason=\"{reason}\"}} {total}\n");
    assert!(metrics.contains(&line), "{line} in {metrics}");
    let status = get(plane, "/v1/status").await.json().unwrap();
    let edge = status["refused_edges"].as_array().unwrap().iter().find(|edge| edge["reason"] == reason);
    let edge = edge.unwrap_or_else(|| panic!("no {reason} in {status}"));
    assert_eq!((&edge["peer"], &edge["count"]), (&json!("127.0.0.1"), &json!(count)), "{edge}");
    edge.clone()
}

#[tokio::test]
async fn who_says_hello_wrongly_is_named_and_one_of_a_later_protocol_gets_in() {
    let plane = setup().start().await.unwrap();
    let mut old = Edge::new("old");
    old.hello.protocol = 0;
    assert_eq!(old.connect(&plane).await.end().await.code(), Code::FailedPrecondition);
    let line = plane.log().wait_for("an older protocol than 1", SOON).await.unwrap();
    assert!(line.contains("node-old") && line.contains("filter_version=\"test\""), "{line}");
    let edge = refused(&plane, "protocol", 1, 1).await;
    assert_eq!((&edge["node"], &edge["filter_version"]), (&json!("node-old"), &json!("test")));

    let mut wrong = Edge::new("wrong");
    wrong.hello.process = String::new();
    assert_eq!(wrong.connect(&plane).await.end().await.code(), Code::InvalidArgument);
    plane.log().wait_for("process has 1 to 256 printable bytes", SOON).await.unwrap();
    assert_eq!(refused(&plane, "hello", 1, 1).await["node"], "node-wrong");

    old.hello.protocol = 2;
    let mut link = old.connect(&plane).await;
    old.reach(&mut link, 0).await;
    let line = plane.log().wait_for("a worker has connected", SOON).await.unwrap();
    assert!(line.contains("protocol=2") && line.contains("filter_version=\"test\""), "{line}");
    // It is in now, and the other is not.
    let status = get(&plane, "/v1/status").await.json().unwrap();
    assert_eq!(status["refused_edges"].as_array().unwrap().len(), 1, "{status}");
}

#[tokio::test]
async fn the_log_has_edges_that_come_and_go() {
    let plane = setup().start().await.unwrap();
    let (mut one, mut two) = (Edge::new("p"), Edge::new("p"));
    two.hello.worker = "p-2".into();
    let first = one.connect(&plane).await;
    let line = plane.log().wait_for("a worker has connected", SOON).await.unwrap();
    assert!(line.contains("INFO") && line.contains("node-p"), "{line}");
    let mut second = two.connect(&plane).await;
    two.reach(&mut second, 0).await;
    drop(first);
    second.say(Message::Hello(two.hello.clone())).await;
    assert_eq!(second.end().await.code(), Code::InvalidArgument);
    let line = plane.log().wait_for("the last worker of an edge has disconnected", SOON).await.unwrap();
    assert!(line.contains("WARN") && line.contains("node-p"), "{line}");
    assert_eq!(plane.log().text().matches("the last worker").count(), 1);
}

async fn delete(plane: &ControlPlane, key: &str) {
    let path = format!("/v1/keys/{}", key.split('_').nth(1).unwrap());
    let call = plane.api().call(axum::http::Method::DELETE, &path).bearer(plane.admin_key());
    assert!(call.send().await.unwrap().status.is_success());
}

#[tokio::test]
async fn the_streams_of_a_deleted_key_end_at_once_and_others_do_not() {
    // Longer than the test may take.
    let plane = setup().env("PORTCULLIS_EDGE_HEARTBEAT", "60s").start().await.unwrap();
    let text = key(&plane, &["edge"], &[]).await;
    let other = key(&plane, &["edge"], &[]).await;
    let (mut edge, mut silent) = (Edge::new("p"), open(&plane, Some(&text)).await.unwrap());
    let mut link = open(&plane, Some(&text)).await.unwrap();
    edge.greet(&link).await;
    edge.reach(&mut link, 2).await;
    let mut spared = Edge::new("q");
    let mut kept = open(&plane, Some(&other)).await.unwrap();
    spared.greet(&kept).await;
    spared.reach(&mut kept, 2).await;

    delete(&plane, &text).await;
    for link in [&mut link, &mut silent] {
        let status = tokio::time::timeout(SOON / 2, link.end()).await.unwrap();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(status.message().contains("the edge key was deleted"), "{status}");
    }
    let version = super::edge::revoke(&plane, 0..1).await;
    spared.reach(&mut kept, version).await;
    let line = plane.log().wait_for("the last worker of an edge", SOON).await.unwrap();
    assert!(line.contains("node-p") && line.contains("was deleted"), "{line}");
}

#[tokio::test]
async fn who_does_not_say_hello_is_sent_away() {
    let plane = setup().env("PORTCULLIS_EDGE_HELLO_TIMEOUT", "50ms").start().await.unwrap();
    let mut silent = open(&plane, Some(plane.edge_key())).await.unwrap();
    assert_eq!(silent.end().await.code(), Code::DeadlineExceeded);

    let mut rude = open(&plane, Some(plane.edge_key())).await.unwrap();
    rude.ask_for_snapshot().await;
    assert_eq!(rude.end().await.code(), Code::InvalidArgument);
    refused(&plane, "hello", 2, 2).await;

    let mut edge = Edge::new("p");
    let mut twice = edge.connect(&plane).await;
    edge.greet(&twice).await;
    assert_eq!(twice.end().await.code(), Code::InvalidArgument);

    edge.hello.node = "x".repeat(100_000);
    let mut large = edge.connect(&plane).await;
    assert_eq!(large.end().await.code(), Code::OutOfRange);
    // What was refused before the edge of the same address got in is not shown any more.
    refused(&plane, "hello", 3, 1).await;
    assert_eq!(get(&plane, "/readyz").await.status, 200);
}

#[tokio::test]
async fn there_are_as_many_places_as_configured() {
    let plane = setup().env("PORTCULLIS_EDGE_MAX_SUBSCRIBERS", "1").start().await.unwrap();
    let first = open(&plane, Some(plane.edge_key())).await.unwrap();
    let full = open(&plane, Some(plane.edge_key())).await.map(|_| ()).unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted);
    refused(&plane, "full", 1, 1).await;
    first.say(Message::Hello(Edge::new("p").hello)).await;
    let mut first = first;
    assert!(first.from.message().await.unwrap().is_some());
}
