//! Which edges there are, what each worker enforces, and since when.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_core::Version;
use tokio::sync::watch;

use super::hello::Hello;
use crate::clock::UnixMillis;
use crate::control::{EdgeReceipt, EdgeStatus, Edges, Receipts, WorkerStatus};

#[cfg(test)]
mod tests;

/// Receipts that are remembered per worker, for the time that a version took.
const RECEIPTS: usize = 16;
/// Edges that are remembered after they have gone; beyond it the one gone longest is forgotten.
const MAX_GONE: usize = 10_000;
/// Codes that are counted per worker; the contract has eleven.
const MAX_CODES: usize = 32;

/// The edges of this process.
#[derive(Debug)]
pub struct Registry {
    inner: Mutex<Inner>,
    // A count of what has happened, to wait for.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    edges: BTreeMap<String, Edge>,
    // How many connected workers enforce each version, so that the slowest is known at once.
    positions: BTreeMap<Version, usize>,
    // Edges without a connected worker, the one gone longest first.
    gone: BTreeSet<(UnixMillis, String)>,
    last_stream: u64,
}

#[derive(Debug)]
struct Edge {
    node: String,
    filter_version: String,
    last_contact_ms: UnixMillis,
    gone_since_ms: Option<UnixMillis>,
    workers: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    // A worker that has come back on another stream is not taken away by the end of the old one.
    stream: u64,
    connected: bool,
    version: Version,
    receipts: VecDeque<(Version, UnixMillis)>,
    revocations: u64,
    connected_since_ms: UnixMillis,
    last_contact_ms: UnixMillis,
    rejections: BTreeMap<String, u64>,
}

/// A worker's place in the registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Worker {
    process: String,
    worker: String,
    stream: u64,
}

impl Default for Registry {
    fn default() -> Self {
        Self { inner: Mutex::default(), changed: watch::Sender::new(0) }
    }
}

impl Registry {
    /// A worker has introduced itself; `version` is what it enforces already.
    pub(super) fn connect(&self, hello: &Hello, version: Version, now_ms: UnixMillis) -> Worker {
        let mut inner = self.lock();
        inner.last_stream += 1;
        let stream = inner.last_stream;
        let Inner { edges, positions, gone, .. } = &mut *inner;
        let edge = edges.entry(hello.process.clone()).or_insert_with(|| Edge {
            node: String::new(),
            filter_version: String::new(),
            last_contact_ms: now_ms,
            gone_since_ms: None,
            workers: BTreeMap::new(),
        });
        edge.node.clone_from(&hello.node);
        edge.filter_version.clone_from(&hello.filter_version);
        edge.last_contact_ms = now_ms;
        if let Some(since) = edge.gone_since_ms.take() {
            gone.remove(&(since, hello.process.clone()));
            // Its last workers were kept only to be shown.
            edge.workers.clear();
        }
        let entry = Entry {
            stream,
            connected: true,
            version,
            receipts: VecDeque::new(),
            revocations: 0,
            connected_since_ms: now_ms,
            last_contact_ms: now_ms,
            rejections: BTreeMap::new(),
        };
        if let Some(before) =
            edge.workers.insert(hello.worker.clone(), entry).filter(|before| before.connected)
        {
            leave(positions, before.version);
        }
        *positions.entry(version).or_default() += 1;
        drop(inner);
        self.tell();
        Worker { process: hello.process.clone(), worker: hello.worker.clone(), stream }
    }

    /// A worker's stream has ended. Whether it was the edge's last.
    pub(super) fn disconnect(&self, worker: &Worker, now_ms: UnixMillis) -> bool {
        let mut inner = self.lock();
        let Inner { edges, positions, gone, .. } = &mut *inner;
        let Some(edge) = edges.get_mut(&worker.process) else { return false };
        let Some(entry) = edge.workers.get_mut(&worker.worker).filter(|entry| entry.stream == worker.stream)
        else {
            return false;
        };
        entry.connected = false;
        leave(positions, entry.version);
        let last = !edge.workers.values().any(|entry| entry.connected);
        if last {
            edge.gone_since_ms = Some(now_ms);
            gone.insert((now_ms, worker.process.clone()));
            while gone.len() > MAX_GONE
                && let Some((_, process)) = gone.pop_first()
            {
                edges.remove(&process);
            }
        } else {
            edge.workers.remove(&worker.worker);
        }
        drop(inner);
        self.tell();
        last
    }

    /// A worker says that it enforces a version. Whether that is news.
    pub(super) fn receipt(
        &self,
        worker: &Worker,
        version: Version,
        revocations: u64,
        now_ms: UnixMillis,
    ) -> bool {
        let mut inner = self.lock();
        let Inner { edges, positions, .. } = &mut *inner;
        let Some(edge) = edges.get_mut(&worker.process) else { return false };
        let Some(entry) = edge.workers.get_mut(&worker.worker).filter(|entry| entry.stream == worker.stream)
        else {
            return false;
        };
        edge.last_contact_ms = now_ms;
        entry.last_contact_ms = now_ms;
        entry.revocations = revocations;
        let news = version != entry.version;
        if news {
            leave(positions, entry.version);
            *positions.entry(version).or_default() += 1;
            entry.version = version;
        }
        if entry.receipts.back().is_none_or(|(last, _)| *last < version) {
            entry.receipts.push_back((version, now_ms));
            if entry.receipts.len() > RECEIPTS {
                entry.receipts.pop_front();
            }
        }
        drop(inner);
        self.tell();
        news
    }

    /// A worker says what it has rejected.
    pub(super) fn rejected(&self, worker: &Worker, code: &str, count: u64) {
        let mut inner = self.lock();
        let entry =
            inner.edges.get_mut(&worker.process).and_then(|edge| edge.workers.get_mut(&worker.worker));
        if let Some(entry) = entry
            && (entry.rejections.len() < MAX_CODES || entry.rejections.contains_key(code))
        {
            let total = entry.rejections.entry(code.into()).or_default();
            *total = total.saturating_add(count);
        }
    }

    /// Forgets edges that went before that time.
    pub fn forget(&self, before_ms: UnixMillis) {
        let mut inner = self.lock();
        let Inner { edges, gone, .. } = &mut *inner;
        while gone.first().is_some_and(|(since, _)| *since < before_ms)
            && let Some((_, process)) = gone.pop_first()
        {
            edges.remove(&process);
        }
    }

    /// Connected edges and workers.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.edges.len() - inner.gone.len(), inner.positions.values().sum())
    }

    /// Every edge, as it stands against the control plane's version.
    #[must_use]
    pub fn report(&self, version: Version) -> Edges {
        let inner = self.lock();
        let mut edges: Vec<EdgeStatus> =
            inner.edges.iter().map(|(process, edge)| edge.status(process, version)).collect();
        edges.sort_by(|one, other| (&one.node, &one.process).cmp(&(&other.node, &other.process)));
        Edges { version, edges }
    }

    /// Waits until every connected worker enforces a version, or the time is up. An edge that goes meanwhile
    /// is pending.
    pub async fn wait(&self, version: Version, accepted_at_ms: UnixMillis, timeout: Duration) -> Receipts {
        let mut changed = self.changed.subscribe();
        let applied = async {
            while self.lock().positions.first_key_value().is_some_and(|(slowest, _)| *slowest < version) {
                if changed.changed().await.is_err() {
                    break;
                }
            }
        };
        // What has come by then is the answer, all or not.
        let _ = tokio::time::timeout(timeout, applied).await;
        let inner = self.lock();
        // An edge that was there at the commit and has gone since may serve requests all the same.
        let concerned = inner
            .edges
            .iter()
            .filter(|(_, edge)| edge.gone_since_ms.is_none_or(|since_ms| since_ms >= accepted_at_ms));
        let mut edges: Vec<EdgeReceipt> =
            concerned.map(|(process, edge)| edge.receipt(process, version, accepted_at_ms)).collect();
        edges.sort_by(|one, other| (&one.node, &one.process).cmp(&(&other.node, &other.process)));
        let applied = edges.iter().filter(|edge| edge.applied()).count();
        Receipts { applied, pending: edges.len() - applied, edges }
    }

    // Nothing that can fail half-way happens under the lock.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

fn leave(positions: &mut BTreeMap<Version, usize>, version: Version) {
    if let Some(count) = positions.get_mut(&version) {
        *count -= 1;
        if *count == 0 {
            positions.remove(&version);
        }
    }
}

impl Edge {
    fn status(&self, process: &str, now: Version) -> EdgeStatus {
        let version = self.workers.values().map(|entry| entry.version).min().unwrap_or_default();
        let worker = |(worker, entry): (&String, &Entry)| WorkerStatus {
            worker: worker.clone(),
            version: entry.version,
            lag: now.saturating_sub(entry.version),
            revocations: entry.revocations,
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

    fn receipt(&self, process: &str, version: Version, accepted_at_ms: UnixMillis) -> EdgeReceipt {
        let applied = self.workers.values().filter(|entry| entry.connected && entry.version >= version);
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
