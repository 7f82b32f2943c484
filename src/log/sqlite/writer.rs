//! The one thread that writes: takes everything that waits into one transaction.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_core::Version;
use prost::Message as _;
use rusqlite::{Connection, Transaction};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::row::{Columns, checksum, from_sql, to_sql};
use super::{failure, open, reports, schema};
use crate::log::wire::event::Event as Body;
use crate::log::{Committed, Head, LogError, NewEvent, Reports, Versions, wire};

/// What the thread is asked to do.
pub(super) enum Command {
    Append {
        entries: Vec<NewEvent>,
        done: oneshot::Sender<Result<Versions, LogError>>,
    },
    /// Answers the last version; everything after it goes to the follower.
    Follow {
        live: mpsc::Sender<Vec<Committed>>,
        done: oneshot::Sender<Version>,
    },
    Compact {
        revocations: Vec<Version>,
        until: Version,
        done: oneshot::Sender<Result<(), LogError>>,
    },
    Keep {
        reports: Reports,
        done: oneshot::Sender<Result<(), LogError>>,
    },
}

type Waiting = (Vec<NewEvent>, oneshot::Sender<Result<Versions, LogError>>);

/// Most events in one transaction, so that nobody waits for a very long one.
const MAX_GROUP: usize = 4_096;

pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) max_bytes: u64,
    pub(super) last: Version,
    pub(super) chain: Head,
    pub(super) compacted: Arc<AtomicU64>,
    /// Opened by the first write: a log that is only read stays as it is.
    pub(super) connection: Option<Connection>,
    pub(super) followers: Vec<mpsc::Sender<Vec<Committed>>>,
}

impl Writer {
    /// Works until every sender is gone, then closes the database.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut next = commands.blocking_recv();
        while let Some(command) = next {
            next = None;
            match command {
                Command::Append { entries, done } => {
                    let mut size = entries.len();
                    let mut group = vec![(entries, done)];
                    while size < MAX_GROUP {
                        match commands.try_recv() {
                            Ok(Command::Append { entries, done }) => {
                                size += entries.len();
                                group.push((entries, done));
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.append(group);
                }
                Command::Follow { live, done } => {
                    self.followers.push(live);
                    // Whoever asked may have gone; the follower is then found closed.
                    let _ = done.send(self.last);
                }
                Command::Compact { revocations, until, done } => {
                    let result = self.compact(&revocations, until).map_err(|error| failure(&error));
                    let _ = done.send(result);
                }
                Command::Keep { reports, done } => {
                    let result = self.keep(&reports).map_err(|error| failure(&error));
                    let _ = done.send(result);
                }
            }
            if next.is_none() {
                next = commands.blocking_recv();
            }
        }
        if let Some(Err((_, error))) = self.connection.take().map(Connection::close) {
            error!(%error, "the log could not be closed cleanly; nothing is lost");
        }
    }

    // One commit for all of them. When it fails, each alone: one that is too large must not fail the others.
    fn append(&mut self, group: Vec<Waiting>) {
        let batches: Vec<&[NewEvent]> = group.iter().map(|(entries, _)| entries.as_slice()).collect();
        match self.commit(&batches) {
            Ok(versions) => {
                let mut committed = Vec::with_capacity(group.iter().map(|(entries, _)| entries.len()).sum());
                let mut answers = Vec::with_capacity(group.len());
                for ((entries, done), versions) in group.into_iter().zip(versions) {
                    let events = (versions.first..).zip(entries);
                    committed
                        .extend(events.map(|(version, entry)| Committed { version, event: entry.event }));
                    answers.push((done, versions));
                }
                self.tell(committed);
                for (done, versions) in answers {
                    let _ = done.send(Ok(versions));
                }
            }
            Err(error) if group.len() == 1 => {
                error!(%error, "an append failed; nothing of it is stored");
                for (_, done) in group {
                    let _ = done.send(Err(failure(&error)));
                }
            }
            Err(_) => group.into_iter().for_each(|waiting| self.append(vec![waiting])),
        }
    }

    fn commit(&mut self, batches: &[&[NewEvent]]) -> rusqlite::Result<Vec<Versions>> {
        let (mut last, mut chain) = (self.last, self.chain);
        let mut versions = Vec::with_capacity(batches.len());
        let transaction = self.connection()?.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO events(version, at_ms, kind, revocation, selector, checksum, payload)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for batch in batches {
                let first = last + 1;
                for entry in *batch {
                    last += 1;
                    let Columns { at_ms, kind, revocation, selector } = Columns::of(entry);
                    let payload = entry.payload();
                    let sum = checksum(last, payload);
                    chain = chain.after(&Head::digest(payload));
                    insert.execute((to_sql(last), at_ms, kind, revocation, selector, sum, payload))?;
                }
                versions.push(Versions { first, last });
            }
        }
        set_meta(&transaction, schema::CHAIN, &chain.to_bytes())?;
        transaction.commit()?;
        (self.last, self.chain) = (last, chain);
        Ok(versions)
    }

    // Waits for a follower that is behind: it derives what this process answers, so writing faster than it
    // reads would gain nothing.
    fn tell(&mut self, mut committed: Vec<Committed>) {
        let mut left = self.followers.len();
        self.followers.retain(|follower| {
            left -= 1;
            // The last one, who is mostly the only one, needs no copy.
            let committed = if left == 0 { std::mem::take(&mut committed) } else { committed.clone() };
            follower.blocking_send(committed).is_ok()
        });
    }

    fn compact(&mut self, revocations: &[Version], until: Version) -> rusqlite::Result<()> {
        // What becomes of a revocation may be told long after it: above all of it, no version is missing.
        let mut compacted = until.max(self.compacted.load(Ordering::Acquire));
        let transaction = self.connection()?.transaction()?;
        {
            let mut delete = transaction.prepare_cached(
                "DELETE FROM events WHERE version = ?1 OR revocation = ?1 RETURNING version, payload",
            )?;
            for version in revocations {
                let mut gone = delete.query([to_sql(*version)])?;
                while let Some(row) = gone.next()? {
                    let (version, payload): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
                    compacted = compacted.max(from_sql(version));
                    remember(&transaction, version, &payload)?;
                }
            }
        }
        reports::drop_about(&transaction, revocations)?;
        drop_sweeps(&transaction, compacted)?;
        fold(&transaction)?;
        set_meta(&transaction, schema::COMPACTED, &compacted.to_be_bytes())?;
        transaction.commit()?;
        self.compacted.store(compacted, Ordering::Release);
        Ok(())
    }

    fn keep(&mut self, reports: &Reports) -> rusqlite::Result<()> {
        let transaction = self.connection()?.transaction()?;
        reports::keep(&transaction, reports)?;
        transaction.commit()
    }

    fn connection(&mut self) -> rusqlite::Result<&mut Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open::writer(&self.path, self.max_bytes)?,
        };
        Ok(self.connection.insert(connection))
    }
}

fn set_meta(transaction: &Transaction<'_>, key: &str, value: &[u8]) -> rusqlite::Result<()> {
    let mut update = transaction.prepare_cached("UPDATE meta SET value = ?2 WHERE key = ?1")?;
    update.execute((key, value)).map(drop)
}

/// Keeps of a dropped event what the hash chain needs.
fn remember(transaction: &Transaction<'_>, version: i64, payload: &[u8]) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached("INSERT INTO dropped VALUES (?1, ?2)")?;
    insert.execute((version, Head::digest(payload))).map(drop)
}

/// Keeps of the dropped events before the first that is left only the link that they lead to.
fn fold(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut base = Head::from_bytes(open::meta(transaction, schema::BASE)?);
    let first: Option<i64> =
        transaction.query_row("SELECT min(version) FROM events", [], |row| row.get(0))?;
    let mut select = transaction
        .prepare_cached("SELECT version, digest FROM dropped WHERE version < ?1 ORDER BY version")?;
    let mut rows = select.query([first.unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        // A gap is for `verify` to find, not to be hidden.
        if from_sql(row.get(0)?) != base.version + 1 {
            break;
        }
        base = base.after(&row.get(1)?);
    }
    transaction.execute("DELETE FROM dropped WHERE version <= ?1", [to_sql(base.version)])?;
    set_meta(transaction, schema::BASE, &base.to_bytes())
}

/// Drops every sweep up to `until` that is followed there by one that does all that it did: with the clock
/// set back in between, that need not be the last one.
fn drop_sweeps(transaction: &Transaction<'_>, until: Version) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare_cached("DELETE FROM events WHERE version = ?1")?;
    let mut select = transaction.prepare_cached(
        // The kind as it stands in the index `sweeps`: without that this would read every event.
        "SELECT version, payload FROM events WHERE kind = 13 AND version <= ?1 ORDER BY version DESC",
    )?;
    let mut rows = select.query([to_sql(until)])?;
    let (mut done, mut superseded) = (None, Vec::new());
    while let Some(row) = rows.next()? {
        let (version, payload): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        // One that cannot be read stays, for the next start to find.
        let Ok(wire::Event { event: Some(Body::Swept(swept)), .. }) = wire::Event::decode(payload.as_slice())
        else {
            continue;
        };
        if done.is_some_and(|done| swept.until <= done) {
            superseded.push((version, payload));
        } else {
            done = Some(swept.until);
        }
    }
    for (version, payload) in superseded {
        delete.execute([version])?;
        remember(transaction, version, &payload)?;
    }
    Ok(())
}
