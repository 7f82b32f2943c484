//! The file: everything but steps and expectations.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::error::ScenarioError;
use super::expect::Expect;
use super::step::Step;
use crate::log::Level;
use crate::plugin::FailurePolicy;

/// A scenario, as its file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Scenario {
    /// The file that it comes from.
    #[serde(skip)]
    pub path: String,
    /// What it shows, in a sentence.
    pub title: String,
    /// The part of the ABI that it is about, such as `headers`.
    pub area: String,
    /// The name of the filter; whoever runs the scenario knows where it is.
    filter: Option<String>,
    /// The filter itself, as WebAssembly text.
    wat: Option<String>,
    /// The plugin's configuration.
    #[serde(default)]
    pub config: String,
    /// The number of worker threads; one unless told otherwise.
    #[serde(default = "one")]
    pub workers: usize,
    /// The level that the host logs at: `trace`, `debug`, `info`, `warn`, `error` or `critical`.
    #[serde(default = "info", deserialize_with = "level")]
    pub log_level: Level,
    /// The plugin's other settings.
    #[serde(default)]
    pub plugin: PluginSettings,
    /// What the host says about itself.
    #[serde(default)]
    pub node: Node,
    /// Dynamic metadata of every stream, by namespace.
    #[serde(default)]
    pub metadata: BTreeMap<String, Value>,
    /// The clusters that call-outs can go to, by name.
    #[serde(default)]
    pub clusters: BTreeMap<String, ClusterKind>,
    /// What happens, in order.
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
    /// What is to come of it.
    pub expect: Expect,
}

/// The filter of a scenario.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Filter<'a> {
    /// Its name.
    Named(&'a str),
    /// Its module, as WebAssembly text.
    Text(&'a str),
}

/// Settings of the plugin, each empty unless told otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PluginSettings {
    /// Its name.
    pub name: String,
    /// The name of its root context.
    pub root_id: String,
    /// The id that its VMs share data under.
    pub vm_id: String,
    /// The VM's configuration.
    pub vm_config: String,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// What happens to requests once a VM has died.
    pub failure_policy: Policy,
}

/// `closed`, `open` or `reload`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Answer them with 503.
    #[default]
    Closed,
    /// Let them pass.
    Open,
    /// Make a new VM.
    Reload,
}

impl From<Policy> for FailurePolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Closed => Self::Closed,
            Policy::Open => Self::Open,
            Policy::Reload => Self::Reload,
        }
    }
}

/// The host's own name.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Node {
    /// Its id, `edge-1` unless told otherwise.
    pub id: String,
    /// Its cluster, `edges` unless told otherwise.
    pub cluster: String,
}

impl Default for Node {
    fn default() -> Self {
        Self { id: "edge-1".to_owned(), cluster: "edges".to_owned() }
    }
}

/// What a cluster is like.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterKind {
    /// `peer`: a host that takes call-outs, and does with them what steps say.
    Peer,
    /// `refusing`: a host that takes no connection.
    Refusing,
    /// `no-hosts`: there is no host.
    NoHosts,
}

impl Scenario {
    /// Reads a scenario from its file.
    ///
    /// # Errors
    /// If the file cannot be read or is no scenario; the error names file, key and reason.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ScenarioError> {
        let name = path.as_ref().display().to_string();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| ScenarioError::File { path: name.clone(), reason: error.to_string() })?;
        Self::parse(&name, &text)
    }

    /// Reads a scenario from a text; errors call it by the name of a file.
    ///
    /// # Errors
    /// If the text is no scenario; the error names file, key and reason.
    pub fn parse(path: &str, text: &str) -> Result<Self, ScenarioError> {
        let refused = |reason: String| ScenarioError::Format { path: path.to_owned(), reason };
        let mut scenario: Self = toml::from_str(text).map_err(|error| refused(error.to_string()))?;
        if scenario.filter.is_some() == scenario.wat.is_some() {
            return Err(refused("it needs either the key `filter` or the key `wat`".to_owned()));
        }
        if scenario.workers == 0 {
            return Err(refused("the key `workers` must be one or more".to_owned()));
        }
        path.clone_into(&mut scenario.path);
        Ok(scenario)
    }

    /// The filter that it runs.
    #[must_use]
    pub fn filter(&self) -> Filter<'_> {
        match (&self.filter, &self.wat) {
            (Some(name), _) => Filter::Named(name),
            (None, text) => Filter::Text(text.as_deref().unwrap_or_default()),
        }
    }
}

const fn one() -> usize {
    1
}

const fn info() -> Level {
    Level::Info
}

fn level<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
    let name = String::deserialize(deserializer)?;
    super::outcome::level(&name).ok_or_else(|| serde::de::Error::custom(format!("`{name}` is no log level")))
}
