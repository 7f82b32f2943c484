//! The control plane's own state.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FilterModule, Moment};

/// How the control plane is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ServiceStatus {
    /// Its release.
    pub release: String,
    /// The version that is in force here.
    pub version: u64,
    /// Its clock.
    pub now: Moment,
    /// When the process was started.
    pub started_at: Moment,
    /// Live revocations.
    pub revocations: u64,
    /// Connected edges.
    pub edges: u64,
    /// Connected workers.
    pub workers: u64,
    /// Longest silence between it and a worker, either way, while both are well.
    pub heartbeat_ms: u64,
    /// The durable log.
    pub log: LogSize,
    /// The file system of the log; null where the operating system does not say.
    #[serde(default)]
    pub disk: Option<DiskSpace>,
    /// The two ports.
    #[serde(default)]
    pub ports: Vec<PortStatus>,
    /// The ports' certificate; null without TLS.
    #[serde(default)]
    pub certificate: Option<CertificateStatus>,
    /// The filters that are handed out, the current one first.
    #[serde(default)]
    pub filters: Vec<FilterModule>,
    /// The configured streams of security events, as far as the key may act on their issuers.
    #[serde(default)]
    pub streams: Vec<StreamStatus>,
    /// The configured status lists, as far as the key may act on their issuers.
    #[serde(default)]
    pub status_lists: Vec<StatusListStatus>,
    /// Edges that were refused since the process was started and have not got in since, the last one first; at most
    /// 64.
    #[serde(default)]
    pub refused_edges: Vec<RefusedEdge>,
}

/// The log on the disk.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct LogSize {
    /// Length of its file.
    pub bytes: u64,
    /// `log.max_bytes`; null: no limit.
    #[serde(default)]
    pub max_bytes: Option<u64>,
}

/// A file system.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct DiskSpace {
    /// What the control plane may still write.
    pub free_bytes: u64,
    /// All of it.
    pub total_bytes: u64,
}

/// A port that is listened on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct PortStatus {
    /// `http` or `edge`.
    pub name: String,
    /// Where.
    #[schema(example = "127.0.0.1:8470")]
    pub address: String,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// The ports' certificate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct CertificateStatus {
    /// When its validity begins.
    pub valid_from: Moment,
    /// When its validity ends.
    pub valid_until: Moment,
    /// Why the files of `[tls]` cannot be used as they are now, if they cannot; the ones from before are in force.
    #[serde(default)]
    pub failure: Option<String>,
}

/// A configured stream of security events, as far as is known without asking its transmitter.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct StreamStatus {
    /// Its name in the configuration.
    pub name: String,
    /// `enabled`, `paused` or `disabled`, as the transmitter last said by itself; null: it has said nothing.
    #[serde(default)]
    pub status: Option<String>,
    /// When an event last arrived, since this control plane started.
    #[serde(default)]
    pub received_at: Option<Moment>,
    /// Why the transmitter could not be asked when that was last tried, if it could not.
    #[serde(default)]
    pub failure: Option<String>,
}

/// A configured status list.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct StatusListStatus {
    /// Its address.
    pub uri: String,
    /// Why it could not be had or used when that was last tried, if it could not; what it said last is in force.
    #[serde(default)]
    pub failure: Option<String>,
}

/// An edge that was refused at the edges' port, above TLS.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct RefusedEdge {
    /// The IP address that it came from; null: unknown.
    #[serde(default)]
    #[schema(example = "10.0.0.7")]
    pub peer: Option<String>,
    /// The name that it was given (Envoy's `node.id`); null: it was refused before it said one, or has none.
    #[serde(default)]
    pub node: Option<String>,
    /// The filter's release; null: it was refused before it said one.
    #[serde(default)]
    pub filter_version: Option<String>,
    /// Names of the certificate that it has shown, at most eight.
    #[serde(default)]
    pub certificate: Vec<String>,
    /// `no_key`, `unknown_key`, `deleted_key`, `scope`, `certificate`, `node`, `full`, `protocol` or `hello`.
    #[schema(example = "node")]
    pub reason: String,
    /// What it was told: why, and what to do.
    pub message: String,
    /// How often it was refused.
    pub count: u64,
    /// When it was first refused.
    pub first: Moment,
    /// When it was last refused.
    pub last: Moment,
}
