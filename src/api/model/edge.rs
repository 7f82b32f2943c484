//! Edges and their workers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Moment;

/// The edges that are connected, or were not long ago.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Edges {
    /// The control plane's version.
    pub version: u64,
    /// Each edge.
    pub edges: Vec<Edge>,
}

/// One Envoy process.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Edge {
    /// The name that it was given (Envoy's `node.id`).
    pub node: String,
    /// What tells it from another process of that name.
    pub process: String,
    /// The filter's release.
    #[serde(default)]
    pub filter_version: String,
    /// Whether a worker of it is connected.
    pub connected: bool,
    /// The version that all its connected workers have applied.
    pub version: u64,
    /// Versions that it is behind.
    pub lag: u64,
    /// When it was last heard of.
    pub last_contact: Moment,
    /// Its connected workers; when none is, the last ones.
    pub workers: Vec<Worker>,
}

/// One filter VM of an edge.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Worker {
    /// Its name within the process.
    pub worker: String,
    /// Whether its stream is open; if not, it may yet come back.
    pub connected: bool,
    /// The version that it has applied.
    pub version: u64,
    /// Versions that it is behind.
    pub lag: u64,
    /// Entries of the set that it holds.
    #[serde(default)]
    pub revocations: u64,
    /// The set that it did not take when it was last sent one; null once it has taken another. Until then it
    /// enforces the old one.
    #[serde(default)]
    pub refused: Option<RefusedSet>,
    /// Since when its stream is open.
    pub connected_since: Moment,
    /// When it was last heard of.
    pub last_contact: Moment,
    /// What it has rejected since it connected, by code.
    #[serde(default)]
    pub rejections: BTreeMap<String, u64>,
}

/// A set that is larger than a worker takes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RefusedSet {
    /// Revocations in it.
    pub revocations: u64,
    /// The most that the worker takes: `limits.revocations` of its filter.
    pub limit: u64,
}
