use tonic::Code;

use super::edge::{Edge, Traffic, revoke};
use crate::support::{ISSUER, post, setup};

#[tokio::test]
async fn who_does_not_keep_up_is_dropped_and_slows_nobody() {
    let plane = setup().env("PORTCULLIS_EDGE_SEND_TIMEOUT", "300ms").start().await.unwrap();
    let (mut slow, mut fast) = (Edge::new("slow"), Edge::new("fast"));
    let (mut stuck, mut link) = (slow.connect(&plane).await, fast.connect(&plane).await);
    slow.reach(&mut stuck, 0).await;
    fast.reach(&mut link, 0).await;

    // More than the connection and the queue take without being read.
    let mut version = 0;
    for batch in 0..30 {
        version = revoke(&plane, batch * 1_000..(batch + 1) * 1_000).await;
        fast.reach(&mut link, version).await;
    }
    // Waits for both until the slow one is out.
    let body = serde_json::json!({"kind": "session", "issuer": ISSUER, "value": "last"});
    let (reply, _) =
        tokio::join!(post(&plane, "/v1/revocations?wait=30s", body), fast.reach(&mut link, version + 1));
    let receipts = reply.json().unwrap()["receipts"].clone();
    assert_eq!(receipts["applied"], 1, "{receipts}");
    // It may have gone before the commit, or after.
    let slow_edges = receipts["edges"].as_array().unwrap().iter().filter(|edge| edge["process"] == "slow");
    assert!(slow_edges.clone().all(|edge| edge["applied"] == false), "{receipts}");
    assert_eq!(receipts["pending"], slow_edges.count(), "{receipts}");
    assert_eq!(stuck.end().await.code(), Code::ResourceExhausted);

    // It comes back to what it has, and gets the rest.
    let had = slow.sync.store().unwrap().set.len();
    let mut stuck = slow.connect(&plane).await;
    let changes = 30_001 - had;
    assert_eq!(slow.reach(&mut stuck, version + 1).await, Traffic { snapshots: 0, changes });
    assert_eq!(slow.digest(), fast.digest());
}
