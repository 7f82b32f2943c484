//! What is counted, by name. Envoy puts `wasmcustom.` in front; the labels are in the name as `.key.value`
//! and become tags by two regular expressions in the bootstrap (see envoy/envoy.yaml).

use std::collections::BTreeMap;

use portcullis_core::Gate;
use portcullis_core::verdict::Freshness;

use crate::host::{self, MetricKind};

/// The metrics of one worker, defined when first used: the host keeps every name for ever.
#[derive(Default)]
pub(crate) struct Metrics {
    /// By name, and by outcome and code where there are such.
    ids: BTreeMap<[&'static str; 3], u32>,
    gauges: BTreeMap<&'static str, u64>,
    /// What this worker has added to the gauges that count workers or requests.
    shares: BTreeMap<&'static str, u64>,
}

impl Metrics {
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
        self.share("portcullis_workers_unsynced", u64::from(freshness == Freshness::NeverSynced));
        self.share("portcullis_workers_stale", u64::from(freshness == Freshness::Stale));
        self.share("portcullis_workers_over_limit", u64::from(gate.refused().is_some()));
        self.share("portcullis_requests_held", gate.held() as u64);
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
        for name in self.shares.keys().copied().collect::<Vec<_>>() {
            self.share(name, 0);
        }
    }

    fn count(&mut self, name: &'static str, count: u64) {
        if count > 0 {
            let id = self.id(MetricKind::Counter, name);
            let _ = host::add(id, i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// A gauge that is the sum of all workers' shares: each adds the difference to its last one.
    fn share(&mut self, name: &'static str, share: u64) {
        let before = self.shares.insert(name, share).unwrap_or_default();
        let difference = i64::try_from(share).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX);
        if difference != 0 {
            let id = self.id(MetricKind::Gauge, name);
            let _ = host::add(id, difference);
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
