use super::*;
use crate::log::Push;

async fn kept(plane: &Plane, version: Version) -> Option<Push> {
    plane.control.inner.store.log().reported(vec![version], 1).await.unwrap().remove(0).push
}

#[tokio::test]
async fn a_push_that_nobody_confirms_is_written_down_in_time_and_watched_for_a_while() {
    let plane = Plane::new().await;
    let revocation = plane.revoke(session("s1")).await.revocation;
    plane.control.keep_reports(false).await;
    assert_eq!(kept(&plane, 1).await, None);
    // Who asks gets what is known so far.
    let nobody = Push { first: 1, last: 1, accepted_at_ms: NOW_MS, ..Push::default() };
    let reported = plane.control.get_reported(revocation.id, &admin()).await.unwrap();
    assert_eq!(reported.enforced, Some(nobody.clone()));

    plane.advance(15);
    plane.control.keep_reports(false).await;
    assert_eq!(kept(&plane, 1).await, Some(nobody.clone()));
    assert_eq!(plane.control.watch().len(), 1);
    plane.advance(600);
    plane.control.keep_reports(false).await;
    assert_eq!(kept(&plane, 1).await, Some(nobody));
    assert!(plane.control.watch().is_empty());
}

#[tokio::test]
async fn at_the_end_of_the_process_what_is_known_is_written_down() {
    let plane = Plane::new().await;
    plane.revoke(session("s1")).await;
    plane.control.undo(plane.revoke(session("s2")).await.revocation.id, "", &admin()).await.unwrap();
    plane.control.keep_reports(true).await;
    let plane = plane.reopen().await;
    assert!(kept(&plane, 1).await.is_some() && kept(&plane, 2).await.is_some());
    // What is taken back is no revocation, and the past is not pushed again.
    assert_eq!(kept(&plane, 3).await, None);
    assert!(plane.control.watch().is_empty());
}

#[tokio::test]
async fn too_many_pushes_are_not_watched() {
    let plane = Plane::new().await;
    let watch = |last| Watch { first: last, last, at_ms: NOW_MS, written: false };
    plane.control.watch().extend((1..=5_000).map(watch));
    plane.control.keep_reports(false).await;
    assert_eq!(plane.control.watch().len(), 4_096);
    assert!(kept(&plane, 904).await.is_some() && kept(&plane, 905).await.is_none());
}
