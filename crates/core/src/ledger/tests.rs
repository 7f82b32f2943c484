use super::*;

const KEY: Key = Key::from_bytes([1; 11]);

fn live(cutoff: Cutoff, expires_at: Option<UnixSeconds>) -> Live {
    Live { key: KEY, cutoff, expires_at, reinstated: false }
}

#[test]
fn the_strictest_revocation_of_a_key_is_enforced() {
    let mut ledger = Ledger::default();
    let enforced = |ledger: &Ledger| ledger.set().get(KEY);
    ledger.revoke(1, live(Cutoff::At(100), Some(200)));
    ledger.revoke(2, live(Cutoff::Always, None));
    assert_eq!(ledger.revoke(3, live(Cutoff::At(150), Some(250))), None);
    assert_eq!(enforced(&ledger), Some(Cutoff::Always));

    let change = ledger.undo(2);
    assert_eq!(change, Some(Change { key: KEY, cutoff: Some(Cutoff::At(150)) }));
    assert_eq!(ledger.undo(3), Some(Change { key: KEY, cutoff: Some(Cutoff::At(100)) }));
    assert_eq!(ledger.sweep(199), []);
    assert_eq!(ledger.sweep(200), [Change { key: KEY, cutoff: None }]);
    assert!(ledger.is_empty() && ledger.set().is_empty() && ledger.next_expiry().is_none());
}

#[test]
fn reinstating_keeps_older_tokens_out_and_bounds_the_rest() {
    let mut ledger = Ledger::default();
    ledger.revoke(1, live(Cutoff::Always, None));
    let change = ledger.reinstate(1, 500, 4_100);
    assert_eq!(change, Some(Change { key: KEY, cutoff: Some(Cutoff::At(500)) }));
    assert_eq!(ledger.next_expiry(), Some(4_100));
}

#[test]
fn reinstating_never_rejects_more_than_before() {
    let mut ledger = Ledger::default();
    ledger.revoke(1, live(Cutoff::At(100), Some(900)));
    assert_eq!(ledger.reinstate(1, 500, 4_100), None);
    assert_eq!(ledger.next_expiry(), Some(900));
}

#[test]
fn what_is_not_live_cannot_be_taken_back() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.undo(7), None);
    assert_eq!(ledger.reinstate(7, 1, 2), None);
    ledger.revoke(1, live(Cutoff::Always, None));
    ledger.undo(1);
    assert_eq!(ledger.undo(1), None);
    assert_eq!(ledger.set().len(), 0);
}

#[test]
fn a_key_that_is_revoked_again_and_again_stays_cheap() {
    let mut ledger = Ledger::default();
    // Ten thousand million steps if each looked at all the others.
    for version in 1..=100_000 {
        ledger.revoke(version, live(Cutoff::At(version), Some(version)));
    }
    assert_eq!(ledger.of_key(KEY).next().map(|(version, _)| version), Some(100_000));
    assert_eq!(ledger.sweep(99_999), []);
    assert_eq!(ledger.sweep(100_000), [Change { key: KEY, cutoff: None }]);
}
