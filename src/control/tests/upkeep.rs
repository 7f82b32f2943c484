use super::*;

#[tokio::test]
async fn what_expires_is_swept_and_stays_known() {
    let plane = Plane::new().await;
    let id = plane.revoke(subject("a")).await.revocation.id;
    assert_eq!(plane.control.sweep().await, Ok(false));
    // A second of skew, an hour of lifetime, a minute for clocks that are behind.
    plane.advance(3_660);
    assert_eq!(plane.control.sweep().await, Ok(false));
    plane.advance(1);
    assert_eq!(plane.control.sweep().await, Ok(true));
    assert_eq!(plane.control.sweep().await, Ok(false));
    let revocation = plane.control.get(id, &admin()).await.unwrap();
    assert_eq!((revocation.status, revocation.ended_at_ms), (Status::Expired, Some(NOW_MS + 3_661_000)));
    let undo = plane.control.undo(id, "", &admin()).await;
    assert_eq!(undo, Err(ControlError::Ended { id, status: Status::Expired }));
}

#[tokio::test]
async fn compaction_drops_what_ended_long_ago_and_nothing_else() {
    let plane = Plane::new().await;
    let request = NewRevocation { until_reinstated: true, ..NewRevocation::new(subject("disabled")) };
    let answers = plane.control.revoke(vec![request], &admin()).await.unwrap();
    let kept = answers[0].as_ref().unwrap().revocation.id; // 1
    let expired = plane.revoke(subject("a")).await.revocation.id; // 2
    let undone = plane.revoke(session("b")).await.revocation.id; // 3
    plane.control.undo(undone, "", &admin()).await.unwrap(); // 4
    plane.advance(2 * 3_600);
    plane.control.sweep().await.unwrap(); // 5
    assert_eq!(plane.control.compact().await, Ok(0));
    plane.advance(91 * 86_400);
    let recent = plane.revoke(session("c")).await.revocation.id; // 6
    plane.control.undo(recent, "", &admin()).await.unwrap(); // 7
    assert_eq!(plane.control.compact().await, Ok(2));
    assert_eq!(plane.control.compact().await, Ok(0));

    let plane = plane.reopen().await;
    assert_eq!(plane.control.ready(), Ok(7));
    assert_eq!(plane.control.get(kept, &admin()).await.unwrap().status, Status::Active);
    assert_eq!(plane.control.get(recent, &admin()).await.unwrap().status, Status::Undone);
    for gone in [expired, undone] {
        assert_eq!(plane.control.get(gone, &admin()).await, Err(ControlError::NoRevocation(gone)));
    }
    assert_eq!(plane.revoke(session("d")).await.commit.version, 8);
}

#[tokio::test]
async fn what_was_taken_back_much_later_is_dropped_in_small_steps() {
    let plane = Plane::new().await;
    let first = plane.revoke(session("a")).await.revocation.id; // 1
    let mut kept = Vec::new();
    for n in 0..7 {
        let request = NewRevocation { until_reinstated: true, ..NewRevocation::new(subject(&n.to_string())) };
        let answers = plane.control.revoke(vec![request], &admin()).await.unwrap();
        kept.push(answers[0].as_ref().unwrap().revocation.id); // 2..=8
    }
    plane.control.undo(first, "", &admin()).await.unwrap(); // 9
    plane.control.undo(kept[0], "", &admin()).await.unwrap(); // 10
    plane.advance(91 * 86_400);
    plane.revoke(session("z")).await; // 11
    assert_eq!(plane.control.compact_in_steps(2).await, Ok(2));
    assert_eq!(plane.control.inner.store.log().compacted(), 10);

    let plane = plane.reopen().await;
    assert_eq!(plane.control.ready(), Ok(11));
    assert_eq!(plane.control.get(kept[6], &admin()).await.unwrap().status, Status::Active);
}

#[tokio::test]
async fn what_was_swept_late_is_dropped_after_its_sweep_only() {
    let plane = Plane::new().await;
    plane.revoke(session("a")).await; // 1
    plane.advance(91 * 86_400 + 2 * 3_600);
    // Nobody was there when it expired.
    plane.control.sweep().await.unwrap(); // 2
    assert_eq!(plane.control.compact().await, Ok(0));
    plane.advance(91 * 86_400);
    assert_eq!(plane.control.compact().await, Ok(1));
    assert_eq!(plane.control.inner.store.log().compacted(), 2);
}
