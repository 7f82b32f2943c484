//! The counters of this process, under `portcullis_control_`.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use crate::config::Port;
use crate::tls::Certificate;

/// All counters. Cheap to clone; every clone counts into the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Live revocations.
    pub revocations: Gauge,
    /// The version that is in force here.
    pub version: Gauge,
    /// Connected edges.
    pub edges: Gauge,
    /// Connected workers.
    pub workers: Gauge,
    /// Calls to the log that were durable.
    pub appends: Counter,
    /// Events appended.
    pub events: Counter,
    /// Calls to the log that failed.
    pub append_failures: Counter,
    /// Updates that were pushed, each counted once for all edges.
    pub deltas: Counter,
    /// Snapshots that edges were sent.
    pub snapshots: Counter,
    /// Subscribers that did not keep up.
    pub dropped_subscribers: Counter,
    /// Times that a worker came back to say that the set is larger than it takes.
    pub refused_sets: Counter,
    /// Requests by revoked tokens that no report names.
    pub unassigned_tries: Counter,
    /// Credentials that were not accepted.
    pub failed_authentications: Counter,
    /// Times that the changed files of `[tls]` were found to be of no use.
    pub tls_reload_failures: Counter,
    certificate_expires: Gauge,
    handshake_failures: Family<OfPort, Counter>,
    edge_refusals: Family<EdgeRefusal, Counter>,
    rejections: Family<Rejection, Counter>,
    messages: Family<InletMessage, Counter>,
    keys_fetched: Family<OfIssuer, Gauge>,
    key_failures: Family<OfIssuer, Counter>,
    lists_fetched: Family<OfList, Gauge>,
    list_failures: Family<OfList, Counter>,
    receipts: Histogram,
    requests: Family<Request, Counter>,
    request_seconds: Histogram,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Rejection {
    code: String,
    passed: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct InletMessage {
    inlet: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfIssuer {
    issuer: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfPort {
    port: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct EdgeRefusal {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfList {
    uri: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut all = Registry::with_prefix("portcullis_control");
        let seconds = || Histogram::new(exponential_buckets(0.000_5, 2.0, 16));
        let this = Self {
            revocations: register(&mut all, "revocations", "Live revocations", Gauge::default()),
            version: register(&mut all, "version", "Version in force at the control plane", Gauge::default()),
            edges: register(&mut all, "edges", "Connected edges", Gauge::default()),
            workers: register(&mut all, "workers", "Connected workers", Gauge::default()),
            appends: register(&mut all, "appends", "Durable appends to the log", Counter::default()),
            events: register(&mut all, "events", "Events appended to the log", Counter::default()),
            append_failures: register(&mut all, "append_failures", "Failed appends", Counter::default()),
            deltas: register(&mut all, "deltas", "Updates pushed", Counter::default()),
            snapshots: register(&mut all, "snapshots", "Snapshots sent to edges", Counter::default()),
            dropped_subscribers: register(
                &mut all,
                "dropped_subscribers",
                "Subscribers that did not keep up",
                Counter::default(),
            ),
            refused_sets: register(
                &mut all,
                "refused_sets",
                "Times that a worker did not take the set, which is larger than its limits.revocations",
                Counter::default(),
            ),
            unassigned_tries: register(
                &mut all,
                "unassigned_tries",
                "Requests by revoked tokens, as edges report them, that no report names",
                Counter::default(),
            ),
            failed_authentications: register(
                &mut all,
                "failed_authentications",
                "Credentials that were not accepted",
                Counter::default(),
            ),
            tls_reload_failures: register(
                &mut all,
                "tls_reload_failures",
                "Times that the files of [tls] were of no use, and the older ones stayed in force",
                Counter::default(),
            ),
            certificate_expires: register(
                &mut all,
                "tls_certificate_expires_timestamp_seconds",
                "When the ports' certificate expires, Unix time; 0 without TLS",
                Gauge::default(),
            ),
            handshake_failures: register(
                &mut all,
                "tls_handshake_failures",
                "Connections that ended in the TLS handshake",
                Family::default(),
            ),
            edge_refusals: register(
                &mut all,
                "edge_refusals",
                "Streams of edges that were refused",
                Family::default(),
            ),
            rejections: register(&mut all, "rejections", "Requests that edges rejected", Family::default()),
            messages: register(
                &mut all,
                "inlet_messages",
                "Messages at inlets, by what became of them",
                Family::default(),
            ),
            keys_fetched: register(
                &mut all,
                "issuer_keys_fetched_timestamp_seconds",
                "When an issuer's keys were last fetched, Unix time",
                Family::default(),
            ),
            key_failures: register(
                &mut all,
                "issuer_keys_failures",
                "Failed attempts to fetch an issuer's keys",
                Family::default(),
            ),
            lists_fetched: register(
                &mut all,
                "status_list_fetched_timestamp_seconds",
                "When a status list was last fetched and in force, Unix time",
                Family::default(),
            ),
            list_failures: register(
                &mut all,
                "status_list_failures",
                "Failed attempts to fetch or to apply a status list",
                Family::default(),
            ),
            receipts: register(
                &mut all,
                "receipt_seconds",
                "From acceptance to a worker's receipt",
                seconds(),
            ),
            requests: register(&mut all, "http_requests", "HTTP requests", Family::default()),
            request_seconds: register(
                &mut all,
                "http_request_seconds",
                "Time to answer HTTP requests",
                seconds(),
            ),
            registry: Arc::default(),
        };
        Self { registry: Arc::new(all), ..this }
    }
}

fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Metrics {
    /// Requests that an edge has rejected, or would have but for its mode.
    pub fn rejected(&self, code: &str, passed: bool, count: u64) {
        let label = Rejection { code: code.into(), passed: passed.to_string() };
        self.rejections.get_or_create(&label).inc_by(count);
    }

    /// A message at an inlet was `applied`, `repeated`, or refused for what the code says.
    pub fn inlet_message(&self, inlet: &'static str, outcome: &'static str) {
        self.messages.get_or_create(&InletMessage { inlet, outcome }).inc();
    }

    /// The keys of an issuer were fetched, at that time in Unix seconds.
    pub fn keys_fetched(&self, issuer: &str, at: u64) {
        let label = OfIssuer { issuer: issuer.into() };
        self.keys_fetched.get_or_create(&label).set(i64::try_from(at).unwrap_or(i64::MAX));
    }

    /// The keys of an issuer could not be fetched.
    pub fn keys_failed(&self, issuer: &str) {
        self.key_failures.get_or_create(&OfIssuer { issuer: issuer.into() }).inc();
    }

    /// The ports show this certificate from now on.
    pub fn certificate_expires(&self, certificate: &Certificate) {
        self.certificate_expires.set(certificate.valid_until().as_second());
    }

    /// A connection of that port has ended in the handshake.
    pub fn handshake_failed(&self, port: Port) {
        self.handshake_failures.get_or_create(&OfPort { port: port.name() }).inc();
    }

    /// A stream of an edge was refused. The reasons are few.
    pub fn edge_refused(&self, reason: &'static str) {
        self.edge_refusals.get_or_create(&EdgeRefusal { reason }).inc();
    }

    /// A status list was fetched and is in force, at that time in Unix seconds.
    pub fn status_list_fetched(&self, uri: &str, at: u64) {
        let label = OfList { uri: uri.into() };
        self.lists_fetched.get_or_create(&label).set(i64::try_from(at).unwrap_or(i64::MAX));
    }

    /// A status list could not be fetched, or was refused.
    pub fn status_list_failed(&self, uri: &str) {
        self.list_failures.get_or_create(&OfList { uri: uri.into() }).inc();
    }

    /// A worker enforces a version so long after it was accepted.
    pub fn receipt(&self, after: Duration) {
        self.receipts.observe(after.as_secs_f64());
    }

    /// An HTTP request was answered. `route` is the pattern, not the path, so that its values are few.
    pub fn http_request(&self, method: &'static str, route: String, status: u16, took: Duration) {
        let label = Request { method, route, status };
        self.requests.get_or_create(&label).inc();
        self.request_seconds.observe(took.as_secs_f64());
    }

    /// What `/metrics` answers: the OpenMetrics text format (`application/openmetrics-text; version=1.0.0;
    /// charset=utf-8`).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_as_documented() {
        let metrics = Metrics::default();
        metrics.appends.inc();
        metrics.rejected("session_revoked", false, 3);
        metrics.http_request("POST", "/v1/revocations".into(), 201, Duration::from_millis(3));
        metrics.receipt(Duration::from_millis(2));
        metrics.edge_refused("unknown_key");
        let text = metrics.render();
        for line in [
            "portcullis_control_appends_total 1",
            "portcullis_control_revocations 0",
            r#"portcullis_control_rejections_total{code="session_revoked",passed="false"} 3"#,
            r#"portcullis_control_http_requests_total{method="POST",route="/v1/revocations",status="201"} 1"#,
            "portcullis_control_receipt_seconds_count 1",
            r#"portcullis_control_edge_refusals_total{reason="unknown_key"} 1"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
