//! Envoy's configuration dump (`envoy.admin.v3.ConfigDump`), as far as it matters here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The parts of a dump.
#[derive(Debug)]
pub(super) struct Dump<'a> {
    /// Every chain of HTTP filters that takes requests in.
    pub(super) chains: Vec<Chain<'a>>,
    /// Listeners whose last update was refused, and why.
    pub(super) rejected: BTreeSet<(&'a str, &'a str)>,
    /// `envoy.config.cluster.v3.Cluster`, by name.
    pub(super) clusters: BTreeMap<&'a str, &'a Value>,
    /// Regular expressions that make labels of names.
    pub(super) stats_tags: Vec<&'a str>,
    routes: BTreeMap<&'a str, Vec<bool>>,
}

/// The HTTP filters of one connection manager.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    /// Its listener, and which of several chains it is.
    pub(super) place: String,
    /// The connection manager.
    pub(super) manager: &'a Value,
    /// In their order, those of dynamic configuration resolved.
    pub(super) filters: Vec<HttpFilter<'a>>,
}

/// An HTTP filter.
#[derive(Clone, Copy, Debug)]
pub(super) struct HttpFilter<'a> {
    pub(super) name: &'a str,
    /// Runs only on routes that enable it.
    pub(super) disabled: bool,
    /// The last part of its type, such as `Wasm`; empty where its configuration has not arrived.
    pub(super) kind: &'a str,
    pub(super) config: &'a Value,
}

/// The text at a JSON Pointer, empty where there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The members of a list.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The last part of a type's URL, which is its name.
fn last_part(url: &str) -> &str {
    url.rsplit(['.', '/']).next().unwrap_or_default()
}

/// The type and the message of an `Any`; meshes wrap messages whose type they need not know.
fn typed(any: &Value) -> (&str, &Value) {
    match (last_part(text(any, "/@type")), any.get("value")) {
        ("TypedStruct", Some(value)) => (last_part(text(any, "/type_url")), value),
        (kind, _) => (kind, any),
    }
}

impl<'a> Dump<'a> {
    pub(super) fn read(whole: &'a Value) -> Self {
        let section = |kind: &str, lists: &[&str]| -> Vec<&'a Value> {
            let sections = list(whole, "/configs").filter(|section| typed(section).0 == kind);
            sections.flat_map(|section| lists.iter().flat_map(|name| list(section, name))).collect()
        };
        let ecds = section("EcdsConfigDump", &["/ecds_filters"]);
        let ecds = ecds.into_iter().filter_map(|entry| {
            let filter = entry.get("ecds_filter")?;
            Some((text(filter, "/name"), filter.get("typed_config")?))
        });
        let ecds: BTreeMap<&str, &Value> = ecds.collect();
        let listeners = section("ListenersConfigDump", &["/static_listeners", "/dynamic_listeners"]);
        // One that waits for what it needs, a module for example, is in force as soon as that is decided.
        let states = ["/listener", "/active_state/listener", "/warming_state/listener"];
        let wanted =
            listeners.iter().flat_map(|entry| states.iter().filter_map(|state| entry.pointer(state)));
        let chains = wanted.flat_map(|listener| chains(listener, &ecds)).collect();
        let rejected = listeners.iter().filter_map(|entry| {
            let details = text(entry, "/error_state/details");
            // Envoy has a second entry for it, without a name.
            let names = [text(entry, "/name"), text(entry, "/error_state/failed_configuration/name")];
            let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
            (!details.is_empty()).then_some((name, details))
        });
        let clusters = section("ClustersConfigDump", &["/static_clusters", "/dynamic_active_clusters"]);
        let clusters = clusters.into_iter().filter_map(|entry| entry.get("cluster"));
        let bootstrap = list(whole, "/configs").filter(|section| typed(section).0 == "BootstrapConfigDump");
        let tags = bootstrap.flat_map(|section| list(section, "/bootstrap/stats_config/stats_tags"));
        Self {
            chains,
            rejected: rejected.collect(),
            clusters: clusters.map(|cluster| (text(cluster, "/name"), cluster)).collect(),
            stats_tags: tags.map(|tag| text(tag, "/regex")).collect(),
            routes: routes(whole),
        }
    }

    /// What routes say of a filter of that name: each, whether it is enabled there.
    pub(super) fn routes_on(&self, filter: &str) -> &[bool] {
        self.routes.get(filter).map(Vec::as_slice).unwrap_or_default()
    }
}

/// What routes, virtual hosts and weighted clusters say of filters, by the filter's name.
fn routes(whole: &Value) -> BTreeMap<&str, Vec<bool>> {
    let (mut found, mut todo): (BTreeMap<&str, Vec<bool>>, Vec<&Value>) = (BTreeMap::new(), vec![whole]);
    while let Some(value) = todo.pop() {
        match value {
            Value::Object(members) => {
                let here = members.get("typed_per_filter_config").and_then(Value::as_object);
                for (name, own) in here.into_iter().flatten() {
                    let enabled = own.get("disabled") != Some(&Value::Bool(true));
                    found.entry(name).or_default().push(enabled);
                }
                todo.extend(members.values());
            }
            Value::Array(items) => todo.extend(items),
            _ => {}
        }
    }
    found
}

/// The chains of a listener that takes requests in. A sidecar's outbound ones carry other people's tokens.
fn chains<'a>(listener: &'a Value, ecds: &BTreeMap<&'a str, &'a Value>) -> Vec<Chain<'a>> {
    if text(listener, "/traffic_direction") == "OUTBOUND" {
        return Vec::new();
    }
    let of_network = list(listener, "/filter_chains").chain(listener.get("default_filter_chain"));
    let managers: Vec<&Value> = of_network
        .flat_map(|chain| list(chain, "/filters"))
        .filter_map(|filter| filter.get("typed_config"))
        .map(typed)
        .filter(|(kind, _)| *kind == "HttpConnectionManager")
        .map(|(_, manager)| manager)
        .collect();
    let several = managers.len() > 1;
    let chains = managers.into_iter().enumerate().flat_map(|(index, manager)| {
        let mut place = format!("listener {}", text(listener, "/name"));
        if several {
            place += &format!(", filter chain {}", index + 1);
        }
        let own = (place.clone(), list(manager, "/http_filters").collect::<Vec<_>>());
        // An upgrade with filters of its own passes by the others.
        let upgrades = list(manager, "/upgrade_configs").filter_map(move |upgrade| {
            let filters: Vec<&Value> = list(upgrade, "/filters").collect();
            let place = format!("{place}, upgrade {}", text(upgrade, "/upgrade_type"));
            (!filters.is_empty()).then_some((place, filters))
        });
        let all: Vec<_> = std::iter::once(own).chain(upgrades).collect();
        all.into_iter().map(move |(place, filters)| (place, manager, filters))
    });
    let resolved = chains.map(|(place, manager, filters)| Chain {
        place,
        manager,
        filters: filters.into_iter().map(|filter| resolve(filter, ecds)).collect(),
    });
    resolved.collect()
}

fn resolve<'a>(filter: &'a Value, ecds: &BTreeMap<&'a str, &'a Value>) -> HttpFilter<'a> {
    let name = text(filter, "/name");
    let discovered = || {
        let discovery = filter.get("config_discovery")?;
        ecds.get(name).copied().or_else(|| discovery.get("default_config"))
    };
    let (kind, config) = filter.get("typed_config").or_else(discovered).map_or(("", &Value::Null), typed);
    let disabled = filter.get("disabled") == Some(&Value::Bool(true));
    HttpFilter { name, disabled, kind, config }
}
