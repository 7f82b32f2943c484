//! The filter's own configuration: how Envoy runs it, which module, and what its policy is.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_core::policy::{Mode, Policy, PolicyError};
use serde_json::Value;

use super::dump::{Dump, HttpFilter, text};
use super::finding::{Code, Finding, Observed};
use crate::api::model::FilterModule;

const V8: &str = "envoy.wasm.runtime.v8";

/// A Wasm filter that is Portcullis (`envoy.extensions.wasm.v3.PluginConfig`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Plugin<'a> {
    /// The HTTP filter's name.
    pub(super) filter: &'a str,
    config: &'a Value,
}

impl<'a> Plugin<'a> {
    /// That filter, if it is ours: by its names, or because its configuration can be no other's.
    pub(super) fn of(filter: &HttpFilter<'a>) -> Option<Self> {
        let config = filter.config.get("config").filter(|_| filter.kind == "Wasm")?;
        let this = Self { filter: filter.name, config };
        let module = [
            text(config, "/vm_config/code/remote/http_uri/uri"),
            text(config, "/vm_config/code/local/filename"),
        ];
        let names = [filter.name, this.name(), text(config, "/root_id")].into_iter().chain(module);
        let named = names.into_iter().any(|name| name.contains("portcullis"));
        let configured = || {
            serde_json::from_slice::<Value>(&this.configuration())
                .is_ok_and(|json| json.get("control_plane").is_some())
        };
        (named || configured()).then_some(this)
    }

    /// The plugin's name, which is in the names of its counters.
    pub(super) fn name(&self) -> &'a str {
        text(self.config, "/name")
    }

    /// The file that its module is read from.
    pub(super) fn file(&self) -> Option<&'a str> {
        self.config.pointer("/vm_config/code/local/filename").and_then(Value::as_str)
    }

    /// Whether its module is fetched by Envoy itself.
    pub(super) fn is_remote(&self) -> bool {
        self.config.pointer("/vm_config/code/remote").is_some()
    }

    /// What Envoy hands over: a `StringValue` as it is, a `BytesValue` decoded; nothing else that could be read.
    fn configuration(&self) -> Vec<u8> {
        let value = text(self.config, "/configuration/value");
        match text(self.config, "/configuration/@type").ends_with(".BytesValue") {
            true => STANDARD.decode(value).unwrap_or_default(),
            false => value.as_bytes().to_vec(),
        }
    }

    /// What the filter makes of its configuration.
    pub(super) fn policy(&self) -> Result<Policy, PolicyError> {
        Policy::parse(&self.configuration())
    }
}

/// The filters of a dump that are Portcullis, each configuration once.
pub(super) fn distinct<'a>(dump: &Dump<'a>) -> Vec<Plugin<'a>> {
    let mut found: Vec<Plugin<'a>> = Vec::new();
    for plugin in dump.chains.iter().flat_map(|chain| &chain.filters).filter_map(Plugin::of) {
        if !found.iter().any(|known| known.config == plugin.config) {
            found.push(plugin);
        }
    }
    found
}

/// What is wrong with one. `modules` are those that the control plane hands out, `files` the checksums of files.
pub(super) fn findings(
    plugin: &Plugin<'_>,
    modules: &[FilterModule],
    files: &BTreeMap<String, String>,
    subject: &str,
) -> Vec<Finding> {
    let found = [failure(plugin), runtime(plugin), module(plugin, modules, files), policy(plugin)];
    let subject = format!("{subject}, filter {}", plugin.filter);
    Finding::all(&subject, found.into_iter().flatten())
}

fn failure(plugin: &Plugin<'_>) -> Option<Observed> {
    let open = plugin.config.get("fail_open") == Some(&Value::Bool(true));
    match text(plugin.config, "/failure_policy") {
        "FAIL_RELOAD" => None,
        "FAIL_OPEN" => Some((Code::FailOpen, "its failure_policy is FAIL_OPEN".to_owned())),
        _ if open => Some((Code::FailOpen, "it has fail_open".to_owned())),
        "" => Some((Code::FailurePolicy, "it has no failure_policy".to_owned())),
        other => Some((Code::FailurePolicy, format!("its failure_policy is {other}"))),
    }
}

fn runtime(plugin: &Plugin<'_>) -> Option<Observed> {
    let runtime = text(plugin.config, "/vm_config/runtime");
    (!runtime.is_empty() && runtime != V8).then(|| (Code::Runtime, format!("its runtime is {runtime}")))
}

fn module(
    plugin: &Plugin<'_>,
    modules: &[FilterModule],
    files: &BTreeMap<String, String>,
) -> Option<Observed> {
    let current = modules.first()?;
    let sha256 = match plugin.file() {
        Some(file) => files.get(file).map(String::as_str)?,
        None => plugin.config.pointer("/vm_config/code/remote/sha256")?.as_str()?,
    };
    match modules.iter().find(|module| module.sha256 == sha256) {
        None => Some((
            Code::ModuleUnknown,
            format!("its module has the sha256 {sha256}, and the control plane's {}", current.sha256),
        )),
        Some(module) if module != current => Some((
            Code::ModuleOld,
            format!(
                "its module is {} ({sha256}), and the control plane's current one {}",
                module.version, current.version
            ),
        )),
        Some(_) => None,
    }
}

fn policy(plugin: &Plugin<'_>) -> Option<Observed> {
    match plugin.policy() {
        Err(error) => Some((Code::FilterConfigInvalid, error.to_string())),
        Ok(policy) if policy.mode == Mode::Observe => {
            Some((Code::ModeObserve, "its mode is observe".to_owned()))
        }
        Ok(_) => None,
    }
}
