//! Restarts and outages of either side.

use portcullis_testbed::Envoy;
use serde_json::json;

use super::support::{SOON, api, peers, workers, world};

#[tokio::test]
async fn the_edge_enforces_without_its_control_plane_and_catches_up_with_deltas() {
    let mut world = world().await;
    let (one, two) = (world.session("alice", "s1"), world.session("alice", "s2"));
    world.revoke("session", "s1").await;
    let mark = world.envoy.log().mark();
    world.plane.kill().await.unwrap();
    world.envoy.log().wait_for_after(mark, "the control plane's stream has ended", SOON).await.unwrap();
    assert_eq!(world.outcome(&one).await.0, 401);
    assert_eq!(world.outcome(&two).await.0, 200);

    world.plane.restart().await.unwrap();
    let body = json!({"kind": "session", "issuer": world.issuer.name(), "value": "s2"});
    world.api("POST", "/v1/revocations", Some(&body)).await;
    workers(&world.plane, 3).await;
    assert_eq!(world.outcome(&two).await.0, 401);
    assert_eq!(world.outcome(&one).await.0, 401);
    let metrics = world.plane.api().get("/metrics").send().await.unwrap().text();
    assert!(
        metrics.contains("portcullis_control_snapshots_total 0"),
        "resumed, not started over:\n{metrics}"
    );
}

#[tokio::test]
async fn a_restarted_envoy_lets_nothing_through_before_the_set_is_there() {
    let mut world = world().await;
    let (one, two) = (world.session("alice", "s1"), world.session("alice", "s2"));
    world.revoke("session", "s1").await;
    world.plane.kill().await.unwrap();
    world.envoy.restart().await.unwrap();
    // Held, because nothing is known; then released with the right answer.
    let revoked = tokio::spawn(world.client().get("/").bearer(&one).send());
    let innocent = tokio::spawn(world.client().get("/").bearer(&two).send());
    world.envoy.wait_for_stat("http.ingress.downstream_rq_active", |value| value == 2, SOON).await.unwrap();
    assert_eq!(world.upstream.requests(), 0);
    world.plane.restart().await.unwrap();
    assert_eq!(revoked.await.unwrap().unwrap().status.as_u16(), 401);
    assert_eq!(innocent.await.unwrap().unwrap().status.as_u16(), 200);
}

/// The control plane keeps the snapshot that the first edge got; what was revoked since comes after it.
#[tokio::test]
async fn a_restarted_envoy_waits_for_what_was_revoked_since_the_snapshot() {
    let mut world = world().await;
    let (one, two) = (world.session("alice", "s1"), world.session("alice", "s2"));
    world.revoke("session", "s1").await;
    for round in 0..3 {
        world.envoy.restart().await.unwrap();
        // Some of them are held, and released by the set; none may pass before the changes have come.
        let revoked: Vec<_> =
            (0..8).map(|_| tokio::spawn(world.client().get("/").bearer(&one).send())).collect();
        let innocent = world.client().get("/").bearer(&two).send().await.unwrap();
        assert_eq!(innocent.status.as_u16(), 200, "round {round}");
        for revoked in revoked {
            assert_eq!(revoked.await.unwrap().unwrap().status.as_u16(), 401, "round {round}");
        }
        assert_eq!(world.upstream.requests(), round + 1);
    }
}

#[tokio::test]
async fn without_a_control_plane_the_hold_ends_in_the_policys_answer() {
    let mut peers = peers().await;
    let bootstrap = peers.bootstrap().plugin("startup", json!({"hold": "300ms", "then": "deny"}));
    peers.plane.kill().await.unwrap();
    let envoy = Envoy::start(bootstrap).await.unwrap();
    let token = peers.issuer.token().sub("alice").sign().unwrap();
    let reply = envoy.http1().get("/").bearer(&token).send().await.unwrap();
    assert_eq!(super::support::outcome(&reply), (401, Some("not_synced".into())));
    assert_eq!(reply.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn an_edge_with_a_wrong_key_is_told_and_rejects() {
    let peers = peers().await;
    let bootstrap =
        peers.bootstrap().edge_key("not-the-edge-key-at-all").plugin("startup", json!({"hold": "200ms"}));
    let envoy = Envoy::start(bootstrap).await.unwrap();
    envoy.log().wait_for("check `control_plane.token`: a key with the scope `edge`", SOON).await.unwrap();
    let token = peers.issuer.token().sub("alice").sign().unwrap();
    let reply = envoy.http1().get("/").bearer(&token).send().await.unwrap();
    assert_eq!(super::support::outcome(&reply), (401, Some("not_synced".into())));
    assert_eq!(api(&peers.plane, "GET", "/v1/edges", None).await["edges"], json!([]));
}

#[tokio::test]
async fn an_edge_at_the_http_port_and_its_control_plane_are_told() {
    let peers = peers().await;
    let http = peers.plane.url().trim_start_matches("http://").parse().unwrap();
    let envoy = Envoy::start(peers.bootstrap().control_plane(http)).await.unwrap();
    envoy.log().wait_for("gRPC status 12: this is the HTTP port of the control plane", SOON).await.unwrap();
    peers.plane.log().wait_for("an edge has come to the HTTP port", SOON).await.unwrap();
}

/// With this option Envoy goes on reading while the headers wait; going on with the body would release them.
#[tokio::test]
async fn a_held_body_does_not_slip_through_when_envoy_reads_on() {
    let mut peers = peers().await;
    peers.plane.kill().await.unwrap();
    let bootstrap = peers.bootstrap().edit(|envoy| {
        super::traps::edit_filter(envoy, |filter| filter["allow_on_headers_stop_iteration"] = true.into());
        Ok(())
    });
    let mut world = peers.with(bootstrap).await;
    let call = world.client().post("/").bearer(&world.session("alice", "s1")).body("x".repeat(10_000));
    let held = tokio::spawn(call.send());
    world.envoy.wait_for_stat("http.ingress.downstream_rq_active", |value| value == 1, SOON).await.unwrap();
    // Nobody can see that nothing happens; but what would happen does so at once.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(world.upstream.requests(), 0);
    world.plane.restart().await.unwrap();
    assert_eq!(held.await.unwrap().unwrap().status.as_u16(), 200);
    assert_eq!(world.upstream.requests(), 1);
}
