//! The configuration of an Envoy, made from the example that operators copy.

mod edit;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use crate::Issuer;
use edit::{Change, Edit};

/// The file that operators copy; everything that runs here is made from it.
const EXAMPLE: &str = include_str!("../../../envoy/envoy.yaml");

/// Builds the configuration of one Envoy from `envoy/envoy.yaml`: fills in addresses and paths, and leaves
/// out what it is not given (without [`Self::issuer`] there is no jwt_authn, without [`Self::filter`] no
/// Portcullis). Its listener is called `ingress`.
///
/// ```
/// # use portcullis_testbed::{Bootstrap, Envoy, Issuer, Upstream};
/// # async fn example(issuer: Issuer, upstream: Upstream) -> anyhow::Result<()> {
/// let bootstrap = Bootstrap::new()
///     .upstream(upstream.address())
///     .issuer(&issuer)
///     .filter(portcullis_testbed::paths::filter()?)
///     .control_plane("127.0.0.1:8471".parse()?)
///     .plugin("mode", "observe")
///     .concurrency(2);
/// let envoy = Envoy::start(bootstrap).await?;
/// # Ok(()) }
/// ```
#[must_use = "a configuration does nothing until an Envoy starts with it"]
pub struct Bootstrap {
    /// What the caller asked for, in order, applied when the files are written.
    changes: Vec<Change>,
    printed: Option<String>,
    upstream: Option<SocketAddr>,
    control_plane: Option<SocketAddr>,
    filter: Option<PathBuf>,
    with_issuer: bool,
    dynamic_listeners: bool,
    pub(crate) concurrency: u32,
    pub(crate) log_level: String,
}

/// Where nobody listens.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

impl Default for Bootstrap {
    fn default() -> Self {
        Self::new()
    }
}

impl Bootstrap {
    /// A listener on a free port, one worker.
    pub fn new() -> Self {
        Self {
            changes: Vec::new(),
            printed: None,
            upstream: None,
            control_plane: None,
            filter: None,
            with_issuer: false,
            dynamic_listeners: false,
            concurrency: 1,
            log_level: "info".to_owned(),
        }
    }

    /// A whole configuration that `portcullis config envoy` has printed: nothing is filled in but what others of these
    /// methods say, a free port, and where the access log goes.
    pub fn printed(text: &str) -> Self {
        Self { printed: Some(text.to_owned()), ..Self::new() }
    }

    /// Worker threads.
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// Envoy's log level, `info` if not said. Components follow after commas, as in `info,wasm:debug`.
    pub fn log_level(mut self, level: &str) -> Self {
        level.clone_into(&mut self.log_level);
        self
    }

    /// The edge's name, `edge-1` if not said.
    pub fn node(self, id: &str) -> Self {
        let id = id.to_owned();
        self.change(move |edit| edit.set("/node/id", id))
    }

    /// The service behind Envoy; without it nobody answers.
    pub fn upstream(mut self, address: SocketAddr) -> Self {
        self.upstream = Some(address);
        self
    }

    /// Puts jwt_authn with this issuer before the filter.
    pub fn issuer(self, issuer: &Issuer) -> Self {
        self.issuer_at(issuer.name(), &issuer.jwks_uri(), issuer.address())
    }

    /// Puts jwt_authn with somebody else's issuer before the filter: its name, and where its keys are.
    pub fn issuer_at(mut self, name: &str, jwks_uri: &str, address: SocketAddr) -> Self {
        self.with_issuer = true;
        let (name, uri) = (name.to_owned(), jwks_uri.to_owned());
        self.change(move |edit| edit.issuer(&name, &uri, address))
    }

    /// Lets requests without a token, or with a bad one, pass jwt_authn and reach the filter.
    pub fn jwt_authn_optional(self) -> Self {
        self.change(|edit| edit.jwt_authn_optional())
    }

    /// Puts the filter into the chain.
    pub fn filter(mut self, wasm: impl Into<PathBuf>) -> Self {
        self.filter = Some(wasm.into());
        self
    }

    /// Sets one key of the filter's configuration, as in `plugin("mode", "observe")`.
    pub fn plugin(self, key: &str, value: impl Into<Value>) -> Self {
        let (key, value) = (key.to_owned(), value.into());
        self.change(move |edit| edit.plugin(|config| config.insert(key, value)))
    }

    /// The filter's configuration as text, valid or not.
    pub fn plugin_text(self, text: &str) -> Self {
        let text = text.to_owned();
        self.change(move |edit| edit.plugin_text(text))
    }

    /// Where the control plane takes edges; without it the cluster has a host that does not answer.
    pub fn control_plane(mut self, address: SocketAddr) -> Self {
        self.control_plane = Some(address);
        self
    }

    /// Reaches the control plane as `envoy/control-plane-tls.yaml` does, with `tls.crt`, `tls.key` and `ca.crt` of a
    /// directory, into which its other files are written.
    pub fn control_plane_tls(self, dir: &Path) -> Self {
        let dir = dir.to_owned();
        self.change(move |edit| edit.control_plane_tls(&dir))
    }

    /// The credential that the filter presents to the control plane.
    pub fn edge_key(self, key: &str) -> Self {
        let key = key.to_owned();
        self.change(move |edit| edit.control_plane_key("token", key))
    }

    /// Gives the control plane's cluster another name, in Envoy and in the filter's configuration.
    pub fn control_plane_cluster(self, name: &str) -> Self {
        let name = name.to_owned();
        self.change(move |edit| {
            edit.rename_cluster(edit::CONTROL_PLANE, &name)?;
            edit.control_plane_key("cluster", name)
        })
    }

    /// Reads listeners from a file that [`crate::Envoy::update_listener`] rewrites (xDS from the file
    /// system), so that they can change while Envoy runs.
    pub fn dynamic_listeners(mut self) -> Self {
        self.dynamic_listeners = true;
        self
    }

    /// Anything else: edits the whole configuration after everything else was filled in.
    pub fn edit(self, edit: impl FnOnce(&mut Value) -> Result<()> + Send + 'static) -> Self {
        self.change(move |whole| edit(&mut whole.config))
    }

    fn change(mut self, change: impl FnOnce(&mut Edit) -> Result<()> + Send + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// The configuration for an Envoy whose files are in `dir`, and its listeners if they are dynamic.
    pub(crate) fn render(self, dir: &Path) -> Result<Rendered> {
        let text = self.printed.as_deref().unwrap_or(EXAMPLE);
        let mut edit =
            Edit { config: serde_saphyr::from_str(text).context("the configuration is not YAML")? };
        edit.free_ports()?;
        edit.access_log(&dir.join(ACCESS_LOG))?;
        if self.printed.is_none() {
            edit.cluster_address(edit::SERVICE, self.upstream.unwrap_or(NOBODY))?;
            edit.cluster_address(edit::CONTROL_PLANE, self.control_plane.unwrap_or(NOBODY))?;
            if self.filter.is_none() {
                edit.remove_http_filter(edit::FILTER)?;
            }
        }
        if let Some(filter) = self.filter {
            edit.filter_file(&filter)?;
        }
        // One that has its issuer's keys in a file needs nobody.
        let has_keys = self.printed.as_deref().is_some_and(|text| text.contains("local_jwks"));
        if !self.with_issuer && !has_keys {
            edit.remove_http_filter(edit::JWT_AUTHN)?;
            edit.remove_cluster(edit::ISSUER)?;
        }
        for change in self.changes {
            change(&mut edit)?;
        }
        let listener = edit.listener()?.clone();
        let dynamic = if self.dynamic_listeners {
            edit.listeners_from(&dir.join(LISTENERS))?;
            true
        } else {
            false
        };
        Ok(Rendered { config: edit.config, listener, dynamic })
    }
}

/// The name of the access log in an Envoy's directory.
pub(crate) const ACCESS_LOG: &str = "access.log";
/// The name of the file with dynamic listeners.
pub(crate) const LISTENERS: &str = "listeners.json";

/// What an Envoy is started with.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    pub(crate) config: Value,
    pub(crate) listener: Value,
    pub(crate) dynamic: bool,
}

impl Rendered {
    /// The content of the file with dynamic listeners.
    pub(crate) fn listeners(&self) -> Value {
        let mut resource = Map::new();
        resource.insert("@type".to_owned(), "type.googleapis.com/envoy.config.listener.v3.Listener".into());
        resource.extend(self.listener.as_object().cloned().unwrap_or_default());
        serde_json::json!({ "resources": [resource] })
    }
}

impl fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bootstrap")
            .field("upstream", &self.upstream)
            .field("control_plane", &self.control_plane)
            .field("filter", &self.filter)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
