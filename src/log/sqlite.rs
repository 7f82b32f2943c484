//! The embedded log, on SQLite: one thread that writes, one that reads, and nothing else touches the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use portcullis_core::Version;
use rusqlite::ErrorCode;
use tokio::sync::{mpsc, oneshot};

use super::{
    DataDir, EventLog, Follower, Head, Identity, LogError, NewEvent, OpenError, Record, Reported, Reports,
    Search, Story, Verified, Versions,
};

mod open;
mod reader;
mod reports;
mod row;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use reader::Query;
use writer::{Command, Writer};

/// Calls that may wait for a thread before callers wait to call.
const QUEUE: usize = 1_024;
/// The database in the data directory.
pub(super) const DATABASE: &str = schema::FILE;
/// Batches that may wait for a follower.
const FOLLOW_QUEUE: usize = 64;

/// A log in a data directory. Closed when it is dropped.
#[derive(Debug)]
pub struct SqliteLog {
    path: std::path::PathBuf,
    identity: Identity,
    compacted: Arc<AtomicU64>,
    commands: mpsc::Sender<Command>,
    queries: mpsc::Sender<Query>,
    // A verification takes its time, and searches need not wait for it.
    verifications: mpsc::Sender<Query>,
    reader: Option<JoinHandle<()>>,
    verifier: Option<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
    // Last, so that the directory is free only when the threads have ended.
    _dir: DataDir,
}

impl SqliteLog {
    /// Opens the log in a directory, or makes one. Blocks; reads the whole file to check it.
    ///
    /// `max_bytes` bounds the file, 0 does not.
    ///
    /// # Errors
    /// When the file is another program's, of a later release, or damaged. Nothing is changed then.
    pub fn open(dir: DataDir, max_bytes: u64) -> Result<Self, OpenError> {
        let checked = open::open(&dir)?;
        let compacted = Arc::new(AtomicU64::new(checked.compacted));
        let (commands, to_write) = mpsc::channel(QUEUE);
        let (queries, to_read) = mpsc::channel(QUEUE);
        let (verifications, to_verify) = mpsc::channel(QUEUE);
        let writer = Writer {
            path: checked.path.clone(),
            max_bytes,
            last: checked.last,
            chain: checked.chain,
            compacted: Arc::clone(&compacted),
            connection: None,
            followers: Vec::new(),
        };
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.into())
                .spawn(work)
                .map_err(|error| OpenError::Directory { path: dir.path().into(), error: error.to_string() })
        };
        let reads = |queries| {
            let path = checked.path.clone();
            Box::new(move || reader::run(&path, queries))
        };
        let reader = spawn("log-reader", reads(to_read))?;
        let verifier = spawn("log-verifier", reads(to_verify))?;
        let writer = spawn("log-writer", Box::new(move || writer.run(to_write)))?;
        Ok(Self {
            path: checked.path,
            identity: checked.identity,
            compacted,
            commands,
            queries,
            verifications,
            reader: Some(reader),
            verifier: Some(verifier),
            writer: Some(writer),
            _dir: dir,
        })
    }

    async fn command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Command,
    ) -> Result<T, LogError> {
        let (done, answer) = oneshot::channel();
        self.commands.send(command(done)).await.map_err(|_| LogError::Closed)?;
        answer.await.map_err(|_| LogError::Closed)?
    }

    async fn query<T>(
        queries: &mpsc::Sender<Query>,
        query: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Query,
    ) -> Result<T, LogError> {
        let (done, answer) = oneshot::channel();
        queries.send(query(done)).await.map_err(|_| LogError::Closed)?;
        answer.await.map_err(|_| LogError::Closed)?
    }

    async fn start_following(&self, after: Version) -> Result<Follower, LogError> {
        let (to_live, live) = mpsc::channel(FOLLOW_QUEUE);
        let (to_history, history) = mpsc::channel(FOLLOW_QUEUE);
        let (done, answer) = oneshot::channel();
        // Live first: what is committed while the history is read waits, and nothing falls between.
        self.commands.send(Command::Follow { live: to_live, done }).await.map_err(|_| LogError::Closed)?;
        let last = answer.await.map_err(|_| LogError::Closed)?;
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || reader::replay(&path, after, last, &to_history));
        Ok(Follower { last, history, live })
    }
}

impl EventLog for SqliteLog {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn append(&self, entries: Vec<NewEvent>) -> BoxFuture<'_, Result<Versions, LogError>> {
        self.command(|done| Command::Append { entries, done }).boxed()
    }

    fn follow(&self, after: Version) -> BoxFuture<'_, Result<Follower, LogError>> {
        self.start_following(after).boxed()
    }

    fn read(&self, after: Version, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        Self::query(&self.queries, move |done| Query::Read { after, limit, done }).boxed()
    }

    fn stories(&self, search: Search) -> BoxFuture<'_, Result<Vec<Story>, LogError>> {
        Self::query(&self.queries, |done| Query::Stories { search, done }).boxed()
    }

    fn compact(&self, revocations: Vec<Version>, until: Version) -> BoxFuture<'_, Result<(), LogError>> {
        self.command(move |done| Command::Compact { revocations, until, done }).boxed()
    }

    fn keep(&self, reports: Reports) -> BoxFuture<'_, Result<(), LogError>> {
        self.command(|done| Command::Keep { reports, done }).boxed()
    }

    fn reported(
        &self,
        revocations: Vec<Version>,
        rows: usize,
    ) -> BoxFuture<'_, Result<Vec<Reported>, LogError>> {
        Self::query(&self.queries, move |done| Query::Reported { revocations, rows, done }).boxed()
    }

    fn verify(&self, expected: Option<Head>) -> BoxFuture<'_, Result<Verified, LogError>> {
        Self::query(&self.verifications, move |done| Query::Verify { expected, done }).boxed()
    }

    fn compacted(&self) -> Version {
        self.compacted.load(Ordering::Acquire)
    }
}

impl Drop for SqliteLog {
    // Returns when the last commit is in the file and the file is closed. The writer is the last to close it,
    // because a connection that cannot write would leave the write-ahead log behind.
    fn drop(&mut self) {
        (self.queries, self.verifications) = (mpsc::channel(1).0, mpsc::channel(1).0);
        let _ = self.reader.take().map(JoinHandle::join);
        let _ = self.verifier.take().map(JoinHandle::join);
        self.commands = mpsc::channel(1).0;
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

/// What an error of SQLite means to whoever called.
fn failure(error: &rusqlite::Error) -> LogError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => LogError::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => LogError::Damaged(error.to_string()),
        _ => LogError::Io(error.to_string()),
    }
}
