use std::sync::Arc;

use super::*;

fn hello(process: &str, worker: &str) -> Hello {
    Hello {
        protocol: 1,
        node: format!("node-{process}"),
        process: process.into(),
        worker: worker.into(),
        filter_version: "1".into(),
        position: None,
        refused: None,
    }
}

#[tokio::test]
async fn nobody_to_wait_for_is_no_wait() {
    let receipts = Registry::default().wait(5, 0, Duration::from_secs(60)).await;
    assert_eq!(receipts, Receipts::default());
}

#[tokio::test]
async fn an_edge_has_applied_when_its_last_worker_has() {
    let registry = Arc::new(Registry::default());
    let one = registry.connect(&hello("p", "1"), 0, 100);
    let two = registry.connect(&hello("p", "2"), 4, 100);
    let waiting = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { registry.wait(5, 1_000, Duration::from_secs(60)).await }
    });
    registry.receipt(&one, 5, 1, 1_002);
    registry.receipt(&two, 6, 1, 1_007);
    let receipts = waiting.await.unwrap();
    assert_eq!((receipts.applied, receipts.pending), (1, 0));
    assert_eq!(receipts.edges[0].ms, Some(7));
}

#[tokio::test]
async fn who_has_not_said_so_is_pending() {
    let registry = Registry::default();
    registry.connect(&hello("a", "1"), 5, 0);
    registry.connect(&hello("b", "1"), 4, 0);
    let receipts = registry.wait(5, 0, Duration::from_millis(1)).await;
    assert_eq!((receipts.applied, receipts.pending), (1, 1));
    let waited: Vec<_> = receipts.edges.iter().map(|edge| (edge.applied_workers, edge.ms)).collect();
    assert_eq!(waited, [(1, Some(0)), (0, None)]);
}

#[tokio::test]
async fn an_edge_that_goes_is_pending() {
    let registry = Registry::default();
    let slow = registry.connect(&hello("a", "1"), 0, 0);
    registry.disconnect(&slow, 10);
    // It may come back at once, or serve for long without us.
    for accepted_at_ms in [5, 11, GRACE_MS + 10] {
        let receipts = registry.wait(5, accepted_at_ms, Duration::from_millis(1)).await;
        assert_eq!((receipts.applied, receipts.pending), (0, 1), "{accepted_at_ms}");
        assert_eq!(receipts.edges[0].ms, None);
    }
    // One that went long before the commit says nothing about it.
    let receipts = registry.wait(5, GRACE_MS + 11, Duration::ZERO).await;
    assert_eq!(receipts, Receipts { gone: vec!["node-a".into()], ..Receipts::default() });
}

#[tokio::test]
async fn a_restarted_edge_takes_the_place_of_its_former_process() {
    let of = |node: &str, process: &str| Hello { node: node.into(), ..hello(process, "1") };
    let registry = Registry::default();
    let (old, draining) = (of("n", "old"), of("n", "draining"));
    let (old, draining) = (registry.connect(&old, 4, 0), registry.connect(&draining, 4, 0));
    let other = registry.connect(&of("other", "p"), 4, 0);
    let nameless = registry.connect(&of("", "nameless"), 4, 0);
    for worker in [&old, &other, &nameless] {
        registry.disconnect(worker, 10);
    }
    registry.connect(&of("", "also nameless"), 5, 20);
    let new = registry.connect(&of("n", "new"), 4, 20);
    let processes = |registry: &Registry| -> Vec<String> {
        registry.report(5, 20).edges.into_iter().map(|edge| edge.process).collect()
    };
    assert_eq!(processes(&registry), ["also nameless", "nameless", "draining", "new", "p"]);
    // Nobody waits for it any more, but for all others.
    registry.receipt(&new, 5, 1, 30);
    registry.receipt(&draining, 5, 1, 30);
    let receipts = registry.wait(5, 15, Duration::from_millis(1)).await;
    assert_eq!((receipts.applied, receipts.pending), (3, 2));
    // What comes back to it all the same is an edge again.
    registry.connect(&of("n", "old"), 5, 40);
    assert_eq!(registry.count(), (4, 4));
}

#[tokio::test]
async fn a_worker_that_is_lost_is_waited_for_until_it_is_back() {
    let registry = Arc::new(Registry::default());
    let one = registry.connect(&hello("p", "1"), 4, 0);
    let two = registry.connect(&hello("p", "2"), 4, 0);
    registry.disconnect(&two, 10);
    registry.receipt(&one, 5, 1, 20);
    let receipts = registry.wait(5, 15, Duration::from_millis(1)).await;
    assert_eq!((receipts.applied, receipts.pending), (0, 1));
    assert_eq!((receipts.edges[0].applied_workers, receipts.edges[0].workers), (1, 2));

    let waiting = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { registry.wait(5, 15, Duration::from_secs(60)).await }
    });
    let two = registry.connect(&hello("p", "2"), 4, 30);
    registry.receipt(&two, 5, 1, 40);
    let receipts = waiting.await.unwrap();
    assert_eq!((receipts.applied, receipts.pending), (1, 0));
}

#[tokio::test]
async fn a_worker_that_stays_away_from_an_edge_that_is_there_is_a_vm_that_is_no_more() {
    let registry = Registry::default();
    let one = registry.connect(&hello("p", "1"), 4, 0);
    let two = registry.connect(&hello("p", "2"), 4, 0);
    registry.disconnect(&two, 10);
    registry.receipt(&one, 5, 1, 20);
    // In a millisecond it is given up.
    let receipts = registry.wait(5, GRACE_MS + 9, Duration::from_secs(60)).await;
    assert_eq!((receipts.applied, receipts.pending), (1, 0));
    assert_eq!(registry.report(5, GRACE_MS + 10).edges[0].workers.len(), 1);
}

#[test]
fn a_worker_that_comes_back_replaces_itself() {
    let registry = Registry::default();
    let old = registry.connect(&hello("a", "1"), 1, 0);
    let new = registry.connect(&hello("a", "1"), 2, 0);
    registry.disconnect(&old, 5);
    assert!(!registry.receipt(&old, 9, 0, 5));
    assert_eq!(registry.count(), (1, 1));
    assert_eq!(registry.report(3, 5).edges[0].lag, 1);
    registry.disconnect(&new, 6);
    assert_eq!(registry.count(), (0, 0));
}

#[test]
fn a_refused_set_is_over_with_the_next_one_that_is_taken() {
    let registry = Registry::default();
    let set = RefusedSet { revocations: 6, limit: 5 };
    let worker = registry.connect(&Hello { refused: Some(set), ..hello("a", "1") }, 1, 0);
    let refused = || registry.report(3, 5).edges[0].workers[0].refused;
    assert_eq!(refused(), Some(set));
    // It says what the old set has rejected.
    registry.receipt(&worker, 1, 5, 5);
    assert_eq!(refused(), Some(set));
    registry.receipt(&worker, 3, 4, 6);
    assert_eq!(refused(), None);
}

#[test]
fn edges_that_went_stay_listed_for_a_while() {
    let registry = Registry::default();
    let one = registry.connect(&hello("a", "1"), 1, 0);
    let two = registry.connect(&hello("a", "2"), 1, 0);
    registry.rejected(&one, "session_revoked", 2);
    registry.disconnect(&one, 50);
    let connected = |edges: &Edges| -> Vec<bool> {
        edges.edges[0].workers.iter().map(|worker| worker.connected).collect()
    };
    assert_eq!(connected(&registry.report(1, 50)), [false, true]);
    registry.disconnect(&two, 60);
    let edges = registry.report(1, GRACE_MS + 60);
    assert!(!edges.edges[0].connected);
    assert_eq!(connected(&edges), [false, false]);
    registry.forget(60);
    assert_eq!(registry.report(1, GRACE_MS + 60).edges.len(), 1);
    registry.forget(61);
    assert_eq!(registry.report(1, GRACE_MS + 60).edges, []);
}

#[test]
fn what_an_outsider_can_fill_is_bounded() {
    let registry = Registry::default();
    for process in 0..=MAX_GONE as u64 {
        let worker = registry.connect(&hello(&process.to_string(), "1"), 0, process);
        registry.disconnect(&worker, process);
    }
    assert_eq!(registry.report(0, 0).edges.len(), MAX_GONE);
    let worker = registry.connect(&hello("p", "1"), 0, 0);
    (0..100).for_each(|code| registry.rejected(&worker, &code.to_string(), 1));
    let report = registry.report(0, 0);
    let edge = report.edges.iter().find(|edge| edge.connected).unwrap();
    assert_eq!(edge.workers[0].rejections.len(), MAX_CODES);
}

#[tokio::test]
async fn nobody_waits_longer_than_the_process_lives() {
    let registry = Arc::new(Registry::default());
    registry.connect(&hello("p", "1"), 0, 0);
    let waiting = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { registry.wait(5, 0, Duration::from_secs(3_600)).await }
    });
    registry.close();
    assert_eq!(waiting.await.unwrap().pending, 1);
}

#[test]
fn how_far_many_versions_have_got_is_known_at_once() {
    let registry = Registry::default();
    let one = registry.connect(&hello("a", "1"), 4, 0);
    let two = registry.connect(&hello("a", "2"), 4, 0);
    let other = registry.connect(&hello("b", "1"), 4, 0);
    registry.receipt(&one, 5, 1, 1_002);
    registry.receipt(&other, 6, 1, 1_005);
    registry.receipt(&two, 5, 1, 1_008);
    let far = registry.enforced(&[(4, 900), (5, 1_000), (6, 1_000)], 1_100);
    let all = |at_ms| Enforced { edges: 2, applied: 2, at_ms: Some(at_ms), missing: Vec::new() };
    assert_eq!(far[..2], [all(900), all(1_008)]);
    assert_eq!(far[2], Enforced { edges: 2, applied: 1, at_ms: None, missing: vec!["node-a".into()] });
    registry.receipt(&one, 6, 1, 1_200);
    registry.receipt(&two, 6, 1, 1_300);
    assert_eq!(registry.enforced(&[(5, 1_000), (6, 1_000)], 2_000), [all(1_008), all(1_300)]);
}

#[test]
fn an_edge_that_goes_lacks_what_comes_shortly_after() {
    let registry = Registry::default();
    let gone = registry.connect(&hello("a", "1"), 4, 0);
    registry.connect(&hello("b", "1"), 5, 0);
    registry.disconnect(&gone, 10_000);
    let lacks = Enforced { edges: 2, applied: 1, at_ms: None, missing: vec!["node-a".into()] };
    let late = 10_000 + GRACE_MS + 1;
    let far = registry.enforced(&[(5, 10_001), (5, late)], late);
    // One that went long before says nothing about it.
    assert_eq!(far, [lacks, Enforced { edges: 1, applied: 1, at_ms: Some(late), missing: Vec::new() }]);
    // It comes back, and counts from then on.
    let back = registry.connect(&hello("a", "1"), 4, 40_000);
    assert_eq!(registry.enforced(&[(5, 10_001)], 40_001)[0].applied, 1);
    registry.receipt(&back, 5, 1, 40_050);
    assert_eq!(registry.enforced(&[(5, 10_001)], 40_100)[0].at_ms, Some(40_050));
}

#[test]
fn without_an_edge_nobody_enforces() {
    assert_eq!(Registry::default().enforced(&[(1, 0)], 1), [Enforced::default()]);
}

#[test]
fn ten_thousand_edges_and_thousands_of_pushes_take_no_time() {
    let registry = Registry::default();
    let workers: Vec<Worker> =
        (0..10_000).map(|n| registry.connect(&hello(&n.to_string(), "1"), 0, 0)).collect();
    let pushed: Vec<_> = (1..=4_096).map(|version| (version, version)).collect();
    let began = std::time::Instant::now();
    for worker in &workers {
        registry.receipt(worker, 5_000, 1, 6_000);
    }
    let far = registry.enforced(&pushed, 6_001);
    println!("{:?}", began.elapsed());
    assert!(far.iter().all(|far| (far.edges, far.applied, far.at_ms) == (10_000, 10_000, Some(6_000))));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
