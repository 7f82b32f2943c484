//! What Envoy and the filter in it have counted.

use std::collections::BTreeMap;

use super::dump::Dump;
use super::finding::{Code, Finding, Observed};
use super::plugin::Plugin;

/// The counter that labels are made of.
const LABELLED: &str = "portcullis_requests_total";
/// The workers that have no set.
const UNSYNCED: &str = "portcullis_workers_unsynced";
/// Every worker writes it when it starts.
const ALIVE: &str = "portcullis_sync_age_seconds";

/// The counters and gauges of `/stats`, which are lines of `name: value`.
pub(super) fn read(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter_map(|line| line.rsplit_once(": "));
    lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

/// Whether there are workers that have no set, or had none a moment ago.
pub(super) fn is_starting(stats: &BTreeMap<String, u64>) -> bool {
    counted(stats, UNSYNCED).is_some()
}

pub(super) fn findings(
    plugins: &[Plugin<'_>],
    dump: &Dump<'_>,
    stats: &BTreeMap<String, u64>,
    subject: &str,
) -> Vec<Finding> {
    let found = [
        running(plugins, stats),
        reloaded(plugins, stats),
        workers(stats, UNSYNCED, Code::WorkersUnsynced, "have no set yet, or trapped before they had one"),
        workers(
            stats,
            "portcullis_workers_stale",
            Code::WorkersStale,
            "have not heard of the control plane for too long",
        ),
        workers(
            stats,
            "portcullis_workers_over_limit",
            Code::WorkersOverLimit,
            "refuse the set: it is larger than limits.revocations",
        ),
        labels(dump),
    ];
    Finding::all(subject, found.into_iter().flatten())
}

fn running(plugins: &[Plugin<'_>], stats: &BTreeMap<String, u64>) -> Option<Observed> {
    if stats.keys().any(|name| name.contains(ALIVE)) {
        return None;
    }
    let failures = stats.get("wasm.remote_load_fetch_failures").copied().unwrap_or_default();
    if failures > 0 && plugins.iter().any(Plugin::is_remote) {
        return Some((Code::ModuleNotFetched, format!("its module could not be fetched, {failures} times")));
    }
    Some((Code::FilterNotRunning, "the filter is configured, and no worker has started it".to_owned()))
}

fn reloaded(plugins: &[Plugin<'_>], stats: &BTreeMap<String, u64>) -> Option<Observed> {
    let of = |plugin: &Plugin<'_>| -> u64 {
        let names =
            ["vm_reload_success", "vm_reload_failure"].map(|name| format!("wasm.{}.{name}", plugin.name()));
        names.iter().filter_map(|name| stats.get(name)).sum()
    };
    // Plugins of one name share their counters.
    let most = plugins.iter().map(of).max().unwrap_or_default();
    (most > 0)
        .then(|| (Code::VmReloaded, format!("the filter has trapped: it was started again {most} times")))
}

fn workers(stats: &BTreeMap<String, u64>, gauge: &str, code: Code, what: &str) -> Option<Observed> {
    let count = counted(stats, gauge)?;
    Some((code, format!("{count} of its workers {what}")))
}

/// How many workers a gauge counts, if any.
fn counted(stats: &BTreeMap<String, u64>, gauge: &str) -> Option<u64> {
    stats.iter().find(|(name, count)| name.ends_with(gauge) && **count > 0).map(|(_, count)| *count)
}

fn labels(dump: &Dump<'_>) -> Option<Observed> {
    let ours = dump.stats_tags.iter().filter(|regex| regex.contains(LABELLED)).count();
    (ours < 2).then(|| (Code::StatsTags, "its bootstrap has no stats_tags for outcome and code".to_owned()))
}
