use std::time::Duration;

use portcullis_core::sync::Progress;
use portcullis_core::wire::edge::Refused;
use portcullis_core::wire::edge::edge_message::Message;
use serde_json::{Value, json};
use tonic::Code;

use super::edge::{Edge, listed, rejections, revoke};
use crate::support::{ISSUER, get, post, rows, run, setup};

#[tokio::test]
async fn silence_is_broken_by_heartbeats() {
    let plane = setup().env("PORTCULLIS_EDGE_HEARTBEAT", "100ms").start().await.unwrap();
    let mut edge = Edge::new("p");
    let mut link = edge.connect(&plane).await;
    let greeted = edge.take(&mut link).await.unwrap();
    assert!(matches!(greeted, Progress::Greeted { heartbeat: 100, .. }), "{greeted:?}");
    edge.reach(&mut link, 0).await;
    for _ in 0..3 {
        assert_eq!(edge.take(&mut link).await.unwrap(), Progress::Confirmed);
    }
}

#[tokio::test]
async fn receipts_say_who_enforces_a_revocation() {
    let plane = setup().start().await.unwrap();
    let mut edges = [Edge::new("a"), Edge::new("b")];
    edges[1].hello.process = "a".into();
    let mut links = Vec::new();
    for edge in &mut edges {
        let mut link = edge.connect(&plane).await;
        edge.reach(&mut link, 0).await;
        links.push(link);
    }
    let body = serde_json::json!({"kind": "session", "issuer": ISSUER, "value": "s"});
    let waiting = post(&plane, "/v1/revocations?wait=30s", body);
    let applying = async {
        for (edge, link) in edges.iter_mut().zip(&mut links) {
            edge.reach(link, 1).await;
        }
    };
    let (reply, ()) = tokio::join!(waiting, applying);
    let receipts = &reply.json().unwrap()["receipts"];
    assert_eq!((&receipts["applied"], &receipts["pending"]), (&1.into(), &0.into()), "{receipts}");
    assert_eq!(receipts["edges"][0]["applied_workers"], 2, "{receipts}");
    assert!(receipts["edges"][0]["ms"].is_u64(), "{receipts}");

    let listed = listed(&plane).await;
    assert_eq!((listed.len(), &listed[0]["lag"], &listed[0]["version"]), (1, &0.into(), &1.into()));
}

#[tokio::test]
async fn rejections_are_counted() {
    let plane = setup().start().await.unwrap();
    let mut edge = Edge::new("p");
    let mut link = edge.connect(&plane).await;
    edge.reach(&mut link, 0).await;
    let mut receipt = edge.receipt();
    receipt.rejections = vec![rejections("session_revoked", 3), rejections("made\nup", 1)];
    link.say(Message::Receipt(receipt)).await;
    // The receipt for the next version comes after it.
    let version = revoke(&plane, 0..1).await;
    edge.reach(&mut link, version).await;
    let body = serde_json::json!({"kind": "session", "issuer": ISSUER, "value": "s"});
    let (reply, _) = tokio::join!(post(&plane, "/v1/revocations?wait=30s", body), edge.reach(&mut link, 2));
    assert_eq!(reply.json().unwrap()["receipts"]["applied"], 1);
    let metrics = get(&plane, "/metrics").await.text().to_string();
    for line in [
        r#"portcullis_control_rejections_total{code="session_revoked",passed="false"} 3"#,
        r#"portcullis_control_rejections_total{code="other",passed="false"} 1"#,
        "portcullis_control_edges 1",
        "portcullis_control_workers 1",
        "portcullis_control_snapshots_total 1",
        "portcullis_control_version 2",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn a_worker_that_does_not_take_the_set_is_shown_until_it_does() {
    let plane = setup().start().await.unwrap();
    let version = revoke(&plane, 0..2).await;
    let mut edge = Edge::new("p");
    edge.hello.refused = Some(Refused { revocations: 2, limit: 1 });
    let mut link = edge.connect(&plane).await;
    // It is answered once it is known.
    edge.take_silently(&mut link).await.unwrap();
    assert_eq!(listed(&plane).await[0]["workers"][0]["refused"], json!({"revocations": 2, "limit": 1}));
    let metrics = get(&plane, "/metrics").await.text().to_string();
    assert!(metrics.contains("portcullis_control_refused_sets_total 1"), "{metrics}");
    for args in [&["edges"][..], &["edges", "--workers"]] {
        let shown = run(&plane, args, 0).await.stdout;
        assert_eq!(rows(&shown)[0]["STATE"], "refuses the set", "{shown}");
        let line = "node-p, worker p-1, refuses the set: 2 revocations, and its `limits.revocations` is 1.";
        assert!(shown.contains(line), "{shown}");
    }
    let shown = run(&plane, &["edges", "--json"], 0).await.json().unwrap();
    assert_eq!(shown["edges"][0]["workers"][0]["refused"]["limit"], 1, "{shown}");

    // Its limit was raised.
    let body = json!({"kind": "session", "issuer": ISSUER, "value": "s"});
    let (reply, _) =
        tokio::join!(post(&plane, "/v1/revocations?wait=30s", body), edge.reach(&mut link, version + 1));
    assert_eq!(reply.json().unwrap()["receipts"]["applied"], 1);
    assert_eq!(listed(&plane).await[0]["workers"][0]["refused"], Value::Null);
    let shown = run(&plane, &["edges"], 0).await.stdout;
    assert_eq!(rows(&shown)[0]["STATE"], "connected", "{shown}");
    assert!(!shown.contains("refuses"), "{shown}");
}

#[tokio::test]
async fn a_receipt_that_cannot_be_right_is_none() {
    let plane = setup().start().await.unwrap();
    let mut edge = Edge::new("p");
    let mut link = edge.connect(&plane).await;
    edge.reach(&mut link, 0).await;
    let version = revoke(&plane, 0..1).await;
    edge.sync.restart();
    let mut receipt = edge.receipt();
    receipt.version = version + 5;
    link.say(Message::Receipt(receipt.clone())).await;
    receipt.version = version;
    link.say(Message::Receipt(receipt)).await;
    let body = serde_json::json!({"kind": "session", "issuer": ISSUER, "value": "s"});
    let reply = post(&plane, "/v1/revocations?wait=100ms", body).await;
    assert_eq!(reply.json().unwrap()["receipts"]["pending"], 1);
    assert_eq!(listed(&plane).await[0]["version"], 0);
}

#[tokio::test]
async fn a_control_plane_that_ends_says_so() {
    let mut plane = setup().start().await.unwrap();
    let mut edge = Edge::new("p");
    let mut link = edge.connect(&plane).await;
    edge.reach(&mut link, 0).await;
    let listen = plane.dir().join("data/listen.json");
    assert!(listen.exists());
    let status = plane.process().terminate(Duration::from_secs(20)).await.unwrap();
    assert_eq!(link.end().await.code(), Code::Unavailable);
    assert_eq!(status.code(), Some(0));
    assert!(!listen.exists());
}
