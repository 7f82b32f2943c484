//! The configuration of an Envoy for one scenario.

use std::net::SocketAddr;
use std::path::Path;

use proxy_wasm_harness::scenario::{ClusterKind, Policy, Scenario};
use serde_json::{Map, Value, json};

use super::server::Server;
use crate::Bootstrap;

/// The listener with the filter.
pub(super) const INGRESS: &str = "ingress";
/// The listener that tells that a worker has come so far.
pub(super) const FENCE: &str = "fence";
/// The cluster of the upstream.
pub(super) const SERVICE: &str = "service";

/// Where nobody listens.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// What a field of the access log is called that shows filter state, before the name.
pub(super) const STATE: &str = "state.";

/// The clusters that have a peer.
pub(super) fn peers(scenario: &Scenario) -> impl Iterator<Item = &str> {
    let clusters = scenario.clusters.iter().filter(|(_, kind)| **kind == ClusterKind::Peer);
    clusters.map(|(name, _)| name.as_str())
}

/// An Envoy with two listeners, one for the scenario and one to see when it has come to rest.
pub(super) fn bootstrap(
    scenario: &Scenario,
    filter: &Path,
    upstream: &Server,
    peers: &[(String, Server)],
) -> Bootstrap {
    let mut clusters = vec![cluster(SERVICE, Some(upstream.address()), true)];
    clusters.extend(peers.iter().map(|(name, peer)| cluster(name, Some(peer.address()), false)));
    clusters.extend(scenario.clusters.iter().filter_map(|(name, kind)| match kind {
        ClusterKind::NoHosts => Some(cluster(name, None, false)),
        ClusterKind::Refusing => Some(cluster(name, Some(NOBODY), false)),
        _ => None,
    }));

    let mut http_filters = Vec::new();
    if !scenario.metadata.is_empty() {
        http_filters.push(metadata(&scenario.metadata));
    }
    http_filters.push(wasm(scenario, filter));
    let states: Vec<String> = scenario.filter_state_names().map(str::to_owned).collect();
    let node = json!({ "id": scenario.node.id, "cluster": scenario.node.cluster });
    let edit = move |config: &mut Value| {
        // The example knows where its access log goes.
        let log = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/access_log/0/typed_config/path";
        let path = config.pointer(log).cloned().unwrap_or_default();
        *config = json!({
            "node": node,
            "admin": { "address": address(None) },
            "stats_flush_on_admin": true,
            "static_resources": {
                "listeners": [ingress(&http_filters, &access_log(&path, &states)), fence()],
                "clusters": clusters,
            },
        });
        Ok(())
    };
    Bootstrap::new()
        .concurrency(u32::try_from(scenario.workers).unwrap_or(u32::MAX))
        .log_level(&format!("info,wasm:{}", level(scenario)))
        .edit(edit)
}

fn level(scenario: &Scenario) -> String {
    format!("{:?}", scenario.log_level).to_lowercase()
}

fn ingress(http_filters: &[Value], access_log: &Value) -> Value {
    let mut filters = http_filters.to_vec();
    filters.push(router());
    let mut manager = manager(INGRESS, json!({ "cluster": SERVICE, "timeout": "0s" }), "route", &filters);
    if let Some(manager) = manager.as_object_mut() {
        manager.insert("access_log".to_owned(), json!([access_log]));
    }
    listener(INGRESS, &manager)
}

fn fence() -> Value {
    listener(FENCE, &manager(FENCE, json!({ "status": 200 }), "direct_response", &[router()]))
}

/// Connections are spread evenly, so that one can be had to every worker.
fn listener(name: &str, manager: &Value) -> Value {
    json!({
        "name": name,
        "stat_prefix": name,
        "address": address(None),
        "connection_balance_config": { "exact_balance": {} },
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager,
        }] }],
    })
}

/// Without the headers that Envoy adds on its own, as far as that can be said.
fn manager(name: &str, action: Value, kind: &str, http_filters: &[Value]) -> Value {
    let mut route = Map::from_iter([("match".to_owned(), json!({ "prefix": "/" }))]);
    route.insert(kind.to_owned(), action);
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "generate_request_id": false,
        "server_header_transformation": "PASS_THROUGH",
        "delayed_close_timeout": "0.01s",
        "http_filters": http_filters,
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }] },
    })
}

fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": true,
        },
    })
}

/// The port tells which exchange a line is about.
fn access_log(path: &Value, states: &[String]) -> Value {
    let mut format = Map::from_iter([
        ("port".to_owned(), json!("%DOWNSTREAM_REMOTE_PORT%")),
        ("details".to_owned(), json!("%RESPONSE_CODE_DETAILS%")),
    ]);
    format.extend(
        states
            .iter()
            .map(|name| (format!("{STATE}{name}"), format!("%FILTER_STATE(wasm.{name}:PLAIN)%").into())),
    );
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": { "json_format": format },
        },
    })
}

/// A filter that gives every stream its dynamic metadata.
fn metadata(values: &std::collections::BTreeMap<String, Value>) -> Value {
    let entries: Vec<Value> = values
        .iter()
        .map(|(namespace, value)| json!({ "metadata_namespace": namespace, "value": value }))
        .collect();
    json!({
        "name": "envoy.filters.http.set_metadata",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
            "metadata": entries,
        },
    })
}

fn wasm(scenario: &Scenario, filter: &Path) -> Value {
    let plugin = &scenario.plugin;
    let policy = match plugin.failure_policy {
        Policy::Closed => "FAIL_CLOSED",
        Policy::Open => "FAIL_OPEN",
        Policy::Reload => "FAIL_RELOAD",
    };
    json!({
        "name": "filter",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": plugin.name,
                "root_id": plugin.root_id,
                "failure_policy": policy,
                "vm_config": {
                    "vm_id": plugin.vm_id,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "filename": filter } },
                    "configuration": text(&plugin.vm_config),
                    "environment_variables": { "key_values": plugin.environment },
                },
                "configuration": text(&scenario.config),
            },
        },
    })
}

fn text(value: &str) -> Value {
    json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": value })
}

/// The upstream is spoken to as the client speaks, the others with HTTP/2.
fn cluster(name: &str, host: Option<SocketAddr>, as_downstream: bool) -> Value {
    let endpoints: Vec<Value> =
        host.map(|host| json!({ "endpoint": { "address": address(Some(host)) } })).into_iter().collect();
    let how = if as_downstream { "use_downstream_protocol_config" } else { "explicit_http_config" };
    let protocol = Map::from_iter([
        (
            "@type".to_owned(),
            json!("type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"),
        ),
        (how.to_owned(), json!({ "http2_protocol_options": {} })),
    ]);
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": endpoints }] },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol,
        },
    })
}

fn address(host: Option<SocketAddr>) -> Value {
    let host = host.unwrap_or(([127, 0, 0, 1], 0).into());
    json!({ "socket_address": { "address": host.ip().to_string(), "port_value": host.port() } })
}
