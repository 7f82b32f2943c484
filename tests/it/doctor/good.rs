//! The example configuration, synced, after a rejection.

use portcullis_testbed::{Issuer, Upstream, paths};
use serde_json::json;

use super::finds;
use crate::envoy::support::{Peers, workers};
use crate::support::{handing_out, setup};

#[tokio::test]
async fn nothing_is_found_and_nothing_is_said_on_stdout() {
    let issuer = Issuer::start().await.unwrap();
    let plane = handing_out(&paths::filter().unwrap(), &issuer).await;
    let peers = Peers { issuer, upstream: Upstream::start().await.unwrap(), plane };
    let bootstrap = peers.bootstrap();
    let world = peers.with(bootstrap).await;
    world.synced().await;
    world.revoke("session", "s1").await;
    assert_eq!(world.outcome(&world.session("alice", "s1")).await.0, 401);

    // The issuer's keys may not have been fetched yet.
    let urls = [world.envoy.admin_url()];
    let report = finds(&world.plane, &urls, &[]).await;
    let expect = json!({
        "control_plane": world.plane.url(), "envoys": urls, "errors": 0, "warnings": 0, "findings": [],
    });
    assert_eq!(report, expect);
    let ran = world.plane.run(["doctor", "--envoy", &urls[0]]).await.unwrap();
    assert_eq!((ran.status.code(), ran.stdout.as_str()), (Some(0), ""));
    assert_eq!(ran.stderr, "nothing found: the control plane and 1 Envoy\n");
}

/// The filter by a discovery service, wrapped, under Istio's names, and on by route: as meshes and gateways deliver it.
#[tokio::test]
async fn nothing_is_found_where_a_mesh_has_put_it() {
    let issuer = Issuer::start().await.unwrap();
    let filter = paths::filter().unwrap();
    let plane = handing_out(&filter, &issuer).await;
    let peers = Peers { issuer, upstream: Upstream::start().await.unwrap(), plane };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ecds.json").to_str().unwrap().to_owned();
    let cluster = "outbound|8471||portcullis.portcullis-system.svc.cluster.local";
    let bootstrap = peers.bootstrap().control_plane_cluster(cluster).edit(move |envoy| {
        let chain = &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0];
        let manager = &mut chain["filters"][0]["typed_config"];
        let name = "shop.portcullis";
        let mut own = manager["http_filters"][1]["typed_config"].take();
        own["config"]["name"] = name.into();
        let kind = own.as_object_mut().unwrap().remove("@type").unwrap();
        let wrapped =
            json!({"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": kind, "value": own});
        let resource = json!({
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": name, "typed_config": wrapped,
        });
        std::fs::write(&path, json!({"resources": [resource]}).to_string())?;
        manager["http_filters"][1] = json!({"name": name, "disabled": true, "config_discovery": {
            "config_source": {"resource_api_version": "V3", "path_config_source": {"path": path}},
            "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
        }});
        let on = json!({"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}});
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["typed_per_filter_config"] =
            json!({name: on});
        Ok(())
    });
    let world = peers.with(bootstrap).await;
    world.synced().await;
    world.revoke("session", "s1").await;
    assert_eq!(world.outcome(&world.session("alice", "s1")).await.0, 401);
    finds(&world.plane, &[world.envoy.admin_url()], &[]).await;
}

#[tokio::test]
async fn a_filter_that_traps_and_an_update_that_is_refused_are_found() {
    let trapping = tokio::task::spawn_blocking(crate::envoy::reload::trapping_filter).await.unwrap();
    let issuer = Issuer::start().await.unwrap();
    let plane = setup().issuer(&issuer, "allow_private_addresses = true").start().await.unwrap();
    let peers = Peers { issuer, upstream: Upstream::start().await.unwrap(), plane };
    let bootstrap = peers.bootstrap().concurrency(1).filter(trapping).dynamic_listeners();
    let mut world = peers.with(bootstrap).await;
    workers(&world.plane, 2).await;
    // What a worker has counted when it traps stays counted.
    let unsynced = "wasmcustom.portcullis_workers_unsynced";
    world.envoy.wait_for_stat(unsynced, |workers| workers == 0, super::SOON).await.unwrap();
    let token = world.session("alice", "s1");
    let trap = world.client().get("/").bearer(&token).header("x-portcullis-trap", "1").send().await.unwrap();
    assert_eq!(trap.status.as_u16(), 503);
    // Envoy starts it again with a request after its back-off.
    let served = async {
        while world.client().get("/").bearer(&token).send().await.unwrap().status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(super::SOON, served).await.unwrap();
    workers(&world.plane, 2).await;
    world.envoy.wait_for_stat(unsynced, |workers| workers == 0, super::SOON).await.unwrap();
    let refused = world
        .envoy
        .update_listener(|listener| {
            crate::envoy::traps::edit_plugin(listener, |config| config["mode"] = "enforced".into());
            Ok(())
        })
        .await;
    assert!(refused.is_err());
    let report = finds(&world.plane, &[world.envoy.admin_url()], &["listener_rejected", "vm_reloaded"]).await;
    assert_eq!(super::finding(&report, "listener_rejected").0, "Envoy edge-1, listener ingress");
    assert_eq!(report["findings"].as_array().unwrap().len(), 2, "{report}");

    // What is meant to be so can be left out.
    let args = [
        "doctor",
        "--envoy",
        &world.envoy.admin_url(),
        "--ignore",
        "vm_reloaded",
        "--ignore",
        "listener_rejected",
    ];
    let ran = world.plane.run(args).await.unwrap();
    assert_eq!((ran.status.code(), ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
}
