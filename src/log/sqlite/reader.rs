//! Reading: a thread of its own, so that no append waits for a search.

use std::path::Path;

use portcullis_core::Version;
use portcullis_core::key::KEY_BYTES;
use rusqlite::{Connection, Params};
use tokio::sync::{mpsc, oneshot};

use super::row::{self, to_sql};
use super::{failure, open, reports, schema};
use crate::log::{Committed, Head, LogError, Record, Reported, Search, Story, Verified};

/// What the thread is asked to do.
pub(super) enum Query {
    Read {
        after: Version,
        limit: usize,
        done: oneshot::Sender<Result<Vec<Record>, LogError>>,
    },
    Stories {
        search: Search,
        done: oneshot::Sender<Result<Vec<Story>, LogError>>,
    },
    Reported {
        revocations: Vec<Version>,
        rows: usize,
        done: oneshot::Sender<Result<Vec<Reported>, LogError>>,
    },
    Verify {
        expected: Option<Head>,
        done: oneshot::Sender<Result<Verified, LogError>>,
    },
}

/// Records in one step of a replay.
const REPLAY_BATCH: usize = 1_024;

/// Works until every sender is gone.
pub(super) fn run(path: &Path, mut queries: mpsc::Receiver<Query>) {
    let mut connection = None;
    while let Some(query) = queries.blocking_recv() {
        // Whoever asked may have gone.
        match query {
            Query::Read { after, limit, done } => {
                let _ = done.send(
                    connect(&mut connection, path).and_then(|connection| read(connection, after, limit)),
                );
            }
            Query::Stories { search, done } => {
                let _ = done
                    .send(connect(&mut connection, path).and_then(|connection| stories(connection, &search)));
            }
            Query::Reported { revocations, rows, done } => {
                let _ = done.send(connect(&mut connection, path).and_then(|connection| {
                    reports::about(connection, &revocations, rows).map_err(|error| failure(&error))
                }));
            }
            Query::Verify { expected, done } => {
                let verified = verify(path, expected, || !done.is_closed());
                let _ = done.send(verified);
            }
        }
    }
}

/// Streams the events in `after + 1 ..= last` in order, and checks that none is missing but by
/// compaction.
pub(super) fn replay(
    path: &Path,
    after: Version,
    last: Version,
    to: &mpsc::Sender<Result<Vec<Committed>, LogError>>,
) {
    let stream = || -> Result<(), LogError> {
        let failed = |error: rusqlite::Error| failure(&error);
        let mut connection = open::reader(path).map_err(failed)?;
        // One view of both, so that a compaction in between takes nothing away unseen.
        let connection = connection.transaction().map_err(failed)?;
        let compacted = u64::from_be_bytes(open::meta(&connection, schema::COMPACTED).map_err(failed)?);
        let mut select = connection
            .prepare(
                "SELECT version, checksum, payload FROM events WHERE version > ?1 AND version <= ?2 ORDER BY version",
            )
            .map_err(failed)?;
        let mut rows = select.query([to_sql(after), to_sql(last)]).map_err(failed)?;
        let (mut previous, mut batch) = (after, Vec::new());
        while let Some(row) = rows.next().map_err(failed)? {
            let record = row::record(row)?;
            if record.version > compacted.max(previous) + 1 {
                return Err(LogError::Damaged(format!("event {} is missing", compacted.max(previous) + 1)));
            }
            previous = record.version;
            batch.push(Committed { version: record.version, event: record.event()? });
            if batch.len() == REPLAY_BATCH && to.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
                return Ok(());
            }
        }
        if previous.max(compacted) < last {
            return Err(LogError::Damaged(format!("event {last} is missing")));
        }
        // Nobody may be listening any more.
        let _ = to.blocking_send(Ok(batch));
        Ok(())
    };
    if let Err(error) = stream() {
        let _ = to.blocking_send(Err(error));
    }
}

fn connect<'a>(connection: &'a mut Option<Connection>, path: &Path) -> Result<&'a Connection, LogError> {
    let open = match connection.take() {
        Some(connection) => connection,
        None => open::reader(path).map_err(|error| failure(&error))?,
    };
    Ok(connection.insert(open))
}

fn read(connection: &Connection, after: Version, limit: usize) -> Result<Vec<Record>, LogError> {
    let sql = "SELECT version, checksum, payload FROM events WHERE version > ?1 ORDER BY version LIMIT ?2";
    records(connection, sql, (to_sql(after), count(limit)))
}

fn stories(connection: &Connection, search: &Search) -> Result<Vec<Story>, LogError> {
    let found = match search {
        Search::Versions(versions) => {
            let sql = "SELECT version, checksum, payload FROM events WHERE version = ?1 AND kind = ?2";
            let mut found = Vec::with_capacity(versions.len());
            for version in versions {
                found.extend(records(connection, sql, (to_sql(*version), schema::REVOKED))?);
            }
            found
        }
        Search::Before { version, limit } => {
            let sql = "SELECT version, checksum, payload FROM events WHERE version < ?1 AND kind = ?2
                       ORDER BY version DESC LIMIT ?3";
            records(connection, sql, (to_sql(*version), schema::REVOKED, count(*limit)))?
        }
        Search::Between { from_ms, to_ms, after, limit } => {
            // The kind as it stands in the index `revoked_at`.
            let sql = "SELECT version, checksum, payload FROM events
                       WHERE kind = 10 AND at_ms >= ?1 AND at_ms < ?2 AND (at_ms > ?3 OR version > ?4)
                       ORDER BY at_ms, version LIMIT ?5";
            let from_ms = to_sql((*from_ms).max(after.0));
            let params = (from_ms, to_sql(*to_ms), to_sql(after.0), to_sql(after.1), count(*limit));
            records(connection, sql, params)?
        }
        Search::Keys { keys, before, limit } => {
            let mut found = Vec::new();
            for key in keys {
                found.extend(of_key(connection, key.to_bytes(), *before, *limit)?);
            }
            found.sort_by_key(|record: &Record| std::cmp::Reverse(record.version));
            found.truncate(*limit);
            found
        }
    };
    let about = "SELECT version, checksum, payload FROM events WHERE revocation = ?1 ORDER BY version";
    let story = |revoked: Record| {
        let since = records(connection, about, [to_sql(revoked.version)])?;
        Ok(Story { revoked, since })
    };
    found.into_iter().map(story).collect()
}

/// The revocations of a key, newest first: one look into the index for each segment of the log.
fn of_key(
    connection: &Connection,
    key: [u8; KEY_BYTES],
    before: Version,
    limit: usize,
) -> Result<Vec<Record>, LogError> {
    let sql = "SELECT version, checksum, payload FROM events
               WHERE version >> 14 = ?1 AND selector = ?2 AND version < ?3 ORDER BY version DESC LIMIT ?4";
    let newest = "SELECT coalesce(max(version), 0) FROM events WHERE version < ?1";
    let newest: i64 =
        connection.query_row(newest, [to_sql(before)], |row| row.get(0)).map_err(|error| failure(&error))?;
    let mut found = Vec::new();
    for segment in (0..=newest >> schema::SEGMENT_BITS).rev() {
        let left = limit.saturating_sub(found.len());
        if left == 0 {
            break;
        }
        found.extend(records(connection, sql, (segment, key, to_sql(before), count(left)))?);
    }
    Ok(found)
}

fn records(connection: &Connection, sql: &str, params: impl Params) -> Result<Vec<Record>, LogError> {
    let failed = |error: rusqlite::Error| failure(&error);
    let mut select = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = select.query(params).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        found.push(row::record(row)?);
    }
    Ok(found)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Goes through the whole chain, on a view of its own, for as long as somebody waits for it.
pub(super) fn verify(
    path: &Path,
    expected: Option<Head>,
    is_awaited: impl Fn() -> bool,
) -> Result<Verified, LogError> {
    let failed = |error: rusqlite::Error| failure(&error);
    let mut connection = open::reader(path).map_err(failed)?;
    let connection = connection.transaction().map_err(failed)?;
    let head = Head::from_bytes(open::meta(&connection, schema::CHAIN).map_err(failed)?);
    let base = Head::from_bytes(open::meta(&connection, schema::BASE).map_err(failed)?);
    let mut verified = Verified { head, events: 0, dropped: base.version, problem: None };
    let mut select = connection
        .prepare(
            "SELECT version, payload, NULL FROM events UNION ALL SELECT version, NULL, digest FROM dropped
             ORDER BY version",
        )
        .map_err(failed)?;
    let mut rows = select.query([]).map_err(failed)?;
    let (mut at, mut seen) = (base, expected.is_none_or(|expected| expected == base));
    while let Some(row) = rows.next().map_err(failed)? {
        if !is_awaited() {
            return Err(LogError::Closed);
        }
        let version = row::from_sql(row.get(0).map_err(failed)?);
        if version != at.version + 1 {
            let what = if version <= at.version { "stands twice" } else { "is missing" };
            verified.problem = Some(format!("event {} {what}", at.version.min(version - 1) + 1));
            return Ok(verified);
        }
        let payload: Option<Vec<u8>> = row.get(1).map_err(failed)?;
        let digest = match payload {
            Some(payload) => {
                verified.events += 1;
                Head::digest(&payload)
            }
            None => {
                verified.dropped += 1;
                row.get(2).map_err(failed)?
            }
        };
        at = at.after(&digest);
        seen |= expected == Some(at);
    }
    verified.problem = if at != head {
        Some(match at.version == head.version {
            true => "an event is not what was written: the chain ends in another link".to_owned(),
            false => format!("event {} is missing", at.version + 1),
        })
    } else if seen {
        None
    } else if expected.is_some_and(|expected| expected.version < base.version) {
        Some(format!(
            "the head that is expected is older than event {}, from which on all is kept",
            base.version + 1
        ))
    } else {
        Some("the head that is expected was never this log's".to_owned())
    };
    Ok(verified)
}
