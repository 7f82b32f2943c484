//! Between events and rows.

use portcullis_core::Version;
use portcullis_core::key::KEY_BYTES;
use rusqlite::Row;
use sha2::{Digest as _, Sha256};

use super::schema;
use crate::log::wire::event::Event as Body;
use crate::log::{LogError, NewEvent, Record};

/// What of an event is in columns of its own.
pub(super) struct Columns {
    pub(super) at_ms: i64,
    pub(super) kind: i64,
    pub(super) revocation: Option<i64>,
    pub(super) selector: Option<[u8; KEY_BYTES]>,
}

impl Columns {
    pub(super) fn of(entry: &NewEvent) -> Self {
        let (kind, revocation) = match &entry.event.event {
            Some(Body::Revoked(_)) => (schema::REVOKED, None),
            Some(Body::Reinstated(event)) => (11, Some(event.revocation)),
            Some(Body::Undone(event)) => (12, Some(event.revocation)),
            Some(Body::Swept(_)) => (schema::SWEPT, None),
            Some(Body::KeyCreated(_)) => (14, None),
            Some(Body::KeyDeleted(_)) => (15, None),
            Some(Body::Received(_)) => (16, None),
            Some(Body::UserKept(_)) => (20, None),
            Some(Body::UserDropped(_)) => (21, None),
            None => (0, None),
        };
        Self {
            at_ms: entry.event.at_ms,
            kind,
            revocation: revocation.map(to_sql),
            selector: entry.key.map(portcullis_core::Key::to_bytes),
        }
    }
}

/// The first eight bytes of the SHA-256 over version and payload.
pub(super) fn checksum(version: Version, payload: &[u8]) -> i64 {
    let digest = Sha256::new().chain_update(version.to_be_bytes()).chain_update(payload).finalize();
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | i64::from(*byte))
}

/// A record from a row of (version, checksum, payload), checked.
pub(super) fn record(row: &Row<'_>) -> Result<Record, LogError> {
    let version = from_sql(row.get(0).map_err(|error| super::failure(&error))?);
    let sum: i64 = row.get(1).map_err(|error| super::failure(&error))?;
    let payload: Vec<u8> = row.get(2).map_err(|error| super::failure(&error))?;
    if checksum(version, &payload) != sum {
        return Err(LogError::Damaged(format!("event {version} is not what was written")));
    }
    Ok(Record { version, payload })
}

/// Versions as SQLite has them. 2^63 events are out of reach.
pub(super) fn to_sql(version: Version) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

pub(super) fn from_sql(version: i64) -> Version {
    Version::try_from(version).unwrap_or_default()
}
