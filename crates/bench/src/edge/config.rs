//! The configuration of Envoy for each variant, made from the example that operators copy.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use portcullis_testbed::{Bootstrap, ControlPlane, Issuer, paths};
use serde_json::{Value, json};

use super::variant::{Chain, Then, Variant};
use crate::plane::REVOKED;

const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

/// What stands around Envoy.
pub(crate) struct Peers<'a> {
    pub(crate) issuer: &'a Issuer,
    pub(crate) plane: Option<&'a ControlPlane>,
    pub(crate) authz: Option<SocketAddr>,
}

/// Envoy's configuration for a variant.
pub(crate) fn bootstrap(variant: &Variant, peers: &Peers<'_>) -> Result<Bootstrap> {
    let mut bootstrap = answering();
    if let Chain::Jwt(_) = variant.chain {
        bootstrap = bootstrap.issuer(peers.issuer).edit(large_jwt_cache);
    }
    if let Some(plane) = peers.plane {
        bootstrap = with_portcullis(bootstrap, plane, plane.edge_address())?;
    }
    let filter = match variant.chain {
        Chain::Empty => Some(empty()?),
        Chain::Jwt(Then::Lua(count)) => Some(lua(count)),
        Chain::Jwt(Then::Rbac(count)) => Some(rbac_of(revoked(count))),
        Chain::Jwt(Then::RbacFlat(count)) => Some(rbac(&json!([listed(count)]))),
        Chain::ExtAuthz { .. } => Some(ext_authz()),
        Chain::Nothing | Chain::Portcullis(_) | Chain::Jwt(Then::Nothing | Then::Portcullis(_)) => None,
    };
    if let Some(filter) = filter {
        bootstrap = bootstrap.edit(|config| insert_filter(config, filter));
    }
    if let Some(address) = peers.authz {
        bootstrap = bootstrap.edit(move |config| add_cluster(config, address));
    }
    Ok(bootstrap)
}

/// The filter as it ships, at a control plane that it reaches at this address.
pub(crate) fn with_portcullis(
    bootstrap: Bootstrap,
    plane: &ControlPlane,
    address: SocketAddr,
) -> Result<Bootstrap> {
    Ok(bootstrap.filter(paths::filter()?).control_plane(address).edge_key(plane.edge_key()))
}

/// One worker that answers every request itself, so that only Envoy is measured, and writes no access log.
pub(crate) fn answering() -> Bootstrap {
    Bootstrap::new().concurrency(1).log_level("warning").edit(|config| {
        *at(config, &format!("{MANAGER}/access_log"))? = json!([]);
        *at(config, &format!("{MANAGER}/route_config/virtual_hosts/0/routes"))? = json!([{
            "match": { "prefix": "/" },
            "direct_response": { "status": 200, "body": { "inline_string": "ok" } },
        }]);
        Ok(())
    })
}

/// The example's cache holds 1,000 tokens, which is just what the requests carry: more is in jwt_authn's favour.
fn large_jwt_cache(config: &mut Value) -> Result<()> {
    let size = "http_filters/0/typed_config/providers/idp/jwt_cache_config/jwt_cache_size";
    *at(config, &format!("{MANAGER}/{size}"))? = json!(10_000);
    Ok(())
}

/// Before the router.
pub(crate) fn insert_filter(config: &mut Value, filter: Value) -> Result<()> {
    let filters = at(config, &format!("{MANAGER}/http_filters"))?.as_array_mut().context("not a list")?;
    filters.insert(filters.len().saturating_sub(1), filter);
    Ok(())
}

fn empty() -> Result<Value> {
    Ok(wasm("empty", &crate::needs::empty_filter()?, ""))
}

/// A wasm filter with this configuration.
pub(crate) fn wasm(name: &str, module: &Path, configuration: &str) -> Value {
    json!({
        "name": name,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "failure_policy": "FAIL_RELOAD",
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": configuration,
                },
                "vm_config": {
                    "vm_id": name,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "filename": module } },
                },
            },
        },
    })
}

fn lua(count: usize) -> Value {
    let mut script = "local revoked = {\n".to_owned();
    for sid in revoked(count) {
        script += &format!("[\"{sid}\"] = true,\n");
    }
    script += r#"}
function envoy_on_request(handle)
  local verified = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.jwt_authn")
  local payload = verified and verified["payload"]
  if payload and revoked[payload["sid"]] then
    handle:respond({ [":status"] = "401" }, "revoked")
  end
end
"#;
    json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": { "inline_string": script },
        },
    })
}

/// Rejects tokens of any of the sessions, with a principal for each, as Istio writes the values of
/// `request.auth.claims[sid]`.
pub(crate) fn rbac_of(sessions: impl Iterator<Item = String>) -> Value {
    rbac(&sessions.map(|sid| session(&json!({ "string_match": { "exact": sid } }))).collect())
}

/// Rejects what any of the principals matches.
fn rbac(principals: &Value) -> Value {
    json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {
                "action": "DENY",
                "policies": { "revoked": {
                    "permissions": [{ "any": true }],
                    "principals": [{ "or_ids": { "ids": principals } }],
                } },
            },
        },
    })
}

/// One principal for all sessions.
fn listed(count: usize) -> Value {
    let values: Value = revoked(count).map(|sid| json!({ "string_match": { "exact": sid } })).collect();
    session(&json!({ "or_match": { "value_matchers": values } }))
}

fn session(value: &Value) -> Value {
    json!({ "metadata": {
        "filter": "envoy.filters.http.jwt_authn",
        "path": [{ "key": "payload" }, { "key": "sid" }],
        "value": value,
    } })
}

fn revoked(count: usize) -> impl Iterator<Item = String> {
    // The token that is tried is the worst case of a list, as the tokens that pass are: it is the last.
    (0..count).rev().map(|number| format!("{REVOKED}-{number}"))
}

fn ext_authz() -> Value {
    json!({
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "grpc_service": { "envoy_grpc": { "cluster_name": "authz" }, "timeout": "30s" },
        },
    })
}

fn add_cluster(config: &mut Value, address: SocketAddr) -> Result<()> {
    let clusters = at(config, "/static_resources/clusters")?.as_array_mut().context("not a list")?;
    clusters.push(json!({
        "name": "authz",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "authz",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": { "socket_address": {
                "address": address.ip().to_string(), "port_value": address.port(),
            } } } }] }],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        },
    }));
    Ok(())
}

fn at<'a>(value: &'a mut Value, pointer: &str) -> Result<&'a mut Value> {
    value.pointer_mut(pointer).with_context(|| format!("envoy/envoy.yaml has no {pointer}"))
}
