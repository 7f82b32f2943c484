//! Traces (OpenTelemetry): from the call or message that brings a change about, through the log, to the last edge's
//! receipt.
//!
//! Spans are made where things happen, by the functions of this file, and cost next to nothing where nobody collects
//! them. They name ids and counts, never a subject, a token or an address.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Status, TraceContextExt as _, TracerProvider as _};
use opentelemetry::{KeyValue, Value};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use portcullis_core::Version;
use tonic::transport::{Certificate, ClientTlsConfig};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::UnixMillis;
use crate::config;
use crate::control::Receipts;

/// Of every span here, so that no other is exported, and none of these is in the log.
const TARGET: &str = "portcullis::trace";
/// Most edges of a change that are named one by one.
const MAX_EDGES: usize = 100;
/// Most bytes of a file with authorities.
const MAX_AUTHORITIES: u64 = 1024 * 1024;
/// How long the last spans may take to be exported when the process ends.
const FLUSH: Duration = Duration::from_secs(3);

/// Who collects spans, while there is somebody.
#[derive(Debug, Default)]
pub struct Traces {
    provider: Option<SdkTracerProvider>,
}

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The authorities of the collector's certificate cannot be read.
    #[error("traces.ca_file: cannot read {path}: {error}")]
    Authorities {
        /// The file.
        path: String,
        /// What the system says.
        error: String,
    },
    /// An endpoint that nothing can be sent to.
    #[error("traces.endpoint: {0}")]
    Exporter(String),
}

impl Traces {
    /// Exports to the collector of the configuration, if there is one. Needs a runtime, on which it connects; a
    /// collector that is down costs spans, and nothing else.
    ///
    /// # Errors
    /// When the settings are of no use.
    pub fn to(settings: &config::Traces) -> Result<Self, TracesError> {
        let Some(endpoint) = &settings.endpoint else { return Ok(Self::default()) };
        let mut exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
        if endpoint.starts_with("https:") {
            exporter = exporter.with_tls_config(tls(settings)?);
        }
        let exporter = exporter.build().map_err(|error| TracesError::Exporter(error.to_string()))?;
        let resource = Resource::builder()
            .with_service_name("portcullis")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            // Whoever calls does not decide how much is kept.
            .with_sampler(Sampler::TraceIdRatioBased(settings.sample))
            .with_resource(resource)
            .build();
        Ok(Self { provider: Some(provider) })
    }

    /// What hands the spans on.
    pub fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer = self.provider.as_ref()?.tracer("portcullis");
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false);
        Some(layer.with_target(false).with_level(false).with_filter(
            Targets::new().with_target(TARGET, LevelFilter::TRACE).with_default(LevelFilter::OFF),
        ))
    }

    /// Exports what is left.
    pub fn end(self) {
        if let Some(provider) = self.provider
            && let Err(error) = provider.shutdown_with_timeout(FLUSH)
        {
            tracing::warn!(%error, "the last traces were not exported");
        }
    }
}

fn tls(settings: &config::Traces) -> Result<ClientTlsConfig, TracesError> {
    let Some(path) = &settings.ca_file else { return Ok(ClientTlsConfig::new().with_webpki_roots()) };
    let cannot = |error| TracesError::Authorities { path: path.display().to_string(), error };
    let pem = crate::files::read(path, MAX_AUTHORITIES).map_err(cannot)?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
}

/// A call of the API or an inlet, as a part of its caller's trace if it has one (W3C Trace Context).
pub fn call(method: &'static str, route: &str, headers: &HeaderMap) -> Span {
    let span = tracing::trace_span!(
        target: TARGET, "call",
        otel.name = format_args!("{method} {route}"), otel.kind = "server",
        http.request.method = method, http.route = route,
        http.response.status_code = tracing::field::Empty,
    );
    if !span.is_disabled() {
        let parent = TraceContextPropagator::new().extract(&Headers(headers));
        // Refused only where nobody collects.
        let _ = span.set_parent(parent);
    }
    span
}

/// How a call was answered.
pub fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}

/// A message that an inlet has asked for by itself.
pub fn polled(inlet: &'static str) -> Span {
    tracing::trace_span!(target: TARGET, "poll", otel.name = format_args!("poll {inlet}"), otel.kind = "consumer")
}

/// Events on their way to the disk.
pub fn append(events: usize) -> Span {
    tracing::trace_span!(target: TARGET, "append", events)
}

/// A change on its way to the edges; ends with the last receipt.
pub fn enforce(version: Version) -> Span {
    tracing::trace_span!(target: TARGET, "enforce", portcullis.version = version)
}

/// The receipts that have come for a change that was accepted at a time.
pub fn enforced(span: &Span, accepted_ms: UnixMillis, receipts: &Receipts) {
    let count = |count: usize| Value::I64(i64::try_from(count).unwrap_or(i64::MAX));
    span.set_attribute("portcullis.edges.applied", count(receipts.applied));
    span.set_attribute("portcullis.edges.pending", count(receipts.pending));
    for edge in receipts.edges.iter().take(MAX_EDGES) {
        let node = KeyValue::new("portcullis.node", edge.node.clone());
        if let Some(ms) = edge.ms {
            let at = UNIX_EPOCH.checked_add(Duration::from_millis(accepted_ms.saturating_add(ms)));
            let took = KeyValue::new("portcullis.ms", i64::try_from(ms).unwrap_or(i64::MAX));
            span.add_event_with_timestamp("receipt", at.unwrap_or_else(SystemTime::now), vec![node, took]);
        } else {
            span.add_event("no receipt", vec![node]);
        }
    }
    if receipts.pending > 0 {
        span.set_status(Status::error("an edge does not enforce it yet"));
    }
}

/// The trace that this is a part of, in hexadecimal, for the log.
#[must_use]
pub fn id() -> Option<String> {
    let current = Span::current();
    if current.is_disabled() {
        return None;
    }
    let context = current.context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| span.trace_id().to_string())
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}
