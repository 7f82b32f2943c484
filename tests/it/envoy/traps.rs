//! What is said of Envoy's host by those who read its source, tried on Envoy 1.40.

use std::time::Duration;

use serde_json::Value;

use super::support::{SOON, control_plane_cluster, peers, workers, world};

/// Edits the plugin's settings wherever it stands.
pub(crate) fn edit_filter(value: &mut Value, edit: impl Fn(&mut Value) + Copy) {
    match value {
        Value::Object(members) if members.contains_key("root_id") && members.contains_key("vm_config") => {
            edit(value)
        }
        Value::Object(members) => members.values_mut().for_each(|member| edit_filter(member, edit)),
        Value::Array(elements) => elements.iter_mut().for_each(|element| edit_filter(element, edit)),
        _ => {}
    }
}

/// Edits the filter's own configuration.
pub(crate) fn edit_plugin(value: &mut Value, edit: impl Fn(&mut Value) + Copy) {
    edit_filter(value, |filter| {
        let text = &mut filter["configuration"]["value"];
        let mut config: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        edit(&mut config);
        *text = config.to_string().into();
    });
}

/// `users` is a valid protobuf message without a target, on which Envoy panics when it is taken for one.
#[tokio::test]
async fn a_cluster_named_users_is_reached() {
    let peers = peers().await;
    let bootstrap = peers.bootstrap().control_plane_cluster("users");
    let world = peers.with(bootstrap).await;
    world.synced().await;
    world.revoke("session", "s1").await;
    assert_eq!(world.outcome(&world.session("alice", "s1")).await.0, 401);
}

/// Opening a stream then fails within the host call and re-enters the VM; two in a row hang the worker.
#[tokio::test]
async fn a_control_plane_without_a_healthy_host_is_waited_for() {
    let mut peers = peers().await;
    let bootstrap = peers.bootstrap().edit(|envoy| {
        let cluster = control_plane_cluster(envoy);
        // Unhealthy until the first check has passed, and no host is better than an unhealthy one.
        cluster["common_lb_config"]["healthy_panic_threshold"]["value"] = 0.into();
        cluster["health_checks"] = serde_json::json!([{
            "timeout": "1s", "interval": "0.1s", "no_traffic_interval": "0.1s",
            "unhealthy_threshold": 1, "healthy_threshold": 1, "tcp_health_check": {},
        }]);
        Ok(())
    });
    peers.plane.kill().await.unwrap();
    let mut world = peers.with(bootstrap).await;
    world.envoy.log().wait_for("has no healthy host", SOON).await.unwrap();
    // Long enough for many attempts.
    world
        .envoy
        .wait_for_stat("cluster.portcullis.health_check.failure", |seen| seen >= 10, SOON)
        .await
        .unwrap();
    let call = world.client().get("/").bearer(&world.session("alice", "s1")).send();
    let held = tokio::spawn(call);
    world.plane.restart().await.unwrap();
    world.synced().await;
    assert_eq!(held.await.unwrap().unwrap().status.as_u16(), 200);
}

/// After the remote end of a stream, Envoy kept a pointer to it that a new configuration used.
#[tokio::test]
async fn the_listener_is_updated_after_the_control_plane_was_restarted() {
    let peers = peers().await;
    let bootstrap = peers.bootstrap().dynamic_listeners();
    let mut world = peers.with(bootstrap).await;
    world.synced().await;
    world.revoke("session", "s1").await;
    for round in 0..3 {
        let mark = world.envoy.log().mark();
        world.plane.kill().await.unwrap();
        world.envoy.log().wait_for_after(mark, "the control plane's stream has ended", SOON).await.unwrap();
        let hold = format!("{}s", 10 + round);
        world
            .envoy
            .update_listener(|listener| {
                edit_plugin(listener, |config| config["startup"] = serde_json::json!({ "hold": hold }));
                Ok(())
            })
            .await
            .unwrap();
        world.plane.restart().await.unwrap();
        let alive = world.envoy.http1().get("/").bearer(&world.session("alice", "s1")).send().await.unwrap();
        assert_eq!(alive.status.as_u16(), 401, "round {round}");
    }
}

/// One stream for each worker and one for the main thread's VM, and the workers know that they are one edge.
#[tokio::test]
async fn an_edge_of_two_workers_has_three_streams() {
    let world = world().await;
    let edges = workers(&world.plane, 3).await;
    assert_eq!(edges["edges"].as_array().unwrap().len(), 1, "{edges}");
    assert_eq!(edges["edges"][0]["node"], "edge-1");
    // Nobody else comes later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    workers(&world.plane, 3).await;
}
