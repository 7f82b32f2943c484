//! Which edges there are, what each worker enforces, and since when.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_core::Version;
use tokio::sync::watch;
use tokio::time::Instant;

use super::hello::Hello;
use crate::clock::UnixMillis;
use crate::control::{EdgeReceipt, EdgeStatus, Edges, Receipts, RefusedSet};

mod enforced;
mod gone;
mod report;
#[cfg(test)]
mod tests;

pub use enforced::Enforced;
use enforced::Slowest;
use gone::Gone;

/// Receipts that are remembered per worker, for the time that a version took.
const RECEIPTS: usize = 16;
/// Edges that are remembered after they have gone; beyond it the one gone longest is forgotten.
const MAX_GONE: usize = 10_000;
/// How long a worker that is gone may yet come back: longer than an edge waits between two attempts. Until
/// then it is taken to go on serving with what it had.
const GRACE_MS: UnixMillis = 15_000;
/// Workers that may yet come back; beyond it the one gone longest is given up.
const MAX_LOST: usize = 10_000;
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
    slowest: Slowest,
    // Edges without a connected worker.
    gone: Gone,
    // Workers that may yet come back, by process and worker, the one gone longest first.
    lost: BTreeSet<(UnixMillis, String, String)>,
    last_stream: u64,
    // Nobody will come back to this process.
    closed: bool,
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
    gone_since_ms: Option<UnixMillis>,
    version: Version,
    receipts: VecDeque<(Version, UnixMillis)>,
    revocations: u64,
    refused: Option<RefusedSet>,
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
        inner.settle(now_ms);
        if !hello.node.is_empty() && !inner.edges.contains_key(&hello.process) {
            inner.supersede(&hello.node);
        }
        let Inner { edges, positions, slowest, gone, lost, .. } = &mut *inner;
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
        if let Some(since_ms) = edge.gone_since_ms.take() {
            gone.remove(since_ms, &hello.process);
            // Those that are given up were kept only to be shown.
            edge.workers.retain(|_, entry| {
                entry.gone_since_ms.is_none_or(|since| since.saturating_add(GRACE_MS) > now_ms)
            });
        }
        let entry = Entry {
            stream,
            gone_since_ms: None,
            version,
            receipts: VecDeque::new(),
            revocations: 0,
            refused: hello.refused,
            connected_since_ms: now_ms,
            last_contact_ms: now_ms,
            rejections: BTreeMap::new(),
        };
        match edge.workers.insert(hello.worker.clone(), entry) {
            Some(Entry { gone_since_ms: Some(since), .. }) => {
                lost.remove(&(since, hello.process.clone(), hello.worker.clone()));
            }
            Some(before) => leave(positions, before.version),
            None => {}
        }
        *positions.entry(version).or_default() += 1;
        slowest.note(positions, now_ms);
        drop(inner);
        self.tell();
        Worker { process: hello.process.clone(), worker: hello.worker.clone(), stream }
    }

    /// A worker's stream has ended. Whether it was the edge's last.
    pub(super) fn disconnect(&self, worker: &Worker, now_ms: UnixMillis) -> bool {
        let mut inner = self.lock();
        let Inner { edges, positions, slowest, gone, lost, .. } = &mut *inner;
        let Some(edge) = edges.get_mut(&worker.process) else { return false };
        let Some(entry) = edge.workers.get_mut(&worker.worker).filter(|entry| entry.stream == worker.stream)
        else {
            return false;
        };
        entry.gone_since_ms = Some(now_ms);
        leave(positions, entry.version);
        slowest.note(positions, now_ms);
        lost.insert((now_ms, worker.process.clone(), worker.worker.clone()));
        let last = !edge.workers.values().any(Entry::is_connected);
        if last {
            edge.gone_since_ms = Some(now_ms);
            gone.insert(now_ms, &worker.process, &edge.node);
            while gone.len() > MAX_GONE
                && let Some(process) = gone.pop_first()
            {
                edges.remove(&process);
            }
        }
        inner.settle(now_ms);
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
        let Inner { edges, positions, slowest, .. } = &mut *inner;
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
            slowest.note(positions, now_ms);
            entry.version = version;
            // It has taken a set since. Of the old one it also says what that has rejected.
            entry.refused = None;
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
        while gone.first_ms().is_some_and(|since_ms| since_ms < before_ms)
            && let Some(process) = gone.pop_first()
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
    pub fn report(&self, version: Version, now_ms: UnixMillis) -> Edges {
        let mut inner = self.lock();
        inner.settle(now_ms);
        let mut edges: Vec<EdgeStatus> =
            inner.edges.iter().map(|(process, edge)| edge.status(process, version)).collect();
        edges.sort_by(|one, other| (&one.node, &one.process).cmp(&(&other.node, &other.process)));
        Edges { version, edges }
    }

    /// Waits until every worker enforces a version, or the time is up. A worker that is gone is waited for as
    /// long as it may come back. Then, while its edge has others, it is a VM that is no more; an edge that is
    /// gone as a whole may be cut off and serve requests all the same: it is pending.
    pub async fn wait(&self, version: Version, accepted_at_ms: UnixMillis, timeout: Duration) -> Receipts {
        let began = Instant::now();
        let now_ms = || {
            let waited = UnixMillis::try_from(began.elapsed().as_millis()).unwrap_or_default();
            accepted_at_ms.saturating_add(waited)
        };
        let mut changed = self.changed.subscribe();
        let applied = async {
            while let Some(given_up) = self.missing(version, now_ms()) {
                tokio::select! {
                    changed = changed.changed() => if changed.is_err() { break },
                    () = tokio::time::sleep(given_up) => {}
                }
            }
        };
        // What has come by then is the answer, all or not.
        let _ = tokio::time::timeout(timeout, applied).await;
        let mut inner = self.lock();
        inner.settle(now_ms());
        let (concerned, gone): (Vec<_>, Vec<_>) = inner.edges.iter().partition(|(_, edge)| {
            edge.gone_since_ms.is_none_or(|since_ms| since_ms.saturating_add(GRACE_MS) >= accepted_at_ms)
        });
        let mut gone: Vec<String> = gone.into_iter().map(|(_, edge)| edge.node.clone()).collect();
        gone.sort_unstable();
        let mut edges: Vec<EdgeReceipt> = concerned
            .into_iter()
            .map(|(process, edge)| edge.receipt(process, version, accepted_at_ms))
            .collect();
        edges.sort_by(|one, other| (&one.node, &one.process).cmp(&(&other.node, &other.process)));
        let applied = edges.iter().filter(|edge| edge.applied()).count();
        Receipts { applied, pending: edges.len() - applied, edges, gone }
    }

    /// The process ends: whoever waits gets what there is.
    pub fn close(&self) {
        self.lock().closed = true;
        self.tell();
    }

    /// While a worker lacks a version: the time until the next one that is gone is given up.
    fn missing(&self, version: Version, now_ms: UnixMillis) -> Option<Duration> {
        /// Nobody is gone: something will be told before.
        const LONG: Duration = Duration::from_secs(3_600);
        let mut inner = self.lock();
        inner.settle(now_ms);
        let lacks = |(_, process, worker): &(UnixMillis, String, String)| {
            let entry = inner.edges.get(process).and_then(|edge| edge.workers.get(worker));
            entry.is_some_and(|entry| entry.version < version)
        };
        let connected_lack = inner.positions.first_key_value().is_some_and(|(slowest, _)| *slowest < version);
        if inner.closed || (!connected_lack && !inner.lost.iter().any(lacks)) {
            return None;
        }
        let first = inner.lost.first().map(|(since_ms, ..)| since_ms.saturating_add(GRACE_MS));
        Some(first.map_or(LONG, |given_up| Duration::from_millis(given_up.saturating_sub(now_ms).max(1))))
    }

    // Nothing that can fail half-way happens under the lock.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Inner {
    /// A new process of this node has come: those that have gone before it were restarted, and nobody waits for them.
    fn supersede(&mut self, node: &str) {
        for process in self.gone.of(node) {
            if let Some(since_ms) = self.edges.remove(&process).and_then(|edge| edge.gone_since_ms) {
                self.gone.remove(since_ms, &process);
            }
            self.lost.retain(|(_, lost, _)| *lost != process);
        }
    }

    /// Gives up the workers that have been gone for too long to come back. What an edge had before it went as
    /// a whole stays to be shown.
    fn settle(&mut self, now_ms: UnixMillis) {
        let Self { edges, lost, .. } = self;
        while lost
            .first()
            .is_some_and(|(since, ..)| since.saturating_add(GRACE_MS) <= now_ms || lost.len() > MAX_LOST)
            && let Some((since, process, worker)) = lost.pop_first()
        {
            let edge = edges.get_mut(&process).filter(|edge| edge.gone_since_ms.is_none());
            if let Some(edge) = edge
                && edge.workers.get(&worker).is_some_and(|entry| entry.gone_since_ms == Some(since))
            {
                edge.workers.remove(&worker);
            }
        }
    }
}

impl Entry {
    fn is_connected(&self) -> bool {
        self.gone_since_ms.is_none()
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
