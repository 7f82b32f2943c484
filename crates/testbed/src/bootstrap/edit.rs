//! Edits of the example configuration. They know its shape, so that a change of shape fails loudly here.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

/// The control plane's cluster with TLS, as operators copy it, and where its files are.
const TLS_EXAMPLE: &str = include_str!("../../../../envoy/control-plane-tls.yaml");
const TLS_DIR: &str = "/etc/envoy/portcullis";

pub(super) const SERVICE: &str = "service";
pub(super) const ISSUER: &str = "idp";
pub(super) const CONTROL_PLANE: &str = "portcullis";
pub(super) const FILTER: &str = "portcullis";
pub(super) const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";

const LISTENERS: &str = "/static_resources/listeners";
const CLUSTERS: &str = "/static_resources/clusters";
const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";
const PLUGIN: &str = "/typed_config/config/configuration/value";

/// A change that is made when the configuration is written.
pub(super) type Change = Box<dyn FnOnce(&mut Edit) -> Result<()> + Send>;

/// A configuration being edited.
pub(super) struct Edit {
    pub(super) config: Value,
}

impl Edit {
    pub(super) fn set(&mut self, pointer: &str, value: impl Into<Value>) -> Result<()> {
        *at(&mut self.config, pointer)? = value.into();
        Ok(())
    }

    /// The only listener.
    pub(super) fn listener(&mut self) -> Result<&mut Value> {
        at(&mut self.config, "/static_resources/listeners/0")
    }

    /// Loopback, and ports that the system chooses.
    pub(super) fn free_ports(&mut self) -> Result<()> {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        self.set("/admin/address", socket_address(any))?;
        *at(self.listener()?, "/address")? = socket_address(any);
        Ok(())
    }

    pub(super) fn access_log(&mut self, path: &Path) -> Result<()> {
        let listener = self.listener()?;
        *at(listener, &format!("{MANAGER}/access_log/0/typed_config/path"))? = text(path);
        Ok(())
    }

    pub(super) fn cluster_address(&mut self, cluster: &str, address: SocketAddr) -> Result<()> {
        let cluster = self.cluster(cluster)?;
        let endpoint = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";
        *at(cluster, endpoint)? = socket_address(address);
        Ok(())
    }

    pub(super) fn rename_cluster(&mut self, cluster: &str, name: &str) -> Result<()> {
        let cluster = self.cluster(cluster)?;
        *at(cluster, "/name")? = name.into();
        *at(cluster, "/load_assignment/cluster_name")? = name.into();
        Ok(())
    }

    /// Replaces the control plane's cluster by that of the TLS example, at the address that it had.
    pub(super) fn control_plane_tls(&mut self, dir: &Path) -> Result<()> {
        let mut example: Value =
            serde_saphyr::from_str(TLS_EXAMPLE).context("envoy/control-plane-tls.yaml is not YAML")?;
        move_paths(&mut example, dir);
        let mut cluster = at(&mut example, "/cluster")?.take();
        for (name, secret) in at(&mut example, "/files")?.as_object().into_iter().flatten() {
            std::fs::write(dir.join(name), secret.to_string())?;
        }
        let place = self.cluster(CONTROL_PLANE)?;
        *at(&mut cluster, "/load_assignment")? = at(place, "/load_assignment")?.take();
        *place = cluster;
        Ok(())
    }

    pub(super) fn remove_cluster(&mut self, name: &str) -> Result<()> {
        remove(at(&mut self.config, CLUSTERS)?, name)
    }

    /// Issuers on loopback speak plain HTTP, so the TLS of the example goes.
    pub(super) fn issuer(&mut self, name: &str, jwks_uri: &str, address: SocketAddr) -> Result<()> {
        self.cluster_address(ISSUER, address)?;
        if let Some(cluster) = self.cluster(ISSUER)?.as_object_mut() {
            cluster.remove("transport_socket");
        }
        let jwt_authn = self.http_filter(JWT_AUTHN)?;
        *at(jwt_authn, "/typed_config/providers/idp/issuer")? = name.into();
        *at(jwt_authn, "/typed_config/providers/idp/remote_jwks/http_uri/uri")? = jwks_uri.into();
        Ok(())
    }

    pub(super) fn jwt_authn_optional(&mut self) -> Result<()> {
        let requires = at(self.http_filter(JWT_AUTHN)?, "/typed_config/rules/0/requires")?;
        let provider = requires.take();
        *requires =
            json!({ "requires_any": { "requirements": [provider, { "allow_missing_or_failed": {} }] } });
        Ok(())
    }

    pub(super) fn filter_file(&mut self, wasm: &Path) -> Result<()> {
        let filter = self.http_filter(FILTER)?;
        *at(filter, "/typed_config/config/vm_config/code/local/filename")? = text(wasm);
        Ok(())
    }

    /// Edits the filter's configuration, which is JSON in a string.
    pub(super) fn plugin<T>(&mut self, edit: impl FnOnce(&mut Map<String, Value>) -> T) -> Result<()> {
        let config = at(self.http_filter(FILTER)?, PLUGIN)?;
        let mut parsed: Map<String, Value> = serde_json::from_str(config.as_str().unwrap_or_default())
            .context("the filter's configuration is not a JSON object")?;
        edit(&mut parsed);
        *config = Value::Object(parsed).to_string().into();
        Ok(())
    }

    pub(super) fn plugin_text(&mut self, text: String) -> Result<()> {
        *at(self.http_filter(FILTER)?, PLUGIN)? = text.into();
        Ok(())
    }

    pub(super) fn control_plane_key(&mut self, key: &str, value: String) -> Result<()> {
        self.plugin(|config| {
            let section = config.entry("control_plane").or_insert_with(|| json!({}));
            if let Some(section) = section.as_object_mut() {
                section.insert(key.to_owned(), value.into());
            }
        })
    }

    pub(super) fn remove_http_filter(&mut self, name: &str) -> Result<()> {
        remove(self.http_filters()?, name)
    }

    /// Moves the listeners to a file that Envoy watches.
    pub(super) fn listeners_from(&mut self, path: &Path) -> Result<()> {
        self.set(LISTENERS, json!([]))?;
        let source = json!({ "resource_api_version": "V3", "path_config_source": { "path": text(path) } });
        let config = self.config.as_object_mut().context("the configuration is no object")?;
        config.insert("dynamic_resources".to_owned(), json!({ "lds_config": source }));
        Ok(())
    }

    fn cluster(&mut self, name: &str) -> Result<&mut Value> {
        named(at(&mut self.config, CLUSTERS)?, name)
    }

    fn http_filter(&mut self, name: &str) -> Result<&mut Value> {
        named(self.http_filters()?, name)
    }

    fn http_filters(&mut self) -> Result<&mut Value> {
        at(self.listener()?, &format!("{MANAGER}/http_filters"))
    }
}

/// Moves every path of the TLS example into a directory.
fn move_paths(value: &mut Value, dir: &Path) {
    match value {
        Value::String(path) => {
            if let Some(rest) = path.strip_prefix(TLS_DIR) {
                *path = format!("{}{rest}", dir.display());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_paths(item, dir)),
        Value::Object(members) => members.values_mut().for_each(|member| move_paths(member, dir)),
        _ => {}
    }
}

fn at<'a>(value: &'a mut Value, pointer: &str) -> Result<&'a mut Value> {
    value.pointer_mut(pointer).with_context(|| format!("envoy/envoy.yaml has no {pointer}"))
}

fn named<'a>(list: &'a mut Value, name: &str) -> Result<&'a mut Value> {
    let mut items = list.as_array_mut().into_iter().flatten();
    let item = items.find(|item| item.get("name").is_some_and(|found| found == name));
    item.with_context(|| format!("envoy/envoy.yaml has nothing called `{name}` where it is looked for"))
}

fn remove(list: &mut Value, name: &str) -> Result<()> {
    named(list, name)?;
    let items = list.as_array_mut().context("not a list")?;
    items.retain(|item| item.get("name").is_none_or(|found| found != name));
    Ok(())
}

fn socket_address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}

fn text(path: &Path) -> Value {
    path.to_string_lossy().into_owned().into()
}
