//! An Envoy, as its admin interface shows it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Uri;

use super::dump::{Dump, text};
use super::finding::{Code, Finding};
use super::plane::Plane;
use super::{certificate, chain, cluster, edges, plugin, stats};
use crate::api::model::{FilterModule, Moment};
use crate::cli::Failure;
use crate::modules::Module;

/// For one answer; a mesh's configuration takes a while to write.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long workers that have no set are given to get it.
const STARTING: Duration = Duration::from_secs(2);
/// Longest answer: thousands of listeners and clusters.
const MAX_BYTES: u64 = 512 * 1024 * 1024;
/// The first Envoy with `FAIL_RELOAD`.
const OLDEST: (u64, u64) = (1, 33);

/// What an Envoy has answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) url: String,
    /// `/server_info`.
    pub(super) info: Value,
    /// `/config_dump`.
    pub(super) dump: Value,
    /// `/clusters?format=json`.
    pub(super) clusters: Value,
    /// `/certs`.
    pub(super) certificates: Value,
    /// Counters and gauges of `/stats`.
    pub(super) stats: BTreeMap<String, u64>,
    /// The SHA-256 of modules that it has from files, by path, as far as they are files of this machine.
    pub(super) files: BTreeMap<String, String>,
}

impl Seen {
    /// Its `node.id`.
    pub(super) fn node(&self) -> &str {
        text(&self.info, "/node/id")
    }

    fn subject(&self) -> String {
        match self.node() {
            "" => format!("Envoy {}", self.url),
            node => format!("Envoy {node}"),
        }
    }
}

/// Asks an Envoy.
pub(super) fn fetch(url: &str) -> Result<Result<Seen, Finding>, Failure> {
    let base = url.trim_end_matches('/');
    let uri: Option<Uri> = base.parse().ok();
    let uri = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    let Some(host) = uri.as_ref().and_then(Uri::host) else {
        return Err(Failure::usage(format!(
            "--envoy {url}: expected http://HOST:PORT of an admin interface"
        )));
    };
    let here = matches!(host, "localhost" | "[::1]") || host.starts_with("127.");
    let config = Agent::config_builder()
        .max_redirects(0)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(ANSWER_TIMEOUT));
    let agent: Agent = if here { config.proxy(None) } else { config }.build().into();
    let asked = ask(&agent, base, here);
    Ok(asked.map_err(|why| Finding::new(Code::EnvoyUnreachable, format!("Envoy {url}"), why)))
}

/// What is counted. Workers say each second whether they have the set: what is not so any more then is no finding.
fn counted(
    read: impl Fn() -> Result<BTreeMap<String, u64>, String>,
) -> Result<BTreeMap<String, u64>, String> {
    let stats = read()?;
    if !stats::is_starting(&stats) {
        return Ok(stats);
    }
    std::thread::sleep(STARTING);
    read()
}

fn ask(agent: &Agent, base: &str, here: bool) -> Result<Seen, String> {
    let get = |path: &str| -> Result<String, String> {
        let answer = agent.get(format!("{base}{path}")).call();
        let mut answer = answer.map_err(|error| format!("{path}: {error}"))?;
        let text = answer.body_mut().with_config().limit(MAX_BYTES).read_to_string();
        text.map_err(|error| format!("{path}: {error}"))
    };
    let json = |path: &str| -> Result<Value, String> {
        serde_json::from_str(&get(path)?)
            .map_err(|_| format!("{path}: not what an admin interface of Envoy answers"))
    };
    let info = json("/server_info")?;
    if text(&info, "/version").is_empty() {
        return Err("/server_info: not what an admin interface of Envoy answers".to_owned());
    }
    let dump = json("/config_dump")?;
    let files = if here { files(&Dump::read(&dump)) } else { BTreeMap::new() };
    Ok(Seen {
        url: base.to_owned(),
        info,
        dump,
        clusters: json("/clusters?format=json")?,
        certificates: json("/certs")?,
        stats: counted(|| Ok(stats::read(&get("/stats")?)))?,
        files,
    })
}

/// The checksums of the filter's modules among the files of this machine.
fn files(dump: &Dump<'_>) -> BTreeMap<String, String> {
    let filters = dump.chains.iter().flat_map(|chain| &chain.filters);
    let paths = filters.filter_map(plugin::Plugin::of).filter_map(|plugin| plugin.file());
    let read = |path: &str| Some((path.to_owned(), Module::read(Path::new(path)).ok()?.sha256));
    paths.filter_map(read).collect()
}

/// What is wrong with these Envoys.
pub(super) fn findings(envoys: &[Seen], plane: Option<&Plane>) -> Vec<Finding> {
    // Those that are connected are known to the control plane, which says so too.
    let counted = |node: &str| {
        plane.is_some_and(|plane| {
            plane.edges.edges.iter().filter(|edge| edge.connected && edge.node == node).count() > 1
        })
    };
    let shared = edges::shared(envoys.iter().map(Seen::node)).filter(|(node, _)| !counted(node));
    let shared = shared.map(|(node, count)| {
        let seen = format!("{count} of the given Envoys have this node.id");
        Finding::new(Code::NodeIdShared, format!("Envoy {node}"), seen)
    });
    envoys.iter().flat_map(|envoy| one(envoy, plane)).chain(shared).collect()
}

fn one(envoy: &Seen, plane: Option<&Plane>) -> Vec<Finding> {
    let now = plane.map_or_else(Moment::now, |plane| plane.status.now);
    let modules: &[FilterModule] = plane.map_or(&[], |plane| &plane.status.filters);
    let subject = envoy.subject();
    let dump = Dump::read(&envoy.dump);
    let mut found: Vec<Finding> = version(envoy, &subject).into_iter().collect();
    if envoy.node().is_empty() {
        found.push(Finding::new(Code::NodeIdMissing, subject.clone(), "its node.id is empty"));
    }
    found.extend(dump.rejected.iter().map(|(listener, why)| {
        Finding::new(Code::ListenerRejected, format!("{subject}, listener {listener}"), *why)
    }));
    found.extend(certificates(envoy, &subject, now));
    found.extend(chain::findings(&dump, &subject));
    let plugins = plugin::distinct(&dump);
    for plugin in &plugins {
        found.extend(plugin::findings(plugin, modules, &envoy.files, &subject));
        found.extend(cluster::findings(plugin, &dump, envoy, &subject));
    }
    if !plugins.is_empty() {
        found.extend(stats::findings(&plugins, &dump, &envoy.stats, &subject));
        found.extend(plane.and_then(|plane| elsewhere(envoy, plane, &found, &subject)));
    }
    found
}

fn version(envoy: &Seen, subject: &str) -> Option<Finding> {
    let release = text(&envoy.info, "/version").split('/').nth(1).unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u64>().ok());
    let (major, minor) = (numbers.next()??, numbers.next()??);
    let old = (major, minor) < OLDEST;
    old.then(|| Finding::new(Code::EnvoyVersion, subject, format!("it is Envoy {release}")))
}

fn certificates(envoy: &Seen, subject: &str, now: Moment) -> Vec<Finding> {
    let all = envoy.certificates.get("certificates").and_then(Value::as_array).into_iter().flatten();
    let own = all.filter_map(|entry| entry.get("cert_chain")?.as_array()).flatten();
    let due = own.filter_map(|shown| {
        let at = |pointer: &str| text(shown, pointer).parse::<Moment>().ok();
        let valid = (at("/valid_from")?, at("/expiration_time")?);
        let which = format!("the certificate {}", text(shown, "/path"));
        certificate::finding(Code::EnvoyCertificateExpiring, subject, &which, valid, now)
    });
    due.collect()
}

/// All is well here, and yet the control plane does not know it.
fn elsewhere(envoy: &Seen, plane: &Plane, found: &[Finding], subject: &str) -> Option<Finding> {
    let explained = |code: Code| {
        matches!(
            code,
            Code::NodeIdMissing
                | Code::FilterNotRunning
                | Code::ModuleNotFetched
                | Code::ClusterMissing
                | Code::ClusterUnhealthy
                | Code::ClusterUnreachable
                | Code::ClusterTls
                | Code::ClusterHttp1
                | Code::WorkersUnsynced
                | Code::WorkersStale
                | Code::WorkersOverLimit
        )
    };
    let known = plane.edges.edges.iter().any(|edge| edge.connected && edge.node == envoy.node());
    if known || found.iter().any(|finding| explained(finding.code)) {
        return None;
    }
    let seen = format!("its filter has a set, but it is not connected to the control plane {}", plane.url);
    Some(Finding::new(Code::EnvoyElsewhere, subject, seen))
}
