//! The durable event log: the truth from which everything else follows.
//!
//! A log assigns versions, from 1 on and without a gap, and hands every event to its followers in their
//! order. Nothing here knows what an event means to an edge. Written so that another log (several control
//! planes on one distributed stream) fits the same trait: whoever appends learns the versions from the log,
//! and derived state follows the log, never the appends.

use std::path::PathBuf;

use futures_util::future::BoxFuture;
use portcullis_core::{HashKey, Key, Version};
use prost::Message as _;
use tokio::sync::mpsc;

use crate::clock::UnixMillis;

mod chain;
mod event;
mod lock;
pub mod reports;
mod sqlite;
mod usage;

pub use chain::{Head, HeadError, Verified};
pub use event::{EventError, cutoff_of, selector_of, wire_requirements};
pub use lock::DataDir;
pub use reports::{Push, Reported, Reports, Tried};
pub use sqlite::SqliteLog;
pub use usage::{Disk, Usage};

/// The generated messages of `proto/portcullis/log/v1/log.proto`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications,
    reason = "generated; see `cargo xtask codegen`"
)]
pub mod wire {
    include!("gen/portcullis.log.v1.rs");
}

/// What a log is: append durably, read, follow, compact.
pub trait EventLog: std::fmt::Debug + Send + Sync + 'static {
    /// Which store this is, and the secret under which it hashes.
    fn identity(&self) -> &Identity;

    /// Appends events as one unit and answers once they are durable; all or none are.
    ///
    /// # Errors
    /// When they are not durable: then none of them is in the log.
    fn append(&self, entries: Vec<NewEvent>) -> BoxFuture<'_, Result<Versions, LogError>>;

    /// Everything after a version, then everything that is committed from now on, in order, until it is
    /// dropped.
    ///
    /// # Errors
    /// When the log is closed.
    fn follow(&self, after: Version) -> BoxFuture<'_, Result<Follower, LogError>>;

    /// The events after a version, at most `limit`, in order.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn read(&self, after: Version, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>>;

    /// Revocations with all events about them, in the order of the search: newest first where it says nothing else.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn stories(&self, search: Search) -> BoxFuture<'_, Result<Vec<Story>, LogError>>;

    /// Drops these revocations with the events about them, and superseded sweeps up to `until` or the last
    /// event that was dropped. Versions stay as they are; the caller warrants that what it drops has no effect
    /// on the state after that.
    ///
    /// # Errors
    /// When the log cannot be written.
    fn compact(&self, revocations: Vec<Version>, until: Version) -> BoxFuture<'_, Result<(), LogError>>;

    /// Goes through the hash chain from its start, and, if another head is given, says whether that one was ever this
    /// log's.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn verify(&self, expected: Option<Head>) -> BoxFuture<'_, Result<Verified, LogError>>;

    /// Keeps what edges say of revocations, beside the events, until the revocation is compacted away.
    ///
    /// # Errors
    /// When the log cannot be written; then nothing of it is kept.
    fn keep(&self, reports: Reports) -> BoxFuture<'_, Result<(), LogError>>;

    /// What is kept about these revocations, in their order, each with the `rows` places at which most was tried.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn reported(
        &self,
        revocations: Vec<Version>,
        rows: usize,
    ) -> BoxFuture<'_, Result<Vec<Reported>, LogError>>;

    /// Versions at or below it may be missing events that have no effect any more.
    fn compacted(&self) -> Version;
}

/// Which store, and its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Random, the same for the store's life.
    pub store_id: [u8; 16],
    /// The secret under which selectors are hashed.
    pub hash_key: HashKey,
}

/// An event to be appended, encoded, with what a log finds it by.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    event: wire::Event,
    payload: Vec<u8>,
    key: Option<Key>,
}

impl NewEvent {
    /// `key` is that of a revocation's selector.
    #[must_use]
    pub fn new(event: wire::Event, key: Option<Key>) -> Self {
        Self { payload: event.encode_to_vec(), event, key }
    }

    /// The encoded event.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// The versions that a call to append has been given: `first..=last`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Versions {
    /// Of the first event.
    pub first: Version,
    /// Of the last one.
    pub last: Version,
}

/// An event that is in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// Its position.
    pub version: Version,
    /// The event.
    pub event: wire::Event,
}

/// An event as it is in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Its position.
    pub version: Version,
    /// The encoded event.
    pub payload: Vec<u8>,
}

impl Record {
    /// The event.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn event(&self) -> Result<wire::Event, LogError> {
        wire::Event::decode(self.payload.as_slice())
            .map_err(|error| LogError::Damaged(format!("event {} cannot be read: {error}", self.version)))
    }
}

/// A revocation's event and everything that happened to it since, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Story {
    /// The revocation.
    pub revoked: Record,
    /// The events that refer to it.
    pub since: Vec<Record>,
}

/// Which revocations to read.
#[expect(missing_docs, reason = "the fields are what their variants say")]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Search {
    /// Those with these versions, as far as they are revocations.
    Versions(Vec<Version>),
    /// All below a version, at most `limit`.
    Before { version: Version, limit: usize },
    /// Those of any of these keys below a version, at most `limit`.
    Keys { keys: Vec<Key>, before: Version, limit: usize },
    /// Those accepted in `from_ms..to_ms` and later than a time and version, at most `limit`, oldest first.
    Between { from_ms: UnixMillis, to_ms: UnixMillis, after: (UnixMillis, Version), limit: usize },
}

/// See [`EventLog::follow`]: first the past, then what comes.
#[derive(Debug)]
pub struct Follower {
    /// The last version that was committed when this began: what catching up means.
    pub last: Version,
    history: mpsc::Receiver<Result<Vec<Committed>, LogError>>,
    live: mpsc::Receiver<Vec<Committed>>,
}

impl Follower {
    /// The next events up to `last`, in order; `None` when that was all.
    ///
    /// # Errors
    /// When the log cannot be read on; it ends then.
    pub async fn past(&mut self) -> Option<Result<Vec<Committed>, LogError>> {
        self.history.recv().await
    }

    /// The next events after `last`, in order; `None` when the log has been closed.
    pub async fn next(&mut self) -> Option<Vec<Committed>> {
        self.live.recv().await
    }
}

/// What can go wrong with a log.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LogError {
    /// No space is left, or the configured limit is reached.
    #[error("the log is full: free disk space or raise log.max_bytes")]
    Full,
    /// The disk or the file system failed.
    #[error("the log cannot be read or written: {0}")]
    Io(String),
    /// What is on the disk is not what was written.
    #[error("the log is damaged: {0}")]
    Damaged(String),
    /// The log has been closed.
    #[error("the log is closed")]
    Closed,
}

/// Why a log cannot be opened. Nothing has been changed then.
#[expect(missing_docs, reason = "the fields are what the message says")]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another portcullis{}", path.display(), pid.map_or(String::new(), |pid| format!(" (process {pid})")))]
    Locked { path: PathBuf, pid: Option<u32> },
    /// The directory cannot be made or locked.
    #[error("cannot use {}: {error}", path.display())]
    Directory { path: PathBuf, error: String },
    /// The file is something else.
    #[error("{} is not a Portcullis log: {error}; move it away or choose another data_dir", path.display())]
    Foreign { path: PathBuf, error: String },
    /// A build before the first release has written it.
    #[error("{} was written by a build before the first release (format {found}), which no release reads; move it away, and import what it revoked", path.display())]
    Older { path: PathBuf, found: u32 },
    /// A later release has written it.
    #[error("{} was written by a later release (format {found}, this release reads up to {known}); use that release", path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    /// The disk, the file system or the memory does not allow it; what is stored may well be whole.
    #[error("{} cannot be read now: {error}; what is stored is left as it is", path.display())]
    Unreadable { path: PathBuf, error: String },
    /// What is in it cannot be right.
    #[error("{} is damaged: {error}; restore data_dir from a backup, or move it away and start with an empty one (the edges then drop what was revoked)", path.display())]
    Damaged { path: PathBuf, error: String },
}
