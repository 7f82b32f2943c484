//! The ledger against a model that keeps a list and searches it.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::cutoff::IssuedAt;

#[derive(Clone, Debug)]
enum Step {
    Revoke {
        key: u8,
        cutoff: Option<u64>,
        lifetime: Option<u64>,
    },
    Reinstate {
        pick: usize,
        lifetime: u64,
    },
    Undo {
        pick: usize,
    },
    Sweep,
    /// An event that concerns no revocation.
    Other,
}

fn step() -> impl Strategy<Value = Step> {
    let pick = 0_usize..1_000;
    prop_oneof![
        6 => (0_u8..4, proptest::option::of(0_u64..30), proptest::option::of(1_u64..40))
            .prop_map(|(key, cutoff, lifetime)| Step::Revoke { key, cutoff, lifetime }),
        3 => (pick.clone(), 1_u64..40).prop_map(|(pick, lifetime)| Step::Reinstate { pick, lifetime }),
        3 => pick.prop_map(|pick| Step::Undo { pick }),
        2 => Just(Step::Sweep),
        1 => Just(Step::Other),
    ]
}

/// A revocation as a person would note it down.
#[derive(Clone, Debug)]
struct Noted {
    version: Version,
    key: u8,
    cutoff: Option<u64>,
    expires: Option<u64>,
    ended: bool,
}

fn key(n: u8) -> Key {
    Key::from_bytes([n; 11])
}

/// Whether a token with that key, issued then, is rejected according to the notes.
fn rejects(notes: &[Noted], n: u8, issued: u64) -> bool {
    let live = notes.iter().filter(|noted| noted.key == n && !noted.ended);
    live.map(|noted| noted.cutoff).any(|cutoff| cutoff.is_none_or(|cutoff| issued <= cutoff))
}

proptest! {
    #[test]
    fn the_ledger_and_an_edge_agree_with_the_model(steps in proptest::collection::vec(step(), 1..120)) {
        let mut ledger = Ledger::default();
        let mut edge = RevocationSet::default();
        let mut notes: Vec<Noted> = Vec::new();
        for (now, step) in (1_u64..).zip(steps) {
            let version = now;
            let changes: Vec<Change> = match step {
                Step::Revoke { key: n, cutoff, lifetime } => {
                    let expires = lifetime.map(|lifetime| now + lifetime);
                    notes.push(Noted { version, key: n, cutoff, expires, ended: false });
                    let cutoff = cutoff.map_or(Cutoff::Always, Cutoff::At);
                    let live = Live { key: key(n), cutoff, expires_at: expires, reinstated: false };
                    ledger.revoke(version, live).into_iter().collect()
                }
                Step::Reinstate { pick, lifetime } => {
                    let Some(index) = pick.checked_rem(notes.len()) else { continue };
                    let noted = &mut notes[index];
                    if !noted.ended {
                        noted.cutoff = Some(noted.cutoff.map_or(now, |cutoff| cutoff.min(now)));
                        noted.expires = Some(noted.expires.map_or(now + lifetime, |at| at.min(now + lifetime)));
                    }
                    ledger.reinstate(noted.version, now, now + lifetime).into_iter().collect()
                }
                Step::Undo { pick } => {
                    let Some(index) = pick.checked_rem(notes.len()) else { continue };
                    notes[index].ended = true;
                    ledger.undo(notes[index].version).into_iter().collect()
                }
                Step::Sweep => {
                    for noted in &mut notes {
                        noted.ended |= noted.expires.is_some_and(|at| at <= now);
                    }
                    ledger.sweep(now)
                }
                Step::Other => Vec::new(),
            };
            for change in &changes {
                edge.apply(*change);
            }

            for n in 0..4 {
                for issued in 0_u32..45 {
                    let time = IssuedAt::from_seconds(f64::from(issued));
                    let seen = edge.get(key(n)).is_some_and(|cutoff| cutoff.rejects(time));
                    prop_assert_eq!(seen, rejects(&notes, n, u64::from(issued)), "key {} issued {}", n, issued);
                }
            }
            let live: Vec<Version> = notes.iter().filter(|noted| !noted.ended).map(|noted| noted.version).collect();
            prop_assert_eq!(ledger.len(), live.len());
            prop_assert!(live.iter().all(|version| ledger.get(*version).is_some()));
            let expiry = notes.iter().filter(|noted| !noted.ended).filter_map(|noted| noted.expires).min();
            prop_assert_eq!(ledger.next_expiry(), expiry);

            // A fresh edge that gets the whole set holds the same, and its digest says so.
            let mut fresh = RevocationSet::default();
            for (key, cutoff) in ledger.set().iter() {
                fresh.apply(Change { key, cutoff: Some(cutoff) });
            }
            prop_assert_eq!(fresh.digest(), edge.digest());
            prop_assert_eq!(ledger.set().digest(), edge.digest());
            prop_assert!(fresh == edge);
        }
    }
}
