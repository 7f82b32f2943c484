//! What is counted, by name. Envoy puts `wasmcustom.` in front; the labels are in the name as `.key.value`
//! and become tags by two regular expressions in the bootstrap (see envoy/envoy.yaml).

use std::collections::BTreeMap;

use portcullis_core::Gate;
use portcullis_core::shares::{REFRESH, Shares, step};
use portcullis_core::verdict::Freshness;

use crate::host::{self, MetricKind};

/// The metrics of one worker, defined when first used: the host keeps every name for ever.
#[derive(Default)]
pub(crate) struct Metrics {
    /// By name, and by outcome and code where there are such.
    ids: BTreeMap<[&'static str; 3], u32>,
    gauges: BTreeMap<&'static str, u64>,
    /// Who this worker is among those of this Envoy.
    worker: u64,
    /// What it has said last in the table of [`SHARES_KEY`], and when, Unix seconds.
    told: Option<(Shares, u64)>,
}

/// Where the workers of one Envoy keep what each has in the gauges that count workers or requests.
const SHARES_KEY: &str = "portcullis.shares";
/// These gauges.
const SHARED: [&str; 4] = [
    "portcullis_workers_unsynced",
    "portcullis_workers_stale",
    "portcullis_workers_over_limit",
    "portcullis_requests_held",
];

impl Metrics {
    /// Those of a worker. The first VM of all is the main thread's, which is configured before there are others: so the
    /// table is there when several look at it at once.
    pub(crate) fn new(worker: u64) -> Self {
        if host::shared_data(SHARES_KEY).0.is_none() {
            let _ = host::set_shared_data(SHARES_KEY, &[], 0);
        }
        Self { worker, ..Self::default() }
    }

    /// Hands over what the gate has counted since the last time, and where it stands.
    pub(crate) fn flush(&mut self, gate: &mut Gate) {
        for (outcome, code, count) in gate.take_counts() {
            let id = self.ids.entry(["portcullis_requests_total", outcome, code]);
            let id = id.or_insert_with_key(|[name, outcome, code]| {
                define(MetricKind::Counter, &format!("{name}.outcome.{outcome}.code.{code}"))
            });
            let _ = host::add(*id, i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.count("portcullis_not_covered_total", gate.take_not_covered());
        self.count("portcullis_crowded_out_total", gate.take_crowded_out());
        let freshness = gate.freshness();
        self.share(Some([
            u32::from(freshness == Freshness::NeverSynced),
            u32::from(freshness == Freshness::Stale),
            u32::from(gate.refused().is_some()),
            u32::try_from(gate.held()).unwrap_or(u32::MAX),
        ]));
        self.gauge("portcullis_sync_age_seconds", gate.age() / 1000);
        if let Some(store) = gate.store() {
            self.gauge("portcullis_revocations", store.set.len() as u64);
            self.gauge("portcullis_version", store.version);
        }
    }

    /// Streams that a revocation has ended.
    pub(crate) fn streams_cut(&mut self, count: usize) {
        self.count("portcullis_streams_cut_total", count as u64);
    }

    /// From the control plane's acceptance of a change to its enforcement here.
    pub(crate) fn propagation(&mut self, millis: u64) {
        let id = self.id(MetricKind::Histogram, "portcullis_propagation_ms");
        let _ = host::record(id, millis);
    }

    /// The worker is no more: takes its shares back.
    pub(crate) fn withdraw(&mut self) {
        self.share(None);
    }

    fn count(&mut self, name: &'static str, count: u64) {
        if count > 0 {
            let id = self.id(MetricKind::Counter, name);
            let _ = host::add(id, i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Says what this worker has in the gauges that are sums over all workers, when that has changed or was said a while
    /// ago; `None` when it ends.
    fn share(&mut self, shares: Option<Shares>) {
        let now = host::unix_millis() / 1_000;
        let is_known = |(told, at): (Shares, u64)| Some(told) == shares && now.abs_diff(at) < REFRESH;
        if self.told.is_some_and(is_known) || (shares.is_none() && self.told.is_none()) {
            return;
        }
        let (table, number) = host::shared_data(SHARES_KEY);
        let step = step(&table.unwrap_or_default(), self.worker, shares, now);
        // Somebody else was faster: on the next tick. There is none where a worker ends; others will miss it.
        if host::set_shared_data(SHARES_KEY, &step.table, number).is_err() {
            return;
        }
        self.told = shares.map(|shares| (shares, now));
        for (name, add) in SHARED.into_iter().zip(step.add) {
            if add != 0 {
                let id = self.id(MetricKind::Gauge, name);
                let _ = host::add(id, add);
            }
        }
    }

    fn gauge(&mut self, name: &'static str, value: u64) {
        // Written only when it changes: the workers share one gauge, and the last one to write is seen.
        if self.gauges.insert(name, value) != Some(value) {
            let id = self.id(MetricKind::Gauge, name);
            let _ = host::record(id, value);
        }
    }

    fn id(&mut self, kind: MetricKind, name: &'static str) -> u32 {
        *self.ids.entry([name, "", ""]).or_insert_with(|| define(kind, name))
    }
}

/// An id that the host does not know makes every use of it a refused call, which changes nothing.
fn define(kind: MetricKind, name: &str) -> u32 {
    host::define_metric(kind, name).unwrap_or_else(|status| {
        log::error!("metric {name} cannot be defined: {status:?}");
        u32::MAX
    })
}
