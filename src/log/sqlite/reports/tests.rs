use std::path::Path;

use super::{MAX_PATHS, MAX_ROWS};
use crate::log::wire::event::Event as Body;
use crate::log::{DataDir, EventLog as _, NewEvent, Push, Reports, Search, SqliteLog, Tried, wire};

fn open(path: &Path) -> SqliteLog {
    SqliteLog::open(DataDir::lock(path).unwrap(), 0).unwrap()
}

fn revoked(at_ms: i64) -> NewEvent {
    let event = Some(Body::Revoked(wire::Revoked::default()));
    NewEvent::new(wire::Event { at_ms, actor: None, event }, None)
}

fn tried(revocation: u64, node: &str, path: &str, count: u64) -> Tried {
    Tried { revocation, node: node.into(), path: path.into(), count, passed: 0, first_ms: 5, last_ms: 9 }
}

fn push(first: u64, last: u64) -> Push {
    Push { first, last, accepted_at_ms: 1, edges: 3, applied: 3, applied_at_ms: Some(9), missing: Vec::new() }
}

async fn keep(log: &SqliteLog, tried: Vec<Tried>, pushes: Vec<Push>) {
    log.keep(Reports { tried, pushes }).await.unwrap();
}

#[tokio::test]
async fn counts_are_added_up_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(vec![revoked(1), revoked(1)]).await.unwrap();
    keep(&log, vec![tried(1, "e1", "/a", 2), tried(1, "e2", "/b", 1)], vec![push(1, 2)]).await;
    let later = Tried { passed: 1, first_ms: 7, last_ms: 20, ..tried(1, "e1", "/a", 3) };
    keep(&log, vec![later], Vec::new()).await;
    drop(log);
    let log = open(dir.path());
    let reported = log.reported(vec![2, 1, 7], 1).await.unwrap();
    assert_eq!(reported.len(), 3);
    assert_eq!((reported[0].count, &reported[0].push), (0, &Some(push(1, 2))));
    assert_eq!((reported[1].count, reported[1].passed, reported[1].between_ms), (6, 1, Some((5, 20))));
    // One place was asked for: the most frequent.
    let most = Tried { passed: 1, last_ms: 20, ..tried(1, "e1", "/a", 5) };
    assert_eq!(reported[1].tried, [most]);
    assert_eq!((reported[2].count, &reported[2].push), (0, &None));
}

#[tokio::test]
async fn a_push_takes_the_place_of_its_older_self() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(vec![revoked(1), revoked(1), revoked(1)]).await.unwrap();
    let early =
        Push { applied: 2, applied_at_ms: None, missing: vec!["e2".into(), "e3".into()], ..push(2, 3) };
    keep(&log, Vec::new(), vec![early.clone()]).await;
    let of = async |version| log.reported(vec![version], 1).await.unwrap().remove(0).push;
    assert_eq!((of(1).await, of(2).await, of(3).await), (None, Some(early.clone()), Some(early)));
    keep(&log, Vec::new(), vec![push(2, 3)]).await;
    assert_eq!(of(2).await, Some(push(2, 3)));
}

#[tokio::test]
async fn nobody_fills_the_disk_with_paths_or_edges() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(vec![revoked(1)]).await.unwrap();
    keep(&log, (0..100).map(|n| tried(1, "e1", &format!("/{n}"), 1)).collect(), Vec::new()).await;
    let reported = log.reported(vec![1], 1_000).await.unwrap().remove(0);
    assert_eq!((reported.count, reported.tried.len() as i64), (100, MAX_PATHS + 1));
    assert_eq!(reported.tried[0], tried(1, "e1", "", 100 - MAX_PATHS as u64));
    keep(&log, (0..2_000).map(|n| tried(1, &n.to_string(), "/", 1)).collect(), Vec::new()).await;
    let reported = log.reported(vec![1], 10_000).await.unwrap().remove(0);
    assert_eq!((reported.count, reported.tried.len() as i64), (2_100, MAX_ROWS + 1));
    let others = reported.tried.iter().find(|tried| tried.node.is_empty()).unwrap();
    assert_eq!(others.count, 2_000 - (MAX_ROWS as u64 - MAX_PATHS as u64 - 1));
}

#[tokio::test]
async fn what_is_kept_goes_with_the_revocation() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(vec![revoked(1), revoked(1), revoked(1)]).await.unwrap();
    let all = vec![tried(1, "e1", "/", 1), tried(2, "e1", "/", 1), tried(3, "e1", "/", 1)];
    keep(&log, all, vec![push(1, 2), push(3, 3)]).await;
    let left = async || {
        let reported = log.reported(vec![1, 2, 3], 9).await.unwrap();
        reported.iter().map(|one| (one.count, one.push.is_some())).collect::<Vec<_>>()
    };
    log.compact(vec![1], 1).await.unwrap();
    // The push is also that of another.
    assert_eq!(left().await, [(0, true), (1, true), (1, true)]);
    log.compact(vec![2], 2).await.unwrap();
    assert_eq!(left().await, [(0, false), (0, false), (1, true)]);
}

#[tokio::test]
async fn revocations_are_found_by_their_time_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    // The clock was set back once.
    log.append([10, 20, 15, 20, 30].map(revoked).to_vec()).await.unwrap();
    let found = async |from_ms, to_ms, after, limit| -> Vec<u64> {
        let stories = log.stories(Search::Between { from_ms, to_ms, after, limit }).await.unwrap();
        stories.iter().map(|story| story.revoked.version).collect()
    };
    assert_eq!(found(10, 30, (0, 0), 10).await, [1, 3, 2, 4]);
    assert_eq!(found(10, 31, (0, 0), 3).await, [1, 3, 2]);
    assert_eq!(found(10, 31, (20, 2), 3).await, [4, 5]);
    assert_eq!(found(11, 15, (0, 0), 3).await, [0; 0]);
}

#[tokio::test]
async fn a_log_of_before_has_nothing_to_report_and_takes_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(vec![revoked(1)]).await.unwrap();
    drop(log);
    let database = rusqlite::Connection::open(dir.path().join("portcullis.db")).unwrap();
    database.execute_batch("DROP TABLE tried; DROP TABLE pushes; DROP INDEX revoked_at;").unwrap();
    database.close().unwrap();
    let log = open(dir.path());
    assert_eq!(log.reported(vec![1], 1).await.unwrap().remove(0), Default::default());
    keep(&log, vec![tried(1, "e1", "/", 1)], vec![push(1, 1)]).await;
    let reported = log.reported(vec![1], 1).await.unwrap().remove(0);
    assert_eq!((reported.count, reported.push), (1, Some(push(1, 1))));
}
