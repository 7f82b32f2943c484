//! Receipts: which edges enforce a change.

use serde::{Deserialize, Serialize};

/// Which edges have applied a change, as far as they have said so by the time of the answer.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Receipts {
    /// Edges of which every connected worker has applied it.
    pub applied: u64,
    /// Connected edges that have not.
    pub pending: u64,
    /// Each connected edge.
    pub edges: Vec<EdgeReceipt>,
    /// Names of edges that went too long ago to be waited for. One that is only cut off enforces what it had.
    #[serde(default)]
    pub gone: Vec<String>,
}

/// The receipt of one edge.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct EdgeReceipt {
    /// The name that the edge was given (Envoy's `node.id`).
    pub node: String,
    /// The Envoy process.
    pub process: String,
    /// Its connected workers.
    pub workers: u64,
    /// Those of them that have applied the change.
    pub applied_workers: u64,
    /// Whether all have.
    pub applied: bool,
    /// Milliseconds from the control plane's acceptance to the last worker's receipt; null while one is
    /// pending.
    pub ms: Option<u64>,
}

impl Receipts {
    /// Workers of all edges that have applied the change, and all of them.
    #[must_use]
    pub fn workers(&self) -> (u64, u64) {
        self.edges
            .iter()
            .fold((0, 0), |(applied, all), edge| (applied + edge.applied_workers, all + edge.workers))
    }

    /// Milliseconds until the last edge had applied it; `None` while one is pending.
    #[must_use]
    pub fn slowest_ms(&self) -> Option<u64> {
        self.edges.iter().map(|edge| edge.ms).collect::<Option<Vec<u64>>>()?.into_iter().max()
    }
}
