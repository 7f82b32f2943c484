//! Edges that the control plane knows of, each a worker that is core's end of the protocol.

use portcullis_core::wire::edge::Refused;
use portcullis_testbed::paths;

use super::{finding, finds};
use crate::feed::edge::{Edge, open, revoke};
use crate::support::setup;

#[tokio::test]
async fn what_is_wrong_with_edges_is_found() {
    let filter = paths::filter().unwrap();
    let plane = setup()
        .env("PORTCULLIS_FILTER_FILES", filter.to_str().unwrap())
        .env("PORTCULLIS_EDGE_HEARTBEAT", "300ms")
        .start()
        .await
        .unwrap();
    revoke(&plane, 0..1).await;

    // It connects, and says nothing more.
    let mut silent = Edge::new("silent");
    let link = silent.connect(&plane).await;
    let expect = ["edge_filter_version", "edge_lagging", "edge_silent", "issuer_none"];
    let report = finds(&plane, &[], &expect).await;
    assert_eq!(finding(&report, "edge_lagging"), ("edge node-silent", "it enforces version 0 of 1"));

    let mut twin = Edge::new("twin");
    twin.hello.node = "node-silent".into();
    let other = twin.connect(&plane).await;
    let expect = ["edge_filter_version", "edge_lagging", "edge_silent", "issuer_none", "node_id_shared"];
    finds(&plane, &[], &expect).await;
    drop((link, other));

    let mut small = Edge::new("small");
    small.hello.refused = Some(Refused { revocations: 10, limit: 5 });
    let _small = small.connect(&plane).await;
    let report = finds(&plane, &[], &["edge_gone", "edge_over_limit", "issuer_none"]).await;
    assert_eq!(finding(&report, "edge_over_limit").0, "edge node-small");

    let mut nameless = Edge::new("nameless");
    nameless.hello.node = String::new();
    nameless.hello.filter_version = env!("CARGO_PKG_VERSION").into();
    let mut link = nameless.connect(&plane).await;
    nameless.reach(&mut link, 1).await;
    let mut worker = Edge::new("nameless");
    worker.hello = nameless.hello.clone();
    worker.hello.worker = "another".into();
    let _link = worker.connect(&plane).await;
    let expect = [
        "edge_gone",
        "edge_over_limit",
        "edge_silent",
        "edge_workers_disagree",
        "issuer_none",
        "node_id_missing",
    ];
    finds(&plane, &[], &expect).await;
}

#[tokio::test]
async fn edges_that_are_refused_are_named_until_they_get_in() {
    let plane = setup().start().await.unwrap();
    assert!(open(&plane, Some("edge-key-of-nobody")).await.is_err());
    let mut old = Edge::new("old");
    old.hello.protocol = 0;
    old.connect(&plane).await.end().await;
    let report = finds(&plane, &[], &["edge_none", "edge_refused", "issuer_none"]).await;
    let all: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["subject"].as_str().unwrap())
        .collect();
    assert_eq!(all[..2], ["edge node-old", "edge at 127.0.0.1"]);
    let (_, seen) = finding(&report, "edge_refused");
    assert!(seen.contains("an older protocol than 1: load the one"), "{seen}");
    assert!(!report.to_string().contains("edge-key-of-nobody"));

    old.hello.protocol = 1;
    let mut link = old.connect(&plane).await;
    old.reach(&mut link, 0).await;
    finds(&plane, &[], &["issuer_none"]).await;
}
