//! The way from an Envoy to the control plane.

use serde_json::Value;

use super::dump::{Dump, list, text};
use super::envoy::Seen;
use super::finding::{Code, Finding, Observed};
use super::plugin::Plugin;

/// Clusters that are named where ours is not there.
const NAMED: usize = 5;
const OPTIONS: &str =
    "/typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/// Counters of connections that ended in the TLS handshake.
const TLS_FAILURES: [&str; 5] = [
    "connection_error",
    "fail_verify_error",
    "fail_verify_san",
    "fail_verify_no_cert",
    "fail_verify_cert_hash",
];

pub(super) fn findings(plugin: &Plugin<'_>, dump: &Dump<'_>, envoy: &Seen, subject: &str) -> Vec<Finding> {
    let Ok(policy) = plugin.policy() else { return Vec::new() };
    let name = policy.control_plane.cluster.as_str();
    let Some(cluster) = dump.clusters.get(name) else {
        let known = dump.clusters.keys().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let seen =
            format!("the plugin configuration names the cluster `{name}`, and Envoy has others ({known})");
        return vec![Finding::new(Code::ClusterMissing, subject, seen)];
    };
    let found = if speaks_http2(cluster) {
        hosts(envoy, name)
    } else {
        Some((Code::ClusterHttp1, "it speaks HTTP/1.1 with the control plane".to_owned()))
    };
    Finding::all(&format!("{subject}, cluster {name}"), found)
}

/// Whether a call of Envoy's own goes over HTTP/2. One that follows the downstream protocol does not: such a call has
/// none and passes for HTTP/1.1.
fn speaks_http2(cluster: &Value) -> bool {
    let Some(options) = cluster.pointer(OPTIONS) else {
        return cluster.get("http2_protocol_options").is_some();
    };
    options.pointer("/explicit_http_config/http2_protocol_options").is_some()
        || options.get("auto_config").is_some()
}

fn hosts(envoy: &Seen, name: &str) -> Option<Observed> {
    let status = list(&envoy.clusters, "/cluster_statuses").find(|status| text(status, "/name") == name);
    let hosts: Vec<&Value> = status.into_iter().flat_map(|status| list(status, "/host_statuses")).collect();
    let healthy = hosts.iter().filter(|host| is_healthy(host)).count();
    if healthy == 0 {
        return Some((Code::ClusterUnhealthy, format!("none of its {} hosts is healthy", hosts.len())));
    }
    let sum = |stat: &str| -> u64 { hosts.iter().map(|host| of_host(host, stat)).sum() };
    // What failed before there was a connection is over.
    if sum("cx_active") > 0 {
        return None;
    }
    let tls = TLS_FAILURES.iter().filter_map(|failure| {
        // Envoy has no colons in the names of counters.
        let counter = format!("cluster.{}.ssl.{failure}", name.replace(':', "_"));
        let count = envoy.stats.get(&counter).filter(|count| **count > 0)?;
        Some(match *failure {
            "fail_verify_error" => {
                format!("{failure}: {count}, the edge does not trust the authority: see its ca.crt")
            }
            "fail_verify_san" => {
                format!("{failure}: {count}, the name that the edge expects is not in the certificate")
            }
            "connection_error" => {
                format!("{failure}: {count}, mostly the control plane that refuses: its log says why")
            }
            _ => format!("{failure}: {count}"),
        })
    });
    let tls: Vec<String> = tls.collect();
    match (tls.is_empty(), sum("cx_connect_fail"), sum("cx_total")) {
        (false, ..) => Some((
            Code::ClusterTls,
            format!("no connection is open, and since Envoy's start TLS has failed ({})", tls.join(", ")),
        )),
        (true, failed @ 1.., _) => {
            Some((Code::ClusterUnreachable, format!("{failed} connections failed, and none is open")))
        }
        (true, 0, made @ 1..) => {
            Some((Code::ClusterUnreachable, format!("{made} connections were made, and none is open")))
        }
        (true, 0, 0) => None,
    }
}

fn is_healthy(host: &Value) -> bool {
    let health = host.get("health_status");
    let failed =
        |(name, value): (&String, &Value)| name.starts_with("failed_") && *value == Value::Bool(true);
    let failed = health.and_then(Value::as_object).is_some_and(|health| health.iter().any(failed));
    let discovered = text(host, "/health_status/eds_health_status");
    !failed && matches!(discovered, "" | "HEALTHY" | "UNKNOWN" | "DEGRADED")
}

/// A counter or gauge of a host; numbers are texts, and zeros left out.
fn of_host(host: &Value, name: &str) -> u64 {
    let stat = list(host, "/stats").find(|stat| text(stat, "/name") == name);
    stat.and_then(|stat| text(stat, "/value").parse().ok()).unwrap_or_default()
}
