use super::edge::{Edge, Traffic, revoke};
use crate::support::{post, revoke_session, setup, text};

const SNAPSHOT: Traffic = Traffic { snapshots: 1, changes: 0 };

#[tokio::test]
async fn an_edge_that_was_away_for_n_revocations_gets_n_changes() {
    let plane = setup().start().await.unwrap();
    let mut edge = Edge::new("p");
    let version = revoke(&plane, 0..10).await;
    let mut link = edge.connect(&plane).await;
    assert_eq!(edge.reach(&mut link, version).await, SNAPSHOT);
    drop(link);

    let version = revoke(&plane, 10..47).await;
    let mut link = edge.connect(&plane).await;
    assert_eq!(edge.reach(&mut link, version).await, Traffic { snapshots: 0, changes: 37 });

    let mut fresh = Edge::new("fresh");
    let mut other = fresh.connect(&plane).await;
    fresh.reach(&mut other, version).await;
    assert_eq!((edge.digest(), edge.sync.store().unwrap().set.len()), (fresh.digest(), 47));

    // Both go on live, and alike.
    let revoked = revoke_session(&plane, "last").await;
    let version = revoked["version"].as_u64().unwrap();
    assert_eq!(edge.reach(&mut link, version).await, Traffic { snapshots: 0, changes: 1 });
    fresh.reach(&mut other, version).await;
    post(&plane, &format!("/v1/revocations/{}/undo", text(&revoked, "/id")), serde_json::json!({})).await;
    edge.reach(&mut link, version + 1).await;
    fresh.reach(&mut other, version + 1).await;
    assert_eq!((edge.digest(), edge.sync.store().unwrap().set.len()), (fresh.digest(), 47));
}

#[tokio::test]
async fn an_edge_that_was_away_for_longer_than_is_kept_gets_a_snapshot() {
    let plane = setup().env("PORTCULLIS_FEED_HISTORY", "10").start().await.unwrap();
    let mut edge = Edge::new("p");
    let version = revoke(&plane, 0..1).await;
    let mut link = edge.connect(&plane).await;
    edge.reach(&mut link, version).await;
    drop(link);
    let version = revoke(&plane, 1..11).await;
    let mut link = edge.connect(&plane).await;
    assert_eq!(edge.reach(&mut link, version).await, Traffic { snapshots: 0, changes: 10 });
    drop(link);
    let version = revoke(&plane, 11..22).await;
    let mut link = edge.connect(&plane).await;
    assert_eq!(edge.reach(&mut link, version).await, SNAPSHOT);
    let mut fresh = Edge::new("fresh");
    let mut other = fresh.connect(&plane).await;
    fresh.reach(&mut other, version).await;
    assert_eq!(edge.digest(), fresh.digest());
}

#[tokio::test]
async fn an_edge_goes_on_after_the_control_plane_was_killed() {
    let mut plane = setup().start().await.unwrap();
    let mut edge = Edge::new("p");
    let version = revoke(&plane, 0..5).await;
    let mut link = edge.connect(&plane).await;
    edge.reach(&mut link, version).await;
    plane.restart().await.unwrap();
    link.end().await;
    let version = revoke(&plane, 5..8).await;
    let mut link = edge.connect(&plane).await;
    assert_eq!(edge.reach(&mut link, version).await, Traffic { snapshots: 0, changes: 3 });
}

#[tokio::test]
async fn a_control_plane_restored_from_a_backup_is_believed() {
    let mut plane = setup().start().await.unwrap();
    let mut edge = Edge::new("p");
    let old = revoke(&plane, 0..3).await;
    plane.kill().await.unwrap();
    let data = plane.dir().join("data");
    let backup = tempfile::tempdir().unwrap();
    let files = ["portcullis.db", "portcullis.db-wal", "portcullis.db-shm"];
    for file in files.iter().filter(|file| data.join(file).exists()) {
        std::fs::copy(data.join(file), backup.path().join(file)).unwrap();
    }
    plane.restart().await.unwrap();
    let version = revoke(&plane, 3..9).await;
    let mut link = edge.connect(&plane).await;
    edge.reach(&mut link, version).await;
    plane.kill().await.unwrap();
    for file in files {
        let _ = std::fs::remove_file(data.join(file));
        if backup.path().join(file).exists() {
            std::fs::copy(backup.path().join(file), data.join(file)).unwrap();
        }
    }
    plane.restart().await.unwrap();
    // What the edge has is of a future that has not been.
    let mut link = edge.connect(&plane).await;
    assert_eq!(edge.reach(&mut link, old).await, SNAPSHOT);
    assert_eq!(edge.sync.store().unwrap().set.len(), 3);
}

#[tokio::test]
async fn an_edge_of_another_store_gets_a_snapshot() {
    let one = setup().start().await.unwrap();
    let other = setup().start().await.unwrap();
    let mut edge = Edge::new("p");
    let version = revoke(&one, 0..5).await;
    let mut link = edge.connect(&one).await;
    edge.reach(&mut link, version).await;
    assert_eq!(revoke(&other, 0..5).await, version);
    let mut link = edge.connect(&other).await;
    let before = edge.digest();
    assert_eq!(edge.reach(&mut link, version).await, SNAPSHOT);
    assert_ne!(edge.digest(), before);
}

#[tokio::test]
async fn a_snapshot_that_is_asked_for_comes() {
    let plane = setup().start().await.unwrap();
    let mut edge = Edge::new("p");
    let version = revoke(&plane, 0..5).await;
    let mut link = edge.connect(&plane).await;
    edge.reach(&mut link, version).await;
    edge.sync.await_snapshot();
    link.ask_for_snapshot().await;
    assert_eq!(edge.reach(&mut link, version).await, SNAPSHOT);
    let version = revoke(&plane, 5..6).await;
    assert_eq!(edge.reach(&mut link, version).await, Traffic { snapshots: 0, changes: 1 });
}
