//! What the report says of Envoys, and what Envoys were really asked.

use portcullis_testbed::{ControlPlane, Envoy};
use serde_json::{Value, json};

use super::support::{Peers, SOON, api, peers, unix_now, workers};
use crate::support::run;

/// The one revocation of the report, once that many requests are in it.
async fn reported(plane: &ControlPlane, count: u64) -> Value {
    let there = async {
        loop {
            let report = api(plane, "GET", "/v1/report?from=0", None).await;
            if report["revocations"][0]["tried"]["count"].as_u64() >= Some(count) {
                return report["revocations"][0].clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let Ok(revocation) = tokio::time::timeout(SOON, there).await else {
        panic!("not {count}: {}", api(plane, "GET", "/v1/report?from=0", None).await);
    };
    revocation
}

async fn edge(peers: &Peers, node: &str, mode: &str) -> Envoy {
    Envoy::start(peers.bootstrap().node(node).plugin("mode", mode)).await.unwrap()
}

/// Asks for a path that often, each time on a connection of its own, so that both workers are asked.
async fn ask(envoy: &Envoy, path: &str, token: &str, times: usize, status: u16) {
    for _ in 0..times {
        let reply = envoy.http1().get(path).bearer(token).send().await.unwrap();
        assert_eq!(reply.status.as_u16(), status, "{path}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_report_says_who_enforces_and_how_often_what_was_tried() {
    let peers = peers().await;
    let (one, two) = (edge(&peers, "edge-1", "enforce").await, edge(&peers, "edge-2", "enforce").await);
    workers(&peers.plane, 6).await;
    let token = |sub: &str| peers.issuer.token().sub(sub).iat(unix_now() - 60).sign().unwrap();
    let (alice, bob) = (token("alice"), token("bob"));
    ask(&one, "/payments", &alice, 2, 200).await;
    let body = json!({"kind": "subject", "issuer": peers.issuer.name(), "value": "alice", "reason": "left"});
    let revocation = api(&peers.plane, "POST", "/v1/revocations?wait=20s", Some(&body)).await;
    assert_eq!(revocation["receipts"]["pending"], 0, "{revocation}");

    ask(&one, "/payments?card=4111", &alice, 9, 401).await;
    ask(&two, "/payments", &alice, 5, 401).await;
    ask(&two, "/orders/7", &alice, 3, 401).await;
    ask(&two, "/payments", &bob, 4, 200).await;

    let reported = reported(&peers.plane, 17).await;
    let (enforced, tried) = (&reported["enforced"], &reported["tried"]);
    assert_eq!((&enforced["edges"], &enforced["applied"]), (&json!(2), &json!(2)), "{reported}");
    assert!(enforced["ms"].as_u64() < Some(10_000), "{reported}");
    assert_eq!((&tried["count"], &tried["passed"]), (&json!(17), &json!(0)), "{reported}");
    let places = tried["places"].as_array().unwrap().iter();
    let places = places.map(|place| json!([place["edge"], place["path"], place["count"]]));
    let expect = [
        json!(["edge-1", "/payments", 9]),
        json!(["edge-2", "/payments", 5]),
        json!(["edge-2", "/orders/7", 3]),
    ];
    assert_eq!(places.collect::<Vec<_>>(), expect, "{reported}");
    assert!(tried["first"].as_str() >= reported["created_at"].as_str(), "{reported}");

    let said = run(&peers.plane, &["report", "--from", "2020-01-01"], 0).await.stdout;
    println!("{said}");
    assert!(
        said.contains("subject alice of ") && said.contains(" (left), enforced by 2 of 2 edges within "),
        "{said}"
    );
    assert!(said.contains("tried 17 more times (14 at /payments, 3 at /orders/7) until "), "{said}");
}

#[tokio::test]
async fn what_an_observing_envoy_lets_pass_is_reported_as_that() {
    let peers = peers().await;
    let envoy = edge(&peers, "edge-1", "observe").await;
    workers(&peers.plane, 3).await;
    let token = peers.issuer.token().sub("alice").sid("s1").sign().unwrap();
    let body = json!({"kind": "session", "issuer": peers.issuer.name(), "value": "s1"});
    api(&peers.plane, "POST", "/v1/revocations?wait=20s", Some(&body)).await;
    ask(&envoy, "/payments", &token, 4, 200).await;
    let reported = reported(&peers.plane, 4).await;
    assert_eq!(
        (&reported["tried"]["count"], &reported["tried"]["passed"]),
        (&json!(4), &json!(4)),
        "{reported}"
    );
    let said = run(&peers.plane, &["report", "--from", "0"], 0).await.stdout;
    assert!(
        said.contains("tried 4 more times at /payments until ") && said.contains(", and let pass"),
        "{said}"
    );
}
