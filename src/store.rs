//! The state with its feed, under one lock, and the task that keeps them up with the log.
//!
//! The task follows the log, not the appends: whoever appends waits until its version has been applied. So
//! another writer of the same log is seen in the same way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_core::wire::edge::Position;
use portcullis_core::{Key, Shape, Version};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tracing::{error, info};

use crate::clock::UnixMillis;
use crate::edge::codec::Framed;
use crate::feed::{Feed, Start, Update};
use crate::log::wire::event::Event as Body;
use crate::log::{Committed, EventLog, Follower, LogError, NewEvent, Versions};
use crate::metrics::Metrics;
use crate::state::State;

/// The log, what follows from it, and the subscribers.
#[derive(Debug)]
pub struct Store<L: ?Sized = dyn EventLog> {
    inner: Mutex<Inner>,
    applied: watch::Sender<Version>,
    // The version in which an API key was last deleted.
    key_deleted: watch::Sender<Version>,
    metrics: Metrics,
    log: L,
}

#[derive(Debug)]
struct Inner {
    state: State,
    feed: Feed,
    // The last versions that were applied together, with the time of the newest.
    accepted: VecDeque<(Version, UnixMillis)>,
    // Versions with revocations that were applied together and that nobody has taken yet.
    pushed: Vec<(Version, Version, UnixMillis)>,
    failed: Option<LogError>,
}

/// Batches whose time of acceptance is remembered.
const ACCEPTED: usize = 256;
/// Pushes that wait to be taken; beyond it the newest grows.
const MAX_PUSHED: usize = 4_096;

/// How a feed is set up; see [`crate::config::Feed`] and [`crate::config::Edge`].
#[derive(Clone, Copy, Debug)]
pub struct FeedSettings {
    /// Changes kept in memory.
    pub history: usize,
    /// Longest silence.
    pub heartbeat_ms: u32,
}

impl Store {
    /// Reads the log to its end, then keeps up with it until the returned task ends: when the log is closed,
    /// or with an error when it cannot be read on.
    ///
    /// # Errors
    /// When the log cannot be read, or holds what this release does not understand.
    pub async fn start(
        log: impl EventLog,
        feed: FeedSettings,
        metrics: Metrics,
    ) -> Result<(Arc<Self>, JoinHandle<()>), LogError> {
        let identity = log.identity().clone();
        let feed = Feed::new(identity.store_id, log.compacted(), feed.history, feed.heartbeat_ms);
        let inner = Inner {
            state: State::new(identity.hash_key),
            feed,
            accepted: VecDeque::new(),
            pushed: Vec::new(),
            failed: None,
        };
        let mut follower = log.follow(0).await?;
        let store: Arc<Self> = Arc::new(Store {
            inner: Mutex::new(inner),
            applied: watch::Sender::new(0),
            key_deleted: watch::Sender::new(0),
            metrics,
            log,
        });
        let last = follower.last;
        while let Some(committed) = follower.past().await {
            store.apply(committed?)?;
        }
        // What was pushed by another process is that one's to watch.
        store.lock().pushed.clear();
        // What compaction has taken from the end of the log is not missed.
        store.lock().state.advance(last);
        store.metrics.version.set(i64::try_from(last).unwrap_or(i64::MAX));
        store.applied.send_replace(last);
        info!(
            version = last,
            revocations = store.read(|state| state.ledger().len()),
            "the log has been read"
        );
        let task = tokio::spawn(Arc::clone(&store).keep_up(follower));
        Ok((store, task))
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &dyn EventLog {
        &self.log
    }

    /// Appends events and waits until they are in force here.
    ///
    /// # Errors
    /// When they are not durable; then none of them is in the log. Or when this process cannot read its own
    /// log any more.
    pub async fn append(&self, entries: Vec<NewEvent>) -> Result<Versions, LogError> {
        if let Some(error) = self.failed() {
            return Err(error);
        }
        let events = entries.len() as u64;
        let versions = self.log.append(entries).await.inspect_err(|_| {
            self.metrics.append_failures.inc();
        })?;
        self.metrics.appends.inc();
        self.metrics.events.inc_by(events);
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|version| *version >= versions.last || self.failed().is_some()).await;
        match (reached.is_ok(), self.failed()) {
            (true, None) => Ok(versions),
            (_, error) => Err(error.unwrap_or(LogError::Closed)),
        }
    }

    /// Looks at the state. `look` runs under the lock: it must be short.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock().state)
    }

    /// The version that is in force.
    #[must_use]
    pub fn version(&self) -> Version {
        self.read(State::version)
    }

    /// Changes whenever an API key has been deleted.
    #[must_use]
    pub fn key_deletions(&self) -> watch::Receiver<Version> {
        self.key_deleted.subscribe()
    }

    /// Why this process does not keep up with its log any more.
    #[must_use]
    pub fn failed(&self) -> Option<LogError> {
        self.lock().failed.clone()
    }

    /// When a version was accepted, if that is not long ago.
    #[must_use]
    pub fn accepted_at(&self, version: Version) -> Option<UnixMillis> {
        let accepted = &self.lock().accepted;
        let at = accepted.partition_point(|(last, _)| *last < version);
        accepted.get(at).map(|(_, at_ms)| *at_ms)
    }

    /// The versions with revocations that have been applied together since the last call: the first, the last, and when
    /// they were accepted.
    #[must_use]
    pub fn take_pushed(&self) -> Vec<(Version, Version, UnixMillis)> {
        std::mem::take(&mut self.lock().pushed)
    }

    /// Starts a subscriber.
    #[must_use]
    pub fn subscribe(&self, position: Option<&Position>) -> Start {
        let Inner { state, feed, .. } = &mut *self.lock();
        feed.start(state, position)
    }

    /// What a subscriber that has fallen behind has missed, and where the rest comes from; `None` when that is
    /// not known any more.
    #[must_use]
    pub fn catch_up(&self, version: Version) -> Option<(Arc<Update>, broadcast::Receiver<Arc<Update>>)> {
        let Inner { state, feed, .. } = &mut *self.lock();
        feed.missed(state, version).map(|update| (Arc::new(update), feed.updates()))
    }

    /// The heartbeat for a subscriber at that version; `None` when there is something newer to send instead.
    #[must_use]
    pub fn heartbeat(&self, version: Version) -> Option<Framed> {
        self.read(|state| (state.version() == version).then(|| Feed::heartbeat(state)))
    }

    async fn keep_up(self: Arc<Self>, mut follower: Follower) {
        while let Some(committed) = follower.next().await {
            if let Err(error) = self.apply(committed) {
                error!(%error, "the log cannot be followed any more");
                self.lock().failed = Some(error);
                break;
            }
        }
        // Wakes whoever waits for a version that will not come.
        self.applied.send_modify(|_| {});
    }

    fn apply(&self, events: Vec<Committed>) -> Result<(), LogError> {
        let Some(Committed { version: last, event: newest }) = events.last() else { return Ok(()) };
        let (last, accepted_at_ms) = (*last, UnixMillis::try_from(newest.at_ms).unwrap_or_default());
        let revokes =
            events.iter().any(|Committed { event, .. }| matches!(event.event, Some(Body::Revoked(_))));
        let deletes = |Committed { event, .. }: &&Committed| matches!(event.event, Some(Body::KeyDeleted(_)));
        let deleted = events.iter().rfind(deletes).map(|committed| committed.version);
        let mut inner = self.lock();
        let Inner { state, feed, accepted, pushed, .. } = &mut *inner;
        let from = state.version();
        let (mut changed, mut shapes): (Vec<Key>, Vec<Shape>) = (Vec::new(), Vec::new());
        for Committed { version, event } in events {
            let effect = state.apply(version, event).map_err(|error| LogError::Damaged(error.to_string()))?;
            feed.record(version, &effect.changed);
            changed.extend(effect.changed);
            shapes.extend(effect.shapes);
        }
        accepted.push_back((last, accepted_at_ms));
        if accepted.len() > ACCEPTED {
            accepted.pop_front();
        }
        if revokes {
            let is_full = pushed.len() >= MAX_PUSHED;
            match pushed.last_mut().filter(|_| is_full) {
                Some(newest) => newest.1 = last,
                None => pushed.push((from + 1, last, accepted_at_ms)),
            }
        }
        if feed.publish(state, from, changed, &shapes, accepted_at_ms) {
            self.metrics.deltas.inc();
        }
        self.metrics.revocations.set(i64::try_from(state.ledger().len()).unwrap_or(i64::MAX));
        self.metrics.version.set(i64::try_from(last).unwrap_or(i64::MAX));
        // Whoever waits looks at `failed` while it holds the channel: the lock must be free by now.
        drop(inner);
        if let Some(version) = deleted {
            self.key_deleted.send_replace(version);
        }
        self.applied.send_replace(last);
        Ok(())
    }

    // A panic under the lock would be a bug in core; what it left is still better than refusing everybody.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
