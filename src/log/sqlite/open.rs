//! Opening the database: checks first, and nothing is written before they have passed.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use portcullis_core::{HashKey, Version};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, ffi};

use super::{row, schema};
use crate::log::{DataDir, Head, Identity, OpenError};

/// A database that has passed the checks.
pub(super) struct Checked {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    pub(super) compacted: Version,
    pub(super) last: Version,
    pub(super) chain: Head,
}

/// Makes the database if there is none, and checks it.
pub(super) fn open(dir: &DataDir) -> Result<Checked, OpenError> {
    let path = dir.path().join(schema::FILE);
    if !path.exists() {
        refuse_left_over_wal(&path)?;
        create(dir.path(), &path)?;
    }
    check_header(&path)?;
    check_content(path)
}

/// SQLite would replay the write-ahead log of a database that was moved away into the new one.
fn refuse_left_over_wal(path: &Path) -> Result<(), OpenError> {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    match fs::metadata(&wal) {
        Ok(file) if file.len() > 0 => {
            let error = format!("it is gone, but {} belongs to it", Path::new(&wal).display());
            Err(OpenError::Damaged { path: path.into(), error })
        }
        _ => Ok(()),
    }
}

/// A connection that cannot write.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// The connection that writes.
pub(super) fn writer(path: &Path, max_bytes: u64) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // A commit is on the disk when it returns, also when the power fails.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    // A checkpoint writes and syncs the database: once in 32 MiB of log rather than in 4, as a large batch would.
    connection.pragma_update(None, "wal_autocheckpoint", 8_192)?;
    if max_bytes > 0 {
        let page: u64 =
            connection.pragma_query_value(None, "page_size", |row| row.get(0).map(row::from_sql))?;
        let pages = i64::try_from(max_bytes / page.max(1)).unwrap_or(i64::MAX).max(1);
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    // Nothing is written where it is there.
    connection.execute_batch(schema::ADDED)?;
    Ok(connection)
}

// Under another name until it is whole, so that a crash leaves no half-made database.
fn create(dir: &Path, path: &Path) -> Result<(), OpenError> {
    let cannot = |error: &dyn ToString| OpenError::Directory { path: dir.into(), error: error.to_string() };
    let draft = path.with_extension("new");
    for left_over in [&draft, &path.with_extension("new-wal"), &path.with_extension("new-shm")] {
        match fs::remove_file(left_over) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(&error)),
            _ => {}
        }
    }
    let (mut store_id, mut hash_key) = ([0; 16], [0; 16]);
    getrandom::fill(&mut store_id)
        .and_then(|()| getrandom::fill(&mut hash_key))
        .map_err(|error| cannot(&error))?;
    private(&draft).map_err(|error| cannot(&error))?;
    let fill = || -> rusqlite::Result<()> {
        let mut connection = Connection::open(&draft)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", schema::FORMAT)?;
        let transaction = connection.transaction()?;
        transaction.execute_batch(schema::CREATE)?;
        transaction.execute_batch(schema::ADDED)?;
        let start = Head::START.to_bytes();
        for (key, value) in [
            (schema::STORE_ID, &store_id[..]),
            (schema::HASH_KEY, &hash_key),
            (schema::COMPACTED, &[0; 8]),
            (schema::CHAIN, &start),
            (schema::BASE, &start),
        ] {
            transaction.execute("INSERT INTO meta VALUES (?1, ?2)", (key, value))?;
        }
        transaction.commit()?;
        connection.close().map_err(|(_, error)| error)
    };
    fill().map_err(|error| cannot(&error))?;
    fs::rename(&draft, path)
        .and_then(|()| File::open(dir))
        .and_then(|dir| dir.sync_all())
        .map_err(|error| cannot(&error))
}

/// Makes an empty file that nobody else can read, whatever the directory: user names are in the log. SQLite
/// gives its other files the same permissions.
fn private(path: &Path) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// The file header (<https://www.sqlite.org/fileformat.html>), read without SQLite, which would write beside
/// a file that is not ours.
fn check_header(path: &Path) -> Result<(), OpenError> {
    let foreign = |error: &str| OpenError::Foreign { path: path.into(), error: error.into() };
    let damaged = |error: &str| OpenError::Damaged { path: path.into(), error: error.into() };
    let mut header = [0; 100];
    let mut file = File::open(path)
        .map_err(|error| OpenError::Unreadable { path: path.into(), error: error.to_string() })?;
    if file.metadata().is_ok_and(|file| file.len() == 0) {
        return Err(damaged("it is empty"));
    }
    file.read_exact(&mut header).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => foreign("it is no database"),
        _ => OpenError::Unreadable { path: path.into(), error: error.to_string() },
    })?;
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(foreign("it is no database"));
    }
    let number = |at: usize| {
        header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
    };
    if number(68) != schema::APPLICATION_ID {
        return Err(foreign("it is another program's database"));
    }
    match number(60) {
        found if found > schema::FORMAT => {
            Err(OpenError::Newer { path: path.into(), found, known: schema::FORMAT })
        }
        0 => Err(damaged("its format number is missing")),
        found @ 1 => Err(OpenError::Older { path: path.into(), found }),
        _ => Ok(()),
    }
}

fn check_content(path: PathBuf) -> Result<Checked, OpenError> {
    let damaged = |error: String| OpenError::Damaged { path: path.clone(), error };
    let check = || -> rusqlite::Result<(Identity, Version, Version, Head, String)> {
        let connection = reader(&path)?;
        let verdict = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        let identity = Identity {
            store_id: meta(&connection, schema::STORE_ID)?,
            hash_key: HashKey::new(meta(&connection, schema::HASH_KEY)?),
        };
        let compacted = u64::from_be_bytes(meta(&connection, schema::COMPACTED)?);
        let last = connection
            .query_row("SELECT version FROM events ORDER BY version DESC LIMIT 1", [], |row| row.get(0))
            .optional()?
            .map_or(0, row::from_sql);
        let chain = Head::from_bytes(meta(&connection, schema::CHAIN)?);
        Ok((identity, compacted, last.max(compacted), chain, verdict))
    };
    let (identity, compacted, last, chain, verdict) = check().map_err(|error| refusal(&path, &error))?;
    if verdict != "ok" {
        return Err(damaged(verdict));
    }
    if chain.version != last {
        return Err(damaged(format!("its last event is {last}, and was {}", chain.version)));
    }
    Ok(Checked { path, identity, compacted, last, chain })
}

/// Why a database cannot be opened that SQLite cannot read. Damage is only what is known to be.
pub(super) fn refusal(path: &Path, error: &rusqlite::Error) -> OpenError {
    let (path, message) = (path.into(), error.to_string());
    match error.sqlite_error() {
        // A value that is missing or of another type, a table that is missing.
        None | Some(ffi::Error { extended_code: ffi::SQLITE_ERROR, .. }) => {
            OpenError::Damaged { path, error: message }
        }
        // Even reading needs a little room beside the database.
        Some(ffi::Error { extended_code: ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_FULL, .. }) => {
            OpenError::Unreadable { path, error: format!("{message}; is the disk full? free some space") }
        }
        Some(error) => match error.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                OpenError::Damaged { path, error: message }
            }
            _ => OpenError::Unreadable { path, error: message },
        },
    }
}

/// A value of the table `meta`.
pub(super) fn meta<const N: usize>(connection: &Connection, key: &str) -> rusqlite::Result<[u8; N]> {
    connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
}
