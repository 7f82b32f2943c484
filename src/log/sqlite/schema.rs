//! The database file: what is in it, and how one recognizes it.

/// `application_id` of the file header: "PCLS".
pub(super) const APPLICATION_ID: u32 = 0x5043_4c53;
/// `user_version` of the file header. A release reads its own format and earlier ones; 1 was never released.
pub(super) const FORMAT: u32 = 2;

/// One row per event. `kind` is the event's field number in `log.proto`; `revocation` is the version that an
/// event is about; `selector` is the key of a revocation; `checksum` covers version and payload, because
/// SQLite's own checks do not see a changed byte inside a value.
///
/// `dropped` has the digests of events that compaction has taken away, so that the hash chain can be gone through all the
/// same; of those before the first event that is left, only the link that they lead to is kept (`BASE`).
///
/// Selectors are hashes: an index by them alone would change a page of its own for each event, and write all of
/// these again and again. By segments of the log, events that come together change the same few pages.
pub(super) const CREATE: &str = "
    CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
    CREATE TABLE events(
        version INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        revocation INTEGER,
        selector BLOB,
        checksum INTEGER NOT NULL,
        payload BLOB NOT NULL
    ) STRICT;
    CREATE TABLE dropped(version INTEGER PRIMARY KEY, digest BLOB NOT NULL) STRICT;
    CREATE INDEX about ON events(revocation) WHERE revocation IS NOT NULL;
    CREATE INDEX selectors ON events(version >> 14, selector) WHERE selector IS NOT NULL;
    CREATE INDEX sweeps ON events(version) WHERE kind = 13;
";

/// What was added to the format later, for logs of before as well; an earlier build finds none of it in its way.
///
/// `tried` and `pushes` have what edges say ([`crate::log::reports`]). `revoked_at` finds revocations by their time.
pub(super) const ADDED: &str = "
    CREATE TABLE IF NOT EXISTS tried(
        revocation INTEGER NOT NULL,
        node TEXT NOT NULL,
        path TEXT NOT NULL,
        count INTEGER NOT NULL,
        passed INTEGER NOT NULL,
        first_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        PRIMARY KEY(revocation, node, path)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS pushes(
        last INTEGER PRIMARY KEY,
        first INTEGER NOT NULL,
        accepted_at_ms INTEGER NOT NULL,
        edges INTEGER NOT NULL,
        applied INTEGER NOT NULL,
        applied_at_ms INTEGER,
        missing TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS revoked_at ON events(at_ms) WHERE kind = 10;
";

/// How many low bits of a version are not part of its segment; the index `selectors` says the same.
pub(super) const SEGMENT_BITS: u32 = 14;

/// Field number of `Event.revoked`.
pub(super) const REVOKED: i64 = 10;
/// Field number of `Event.swept`.
pub(super) const SWEPT: i64 = 13;

pub(super) const STORE_ID: &str = "store_id";
pub(super) const HASH_KEY: &str = "hash_key";
pub(super) const COMPACTED: &str = "compacted";
/// The head of the hash chain, and where it begins.
pub(super) const CHAIN: &str = "chain";
pub(super) const BASE: &str = "chain_base";

/// Where the database is in a data directory.
pub(super) const FILE: &str = "portcullis.db";
