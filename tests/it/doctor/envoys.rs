//! Mistakes in the configuration of Envoys, several in each as long as one does not hide the other.

use std::path::Path;

use portcullis_testbed::{Bootstrap, ControlPlane, Envoy, Issuer, Upstream, paths};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SOON, doctor, finding, finds};
use crate::envoy::support::control_plane_cluster;
use crate::support::handing_out;

const UNSYNCED: &str = "wasmcustom.portcullis_workers_unsynced";

/// A control plane that hands out a filter, and what Envoys need besides.
struct Stage {
    plane: ControlPlane,
    issuer: Issuer,
    upstream: Upstream,
}

impl Stage {
    async fn new(filter: &Path) -> Self {
        let issuer = Issuer::start().await.unwrap();
        let plane = handing_out(filter, &issuer).await;
        Self { plane, issuer, upstream: Upstream::start().await.unwrap() }
    }

    /// One worker that never reaches the control plane, but for what is said.
    fn bootstrap(&self, node: &str) -> Bootstrap {
        Bootstrap::new()
            .node(node)
            .upstream(self.upstream.address())
            .issuer(&self.issuer)
            .filter(paths::filter().unwrap())
            .edge_key(self.plane.edge_key())
    }
}

fn manager(envoy: &mut Value) -> &mut Value {
    &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

fn filters(envoy: &mut Value) -> &mut Vec<Value> {
    manager(envoy)["http_filters"].as_array_mut().unwrap()
}

#[track_caller]
fn without(value: &mut Value, name: &str) {
    assert!(value.as_object_mut().unwrap().remove(name).is_some(), "{name} in {value}");
}

/// Another build of the filter: the same code, and a section that says nothing.
fn another_build(dir: &TempDir) -> std::path::PathBuf {
    let mut bytes = std::fs::read(paths::filter().unwrap()).unwrap();
    bytes.extend([0, 2, 1, b'x']);
    let path = dir.path().join("portcullis_filter.wasm");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[tokio::test]
async fn a_listener_that_was_put_together_wrongly() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::new(&another_build(&dir)).await;
    let bootstrap = stage.bootstrap("").control_plane(stage.plane.edge_address()).plugin("mode", "observe");
    let bootstrap = bootstrap.edit(|envoy| {
        without(&mut envoy["node"], "id");
        without(envoy, "stats_config");
        without(manager(envoy), "delayed_close_timeout");
        without(control_plane_cluster(envoy), "typed_extension_protocol_options");
        filters(envoy).swap(0, 1);
        without(&mut filters(envoy)[0]["typed_config"]["config"], "failure_policy");
        let listeners = envoy["static_resources"]["listeners"].as_array_mut().unwrap();
        let mut open = listeners[0].clone();
        open["name"] = "open".into();
        let chain = &mut open["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"];
        chain.as_array_mut().unwrap().remove(0);
        listeners.push(open);
        Ok(())
    });
    let envoy = Envoy::start(bootstrap).await.unwrap();
    envoy.wait_for_stat(UNSYNCED, |workers| workers == 2, SOON).await.unwrap();
    let expect = [
        "cluster_http1",
        "delayed_close_timeout",
        "edge_none",
        "failure_policy",
        "filter_before_jwt_authn",
        "filter_missing",
        "mode_observe",
        "module_unknown",
        "node_id_missing",
        "stats_tags",
        "workers_unsynced",
    ];
    let report = finds(&stage.plane, &[envoy.admin_url()], &expect).await;
    let subject = format!("Envoy {}, listener open", envoy.admin_url());
    assert_eq!(finding(&report, "filter_missing").0, subject);
    // Its secrets are nobody else's business.
    assert!(!report.to_string().contains(stage.plane.edge_key()));
}

#[tokio::test]
async fn tokens_that_pass_by_and_a_control_plane_that_is_not_there() {
    let stage = Stage::new(&paths::filter().unwrap()).await;
    let tokens = json!([{"header": "authorization", "scheme": "Bearer"}, {"jwt_authn": "claims"}]);
    let one = stage.bootstrap("twin").plugin("tokens", tokens).edit(|envoy| {
        let idp = &mut filters(envoy)[0]["typed_config"]["providers"]["idp"];
        without(idp, "forward");
        without(idp, "from_headers");
        let config = &mut filters(envoy)[1]["typed_config"]["config"];
        without(config, "failure_policy");
        config["fail_open"] = true.into();
        Ok(())
    });
    let one = Envoy::start(one).await.unwrap();
    let failed = "cluster.portcullis.upstream_cx_connect_fail";
    one.wait_for_stat(failed, |count| count > 0, SOON).await.unwrap();
    let of_one = [
        "cluster_unreachable",
        "edge_none",
        "fail_open",
        "jwt_payload_missing",
        "jwt_removes_token",
        "token_unchecked",
        "workers_unsynced",
    ];
    finds(&stage.plane, &[one.admin_url()], &of_one).await;

    // The filter by discovery, as a mesh delivers it.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ecds.json");
    let path = file.to_str().unwrap().to_owned();
    let two =
        stage.bootstrap("twin").plugin("control_plane", json!({"cluster": "portculis"})).edit(move |envoy| {
            let own = filters(envoy)[1]["typed_config"].take();
            let resource = json!({
                "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
                "name": "portcullis", "typed_config": own,
            });
            std::fs::write(&path, json!({"resources": [resource]}).to_string())?;
            filters(envoy)[1] = json!({"name": "portcullis", "config_discovery": {
                "config_source": {"resource_api_version": "V3", "path_config_source": {"path": path}},
                "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
            }});
            let route = &mut manager(envoy)["route_config"]["virtual_hosts"][0]["routes"][0];
            let off =
                json!({"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true});
            route["typed_per_filter_config"] = json!({"portcullis": off});
            Ok(())
        });
    let two = Envoy::start(two).await.unwrap();
    two.wait_for_stat(UNSYNCED, |workers| workers == 2, SOON).await.unwrap();
    let of_two = ["cluster_missing", "edge_none", "filter_disabled", "workers_unsynced"];
    finds(&stage.plane, &[two.admin_url()], &of_two).await;

    let (report, codes) = doctor(&stage.plane, &[one.admin_url(), two.admin_url()]).await;
    let mut both: Vec<&str> = of_one.into_iter().chain(of_two).chain(["node_id_shared"]).collect();
    both.sort_unstable();
    both.dedup();
    assert_eq!(codes, both, "{report}");
}

#[tokio::test]
async fn an_envoy_without_the_filter_and_one_whose_connections_end_in_the_handshake() {
    let stage = Stage::new(&paths::filter().unwrap()).await;
    let bare = Bootstrap::new().node("bare").upstream(stage.upstream.address()).issuer(&stage.issuer);
    let bare = Envoy::start(bare).await.unwrap();
    finds(&stage.plane, &[bare.admin_url()], &["edge_none", "filter_absent"]).await;

    let tls = stage.bootstrap("tls").control_plane(stage.plane.edge_address()).edit(|envoy| {
        control_plane_cluster(envoy)["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"},
        });
        Ok(())
    });
    let tls = Envoy::start(tls).await.unwrap();
    tls.wait_for_stat("cluster.portcullis.ssl.connection_error", |count| count > 0, SOON).await.unwrap();
    finds(&stage.plane, &[tls.admin_url()], &["cluster_tls", "edge_none", "workers_unsynced"]).await;
}

#[tokio::test]
async fn a_module_with_another_checksum_is_not_loaded() {
    let stage = Stage::new(&paths::filter().unwrap()).await;
    let listed = stage.plane.api().get("/filter").send().await.unwrap().json().unwrap();
    let uri = format!("{}{}", stage.plane.url(), listed["modules"][0]["path"].as_str().unwrap());
    let address: std::net::SocketAddr = stage.plane.url().trim_start_matches("http://").parse().unwrap();
    let bootstrap = stage.bootstrap("edge-1").control_plane(stage.plane.edge_address()).edit(move |envoy| {
        let code = &mut filters(envoy)[1]["typed_config"]["config"]["vm_config"]["code"];
        *code = json!({"remote": {
            "http_uri": {"uri": uri, "cluster": "modules", "timeout": "5s"},
            "sha256": "0".repeat(64),
            "retry_policy": {"num_retries": 1, "retry_back_off": {"base_interval": "0.1s"}},
        }});
        let mut cluster = control_plane_cluster(envoy).clone();
        without(&mut cluster, "typed_extension_protocol_options");
        cluster["name"] = "modules".into();
        cluster["load_assignment"]["cluster_name"] = "modules".into();
        let endpoint = &mut cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
        endpoint["address"]["socket_address"] =
            json!({"address": address.ip(), "port_value": address.port()});
        envoy["static_resources"]["clusters"].as_array_mut().unwrap().push(cluster);
        Ok(())
    });
    let envoy = Envoy::start(bootstrap).await.unwrap();
    finds(&stage.plane, &[envoy.admin_url()], &["edge_none", "module_not_fetched", "module_unknown"]).await;
}
