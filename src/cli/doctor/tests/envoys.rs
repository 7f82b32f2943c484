//! What is wrong with an Envoy, but for the order of its filters.

use super::*;

const PLUGIN: &str = "/dump/configs/2/static_listeners/0/listener/filter_chains/0/filters/0/typed_config/http_filters/1/typed_config/config";
const PLANE: &str = "/dump/configs/1/static_clusters/0/cluster";
const HOST: &str = "/clusters/cluster_statuses/0/host_statuses/0";
const OPTIONS: &str =
    "typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

#[track_caller]
fn without(pointer: &str, expect: &[Code]) {
    found(|document| remove(document, pointer), expect);
}

fn stat(document: &mut Value, name: &str, value: u64) {
    let lines = document["stats"].as_array_mut().unwrap();
    lines.retain(|line| !line.as_str().unwrap().starts_with(&format!("{name}:")));
    lines.push(format!("{name}: {value}").into());
}

#[test]
fn its_version_and_its_name() {
    check("/info/version", "abc/1.32.4/Clean/RELEASE/BoringSSL".into(), &[Code::EnvoyVersion]);
    check("/info/version", "abc/1.33.0-dev/Clean/RELEASE/BoringSSL".into(), &[]);
    without("/info/node/id", &[Code::NodeIdMissing]);
    check("/info/node/id", "edge-2".into(), &[Code::EnvoyElsewhere]);
}

#[test]
fn a_listener_that_was_refused() {
    let dynamic = json!([{"name": "ingress", "error_state": {"details": "Unable to parse JSON", "last_update_attempt": ""}}]);
    check("/dump/configs/2/dynamic_listeners", dynamic.clone(), &[Code::ListenerRejected]);
    let mut twice = dynamic;
    let mut nameless = twice[0].clone();
    remove(&mut nameless, "/name");
    set(&mut nameless, "/error_state/failed_configuration", json!({"@type": "x", "name": "ingress"}));
    set(&mut twice, "/-", nameless);
    check("/dump/configs/2/dynamic_listeners", twice, &[Code::ListenerRejected]);
}

#[test]
fn a_certificate_that_ends_soon() {
    let certificate = |until: &str| {
        json!([{"ca_cert": [], "cert_chain": [{
            "path": "/etc/envoy/tls.crt", "valid_from": "2026-11-01T00:00:00Z", "expiration_time": until,
        }]}])
    };
    check(
        "/certificates/certificates",
        certificate("2026-11-30T00:00:00Z"),
        &[Code::EnvoyCertificateExpiring],
    );
    check("/certificates/certificates", certificate("2026-12-30T00:00:00Z"), &[]);
}

#[test]
fn what_happens_when_the_filter_traps() {
    without(&format!("{PLUGIN}/failure_policy"), &[Code::FailurePolicy]);
    check(&format!("{PLUGIN}/failure_policy"), "FAIL_CLOSED".into(), &[Code::FailurePolicy]);
    check(&format!("{PLUGIN}/failure_policy"), "FAIL_OPEN".into(), &[Code::FailOpen]);
    let open = |document: &mut Value| {
        remove(document, &format!("{PLUGIN}/failure_policy"));
        set(document, &format!("{PLUGIN}/fail_open"), true.into());
    };
    found(open, &[Code::FailOpen]);
    found(|document| stat(document, "wasm.portcullis.vm_reload_success", 2), &[Code::VmReloaded]);
}

#[test]
fn another_runtime() {
    check(&format!("{PLUGIN}/vm_config/runtime"), "envoy.wasm.runtime.wamr".into(), &[Code::Runtime]);
}

#[test]
fn another_module_than_those_handed_out() {
    let code = format!("{PLUGIN}/vm_config/code");
    let remote =
        |sha256: &str| json!({"remote": {"sha256": sha256, "http_uri": {"uri": "http://x/portcullis.wasm"}}});
    check(&code, remote(&"a".repeat(64)), &[]);
    check(&code, remote(&"b".repeat(64)), &[Code::ModuleOld]);
    check(&code, remote(&"c".repeat(64)), &[Code::ModuleUnknown]);
    let mut file = seen(|_| {});
    file.files = [("/etc/envoy/portcullis_filter.wasm".to_owned(), "c".repeat(64))].into();
    let plane = asked(|_| {});
    assert_eq!(codes(&envoy::findings(&[file.clone()], Some(&plane))), [Code::ModuleUnknown]);
    // A file of another machine, or a control plane without modules: nothing is known.
    assert_eq!(envoy::findings(&[file.clone()], None), []);
    file.files.clear();
    assert_eq!(envoy::findings(&[file], Some(&plane)), []);
}

#[test]
fn a_module_that_does_not_run() {
    let stopped = |document: &mut Value| {
        let lines = document["stats"].as_array_mut().unwrap();
        lines.retain(|line| !line.as_str().unwrap().starts_with("wasmcustom."));
    };
    found(stopped, &[Code::FilterNotRunning]);
    let fetched = |document: &mut Value| {
        stopped(document);
        stat(document, "wasm.remote_load_fetch_failures", 3);
        let remote =
            json!({"remote": {"sha256": "a".repeat(64), "http_uri": {"uri": "http://x/portcullis.wasm"}}});
        set(document, &format!("{PLUGIN}/vm_config/code"), remote);
    };
    found(fetched, &[Code::ModuleNotFetched]);
}

#[test]
fn a_listener_that_waits_for_another_module() {
    let updated = |document: &mut Value| {
        let old = document["dump"]["configs"][2]["static_listeners"][0]["listener"].clone();
        set(document, &format!("{PLUGIN}/configuration/value"), r#"{"mode":"off"}"#.into());
        let new = document["dump"]["configs"][2]["static_listeners"][0]["listener"].clone();
        let entry = json!({
            "name": "ingress", "active_state": {"listener": old}, "warming_state": {"listener": new},
        });
        document["dump"]["configs"][2]["static_listeners"] = json!([]);
        document["dump"]["configs"][2]["dynamic_listeners"] = json!([entry]);
    };
    found(updated, &[Code::FilterConfigInvalid]);
}

#[test]
fn its_configuration() {
    let value = format!("{PLUGIN}/configuration/value");
    check(
        &value,
        r#"{"control_plane":{"cluster":"portcullis"},"mode":"observe"}"#.into(),
        &[Code::ModeObserve],
    );
    check(
        &value,
        r#"{"control_plane":{"cluster":"portcullis"},"mode":"off"}"#.into(),
        &[Code::FilterConfigInvalid],
    );
    check(&value, json!({"control_plane": {"cluster": "portcullis"}}), &[Code::FilterConfigInvalid]);
    let bytes = json!({
        "@type": "type.googleapis.com/google.protobuf.BytesValue",
        "value": "eyJjb250cm9sX3BsYW5lIjp7ImNsdXN0ZXIiOiJwb3J0Y3VsbGlzIn19",
    });
    check(&format!("{PLUGIN}/configuration"), bytes, &[]);
}

#[test]
fn a_mesh_wraps_its_filters() {
    let wrapped = |document: &mut Value| {
        let filter = document.pointer_mut(PLUGIN.strip_suffix("/config").unwrap()).unwrap();
        let mut own = filter.take();
        let kind = own["@type"].take();
        *filter =
            json!({"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": kind, "value": own});
    };
    found(wrapped, &[]);
}

#[test]
fn the_cluster_of_the_control_plane() {
    let value = format!("{PLUGIN}/configuration/value");
    check(&value, r#"{"control_plane":{"cluster":"portculis"}}"#.into(), &[Code::ClusterMissing]);
    let options = format!("{PLANE}/{OPTIONS}");
    without(&options, &[Code::ClusterHttp1]);
    check(
        &options,
        json!({"use_downstream_protocol_config": {"http2_protocol_options": {}}}),
        &[Code::ClusterHttp1],
    );
    check(&options, json!({"auto_config": {}}), &[]);
    without(HOST, &[Code::ClusterUnhealthy]);
    check(&format!("{HOST}/health_status/eds_health_status"), "UNHEALTHY".into(), &[Code::ClusterUnhealthy]);
    check(
        &format!("{HOST}/health_status/failed_active_health_check"),
        true.into(),
        &[Code::ClusterUnhealthy],
    );
}

#[test]
fn connections_to_the_control_plane() {
    let host = |stats: Value| move |document: &mut Value| set(document, &format!("{HOST}/stats"), stats);
    let counted = |name: &str, value: &str| json!({"name": name, "value": value});
    let failed = [counted("cx_connect_fail", "4"), counted("cx_total", "4")];
    found(host(json!(failed)), &[Code::ClusterUnreachable]);
    found(host(json!([counted("cx_total", "4")])), &[Code::ClusterUnreachable]);
    found(
        |document| {
            host(json!(failed))(document);
            stat(document, "cluster.portcullis.ssl.fail_verify_san", 4);
        },
        &[Code::ClusterTls],
    );
    // It was so, and is over.
    found(host(json!([counted("cx_connect_fail", "4"), counted("cx_active", "1")])), &[]);
    found(host(json!([])), &[]);
}

#[test]
fn workers_by_the_filters_own_gauges() {
    for (gauge, code) in [
        ("wasmcustom.portcullis_workers_unsynced", Code::WorkersUnsynced),
        ("wasmcustom.portcullis_workers_stale", Code::WorkersStale),
        ("wasmcustom.portcullis_workers_over_limit", Code::WorkersOverLimit),
    ] {
        found(|document| stat(document, gauge, 2), &[code]);
        found(|document| stat(document, gauge, 0), &[]);
    }
}

#[test]
fn labels_for_prometheus() {
    without("/dump/configs/0/bootstrap/stats_config", &[Code::StatsTags]);
    without("/dump/configs/0/bootstrap/stats_config/stats_tags/1", &[Code::StatsTags]);
}
