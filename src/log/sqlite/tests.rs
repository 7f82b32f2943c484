use std::path::Path;

use super::*;
use crate::log::wire;
use crate::log::wire::event::Event as Body;

fn open(path: &Path) -> SqliteLog {
    SqliteLog::open(DataDir::lock(path).unwrap(), 0).unwrap()
}

fn swept(until: u64) -> NewEvent {
    entry(Body::Swept(wire::Swept { until }), None)
}

fn revoked(reason: &str, key: u8) -> NewEvent {
    let revoked = wire::Revoked { reason: reason.into(), ..Default::default() };
    entry(Body::Revoked(revoked), Some(portcullis_core::Key::from_bytes([key; 11])))
}

fn undone(revocation: Version) -> NewEvent {
    entry(Body::Undone(wire::Undone { revocation, reason: String::new() }), None)
}

fn entry(event: Body, key: Option<portcullis_core::Key>) -> NewEvent {
    NewEvent::new(wire::Event { at_ms: 1, actor: None, event: Some(event) }, key)
}

async fn collect(follower: &mut Follower, until: Version) -> Vec<Version> {
    let mut seen: Vec<Version> = Vec::new();
    while seen.last().is_none_or(|version| *version < until) {
        let committed = match follower.past().await {
            Some(committed) => committed.unwrap(),
            None => follower.next().await.unwrap(),
        };
        seen.extend(committed.iter().map(|committed| committed.version));
    }
    seen
}

fn versions(records: &[Record]) -> Vec<Version> {
    records.iter().map(|record| record.version).collect()
}

#[tokio::test]
async fn concurrent_appends_get_versions_without_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(open(dir.path()));
    let mut follower = log.follow(0).await.unwrap();
    let appends = (0..50).map(|n| {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.append(vec![swept(n), swept(n)]).await.unwrap() })
    });
    let mut given = futures_util::future::try_join_all(appends).await.unwrap();
    given.sort_by_key(|versions| versions.first);
    for (versions, at) in given.iter().zip(0..) {
        assert_eq!((versions.first, versions.last), (at * 2 + 1, at * 2 + 2));
    }
    assert_eq!(collect(&mut follower, 100).await, (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_follower_sees_history_and_what_comes_after_once_each() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for n in 0..3 {
        log.append(vec![swept(n)]).await.unwrap();
    }
    let mut follower = log.follow(1).await.unwrap();
    assert_eq!(follower.last, 3);
    log.append(vec![swept(9)]).await.unwrap();
    assert_eq!(collect(&mut follower, 4).await, [2, 3, 4]);
}

#[tokio::test]
async fn a_reopened_log_is_the_same_store() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let identity = log.identity().clone();
    log.append(vec![swept(1)]).await.unwrap();
    drop(log);
    let log = open(dir.path());
    assert_eq!(*log.identity(), identity);
    assert_eq!(log.append(vec![swept(2)]).await, Ok(Versions { first: 2, last: 2 }));
}

#[tokio::test]
async fn stories_hold_what_became_of_a_revocation() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(vec![revoked("a", 1), revoked("b", 2), swept(0), revoked("c", 1), undone(2)]).await.unwrap();
    let found = |search| async { log.stories(search).await.unwrap() };
    let all = found(Search::Before { version: Version::MAX, limit: 10 }).await;
    let ids: Vec<_> = all.iter().map(|story| (story.revoked.version, versions(&story.since))).collect();
    assert_eq!(ids, [(4, vec![]), (2, vec![5]), (1, vec![])]);
    let keys = vec![portcullis_core::Key::from_bytes([1; 11])];
    let by_key = found(Search::Keys { keys, before: 4, limit: 10 }).await;
    assert_eq!(by_key.iter().map(|story| story.revoked.version).collect::<Vec<_>>(), [1]);
    // 3 is no revocation.
    assert_eq!(found(Search::Versions(vec![2, 3])).await.len(), 1);
}

#[tokio::test]
async fn compaction_leaves_versions_and_the_last_sweep() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let events = vec![revoked("a", 1), undone(1), swept(1), revoked("b", 2), swept(2), swept(3)];
    log.append(events).await.unwrap();
    log.compact(vec![1], 6).await.unwrap();
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.compacted(), 6);
    let mut follower = log.follow(0).await.unwrap();
    assert_eq!(follower.last, 6);
    assert_eq!(collect(&mut follower, 6).await, [4, 6]);
    assert_eq!(log.append(vec![swept(4)]).await, Ok(Versions { first: 7, last: 7 }));
}

#[tokio::test]
async fn compaction_covers_the_last_event_that_it_drops() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(vec![revoked("a", 1), revoked("b", 2), swept(1), undone(1), revoked("c", 3)]).await.unwrap();
    log.compact(vec![1], 1).await.unwrap();
    assert_eq!(log.compacted(), 4);
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.compacted(), 4);
    let mut follower = log.follow(0).await.unwrap();
    assert_eq!(collect(&mut follower, 5).await, [2, 3, 5]);
}

#[tokio::test]
async fn compaction_keeps_the_sweep_that_did_most() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(vec![swept(7), swept(9), revoked("a", 1), swept(5), swept(6), swept(8)]).await.unwrap();
    log.compact(vec![3], 5).await.unwrap();
    let mut follower = log.follow(0).await.unwrap();
    assert_eq!(collect(&mut follower, 6).await, [2, 5, 6]);
}

#[tokio::test]
async fn a_full_log_refuses_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(DataDir::lock(dir.path()).unwrap(), 64 * 1024).unwrap();
    let large = "x".repeat(8 * 1024);
    let mut stored = 0;
    let error = loop {
        match log.append(vec![revoked(&large, 1)]).await {
            Ok(versions) => stored = versions.last,
            Err(error) => break error,
        }
    };
    assert_eq!(error, LogError::Full);
    assert!(stored > 0);
    log.compact((1..=stored).collect(), stored).await.unwrap();
    assert_eq!(log.append(vec![swept(1)]).await, Ok(Versions { first: stored + 1, last: stored + 1 }));
}

#[tokio::test]
async fn a_changed_byte_inside_a_value_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(vec![revoked("needle-in-the-payload", 1)]).await.unwrap();
    drop(log);
    let path = dir.path().join(schema::FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(6).position(|window| window == b"needle").unwrap();
    bytes[at] = b'N';
    std::fs::write(&path, &bytes).unwrap();
    let log = open(dir.path());
    let mut follower = log.follow(0).await.unwrap();
    assert!(matches!(follower.past().await, Some(Err(LogError::Damaged(_)))));
    drop((follower, log));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let check = |content: &[u8], expect: fn(&OpenError) -> bool| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(schema::FILE);
        std::fs::write(&path, content).unwrap();
        let error = SqliteLog::open(DataDir::lock(dir.path()).unwrap(), 0).unwrap_err();
        assert!(expect(&error), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), content);
    };
    check(b"", |error| matches!(error, OpenError::Damaged { .. }));
    check(b"notes to myself", |error| matches!(error, OpenError::Foreign { .. }));
    check(&[b"SQLite format 3\0", &[0; 84][..]].concat(), |error| matches!(error, OpenError::Foreign { .. }));
}

#[tokio::test]
async fn damage_and_later_formats_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append((0..500).map(swept).collect()).await.unwrap();
    drop(log);
    let whole = std::fs::read(dir.path().join(schema::FILE)).unwrap();
    let check = |change: fn(&mut Vec<u8>), expect: fn(&OpenError) -> bool| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(schema::FILE);
        let mut bytes = whole.clone();
        change(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        let error = SqliteLog::open(DataDir::lock(dir.path()).unwrap(), 0).unwrap_err();
        assert!(expect(&error), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    };
    let damaged: fn(&OpenError) -> bool = |error| matches!(error, OpenError::Damaged { .. });
    check(|bytes| bytes.truncate(bytes.len() / 2), damaged);
    check(|bytes| bytes[4096..8192].fill(0xa5), damaged);
    check(|bytes| bytes[63] = 3, |error| matches!(error, OpenError::Newer { found: 3, known: 2, .. }));
    check(|bytes| bytes[63] = 1, |error| matches!(error, OpenError::Older { found: 1, .. }));
    check(|bytes| bytes[68] = 0, |error| matches!(error, OpenError::Foreign { .. }));
}

#[test]
fn only_what_is_known_to_be_damage_is_called_so() {
    use rusqlite::ffi;
    let refusal = |code| {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        open::refusal(Path::new("db"), &error)
    };
    for code in [
        ffi::SQLITE_FULL,
        ffi::SQLITE_IOERR,
        ffi::SQLITE_IOERR_READ,
        ffi::SQLITE_IOERR_SHMSIZE,
        ffi::SQLITE_NOMEM,
        ffi::SQLITE_BUSY,
        ffi::SQLITE_PERM,
        ffi::SQLITE_CANTOPEN,
    ] {
        let error = refusal(code);
        assert!(matches!(error, OpenError::Unreadable { .. }), "{error}");
        assert!(!error.to_string().contains("move"), "{error}");
    }
    for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_ERROR] {
        assert!(matches!(refusal(code), OpenError::Damaged { .. }), "{code}");
    }
}

/// What `verify` says after somebody has changed the file.
async fn verified_after(change: &str) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append((0..3).map(|n| revoked("r", n)).collect()).await.unwrap();
    log.append(vec![undone(1), swept(7), swept(8)]).await.unwrap();
    drop(log);
    let connection = rusqlite::Connection::open(dir.path().join(schema::FILE)).unwrap();
    connection.execute_batch(change).unwrap();
    drop(connection);
    let log = open(dir.path());
    log.verify(None).await.unwrap().problem
}

#[tokio::test]
async fn the_chain_tells_that_nothing_was_changed_or_removed() {
    assert_eq!(verified_after("").await, None);
    for (change, says) in [
        ("DELETE FROM events WHERE version = 2", "event 2 is missing"),
        ("DELETE FROM events WHERE version = 1", "event 1 is missing"),
        ("UPDATE events SET payload = zeroblob(4) WHERE version = 3", "is not what was written"),
        (
            "UPDATE events SET payload = (SELECT payload FROM events WHERE version = 6) WHERE version = 5",
            "is not what was written",
        ),
        ("INSERT INTO dropped VALUES (4, zeroblob(32))", "event 4 stands twice"),
    ] {
        let problem = verified_after(change).await;
        assert!(problem.as_deref().unwrap_or_default().contains(says), "{change}: {problem:?}");
    }
}

#[tokio::test]
async fn the_chain_outlives_compaction_and_an_earlier_head_is_recognized() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append((0..4).map(|n| revoked("r", n)).collect()).await.unwrap();
    let early = log.verify(None).await.unwrap();
    assert_eq!((early.head.version, early.events, early.dropped, &early.problem), (4, 4, 0, &None));
    log.append(vec![undone(2), swept(7), swept(8)]).await.unwrap();
    // In the middle: its digest is kept. At the beginning as well: only the link is.
    log.compact(vec![2], 5).await.unwrap();
    let middle = log.verify(Some(early.head)).await.unwrap();
    assert_eq!((middle.head.version, middle.events, middle.dropped, &middle.problem), (7, 5, 2, &None));
    log.compact(vec![1], 7).await.unwrap();
    let kept = log.verify(Some(middle.head)).await.unwrap();
    assert_eq!((kept.events, kept.dropped, &kept.problem), (3, 4, &None), "the older sweep is gone as well");
    drop(log);
    let connection = rusqlite::Connection::open(dir.path().join(schema::FILE)).unwrap();
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM dropped"), 2, "5 and 6 are behind events that are left");
    drop(connection);
    let log = open(dir.path());
    let older = log.verify(Some(Head { version: 1, link: [0; 32] })).await.unwrap();
    assert!(older.problem.unwrap().contains("older than event 3"));
    let other = log.verify(Some(Head { link: [7; 32], ..kept.head })).await.unwrap();
    assert_eq!(other.problem.as_deref(), Some("the head that is expected was never this log's"));
    log.append(vec![swept(9)]).await.unwrap();
    assert_eq!(log.verify(Some(kept.head)).await.unwrap().problem, None);
}

#[tokio::test]
async fn a_verification_that_nobody_waits_for_ends() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(vec![revoked("r", 1)]).await.unwrap();
    let verified = |is_awaited: bool| reader::verify(&dir.path().join(schema::FILE), None, || is_awaited);
    assert!(matches!(verified(false), Err(LogError::Closed)));
    assert_eq!(verified(true).unwrap().problem, None);
}
