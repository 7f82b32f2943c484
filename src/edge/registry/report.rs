//! What the registry says of an edge.

use portcullis_core::Version;

use super::{Edge, Entry};
use crate::clock::UnixMillis;
use crate::control::{EdgeReceipt, EdgeStatus, WorkerStatus};

impl Edge {
    /// How it stands against the control plane's version.
    pub(super) fn status(&self, process: &str, now: Version) -> EdgeStatus {
        let version = self.workers.values().map(|entry| entry.version).min().unwrap_or_default();
        let worker = |(worker, entry): (&String, &Entry)| WorkerStatus {
            worker: worker.clone(),
            connected: entry.is_connected(),
            version: entry.version,
            lag: now.saturating_sub(entry.version),
            revocations: entry.revocations,
            refused: entry.refused,
            connected_since_ms: entry.connected_since_ms,
            last_contact_ms: entry.last_contact_ms,
            rejections: entry.rejections.clone(),
        };
        EdgeStatus {
            node: self.node.clone(),
            process: process.into(),
            filter_version: self.filter_version.clone(),
            connected: self.gone_since_ms.is_none(),
            version,
            lag: now.saturating_sub(version),
            last_contact_ms: self.last_contact_ms,
            workers: self.workers.iter().map(worker).collect(),
        }
    }

    /// Whether it enforces a version, and since how long after the version was accepted.
    pub(super) fn receipt(&self, process: &str, version: Version, accepted_at_ms: UnixMillis) -> EdgeReceipt {
        let applied = self.workers.values().filter(|entry| entry.version >= version);
        let at = applied.clone().map(|entry| {
            // A worker that had it before it said so has no time of its own.
            let receipt = entry.receipts.iter().find(|(applied, _)| *applied >= version);
            receipt.map_or(accepted_at_ms, |(_, at)| *at)
        });
        let last = at.max().unwrap_or(accepted_at_ms);
        let applied_workers = applied.count();
        let ms = (applied_workers == self.workers.len()).then(|| last.saturating_sub(accepted_at_ms));
        EdgeReceipt {
            node: self.node.clone(),
            process: process.into(),
            workers: self.workers.len(),
            applied_workers,
            ms,
        }
    }
}
