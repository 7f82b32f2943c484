use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;

use super::Serve;
use crate::feed::edge::revoke;
use crate::support::setup;

const FILE: &str = "portcullis.db";

/// A copy of a store with some thousand events, closed properly, with a change.
async fn store(change: impl FnOnce(&mut Vec<u8>)) -> TempDir {
    let mut plane = setup().start().await.unwrap();
    revoke(&plane, 0..2_000).await;
    plane.process().terminate(std::time::Duration::from_secs(20)).await.unwrap();
    let mut bytes = std::fs::read(plane.dir().join("data").join(FILE)).unwrap();
    assert!(!plane.dir().join("data").join(format!("{FILE}-wal")).exists());
    change(&mut bytes);
    let copy = tempfile::tempdir().unwrap();
    std::fs::write(copy.path().join(FILE), bytes).unwrap();
    copy
}

/// The files of a directory with their content, but for what says who is there.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap());
    let named =
        files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()));
    // SQLite's index of the write-ahead log; holds nothing of its own.
    named.filter(|(name, _)| name != "lock" && name != "portcullis.db-shm").collect()
}

/// Refuses to start, says what to do, and leaves everything as it was.
async fn is_refused(dir: &TempDir, says: &[&str]) {
    let before = files(dir.path());
    Serve::new().over(dir.path()).refuses(1, says).await;
    let after = files(dir.path());
    assert_eq!(before.get(FILE), after.get(FILE), "the database was changed");
    let new: Vec<_> =
        after.iter().filter(|(name, content)| !before.contains_key(*name) && !content.is_empty()).collect();
    assert!(new.is_empty(), "{new:?}");
}

#[tokio::test]
async fn a_byte_that_changed_inside_an_event_is_found() {
    let dir = store(|bytes| {
        // The last session's id, and what SQLite has left of it in unused space.
        let found = |window: &[u8]| window == b"1999";
        let places: Vec<usize> =
            bytes.windows(4).enumerate().filter(|(_, window)| found(window)).map(|(at, _)| at).collect();
        assert!(!places.is_empty());
        places.into_iter().for_each(|at| bytes[at] = b'7');
    });
    is_refused(&dir.await, &["damaged", "backup"]).await;
}

#[tokio::test]
async fn a_page_that_was_overwritten_is_found() {
    let dir = store(|bytes| {
        let middle = bytes.len() / 2 / 4_096 * 4_096;
        bytes[middle..middle + 4_096].fill(0x5a);
    });
    is_refused(&dir.await, &["damaged", "backup"]).await;
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_found() {
    let dir = store(|bytes| bytes.truncate(bytes.len() / 2)).await;
    is_refused(&dir, &["damaged", "backup"]).await;
    let dir = store(Vec::clear).await;
    is_refused(&dir, &["damaged", "empty"]).await;
}

#[tokio::test]
async fn another_file_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), "my notes").unwrap();
    is_refused(&dir, &["not a Portcullis log"]).await;
    let dir = store(|bytes| bytes[68..72].fill(7)).await;
    is_refused(&dir, &["another program"]).await;
}

#[tokio::test]
async fn a_later_releases_store_is_left_alone() {
    let dir = store(|bytes| bytes[60..64].copy_from_slice(&9_u32.to_be_bytes())).await;
    is_refused(&dir, &["later release", "format 9"]).await;
}
