//! Replays the fuzz targets' committed inputs, and plays histories that proptest makes up, on the stable
//! toolchain and without libFuzzer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test that cannot go on fails, helpers included"
)]

use std::path::Path;

use fuzz::gate::{Fate, Step, play};
use fuzz::plane::{Bearer, Who};
use portcullis_core::Cutoff;
use proptest::prelude::*;

#[path = "../fuzz/src/lib.rs"]
mod fuzz;
#[path = "../fuzz/replay.rs"]
mod replay;

#[test]
fn every_target_takes_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    replay::replay(&corpus, &fuzz::TARGETS);
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![(0_u8..16).prop_map(Who::Session), (0_u8..4).prop_map(Who::User)]
}

fn cutoff() -> impl Strategy<Value = Cutoff> {
    prop_oneof![Just(Cutoff::Always), (0_u64..8).prop_map(Cutoff::At)]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        1 => Just(Fate::Swapped),
        1 => (0_u16..300).prop_map(Fate::Truncated),
    ]
}

/// What happens when nobody changes a byte on the way: TLS sees to that.
fn step() -> impl Strategy<Value = Step> {
    let bearer = (0_u8..16, proptest::option::of(0_u64..8));
    prop_oneof![
        4 => (who(), cutoff()).prop_map(|(who, cutoff)| Step::Revoke(who, cutoff)),
        2 => who().prop_map(Step::Undo),
        12 => fate().prop_map(Step::Deliver),
        4 => (1_u64..3_000).prop_map(Step::Tick),
        6 => bearer.prop_map(|(session, issued_at)| Step::Request(Bearer { session, issued_at })),
        2 => any::<u8>().prop_map(Step::Leave),
        1 => Just(Step::Break),
        1 => (0_u8..4).prop_map(Step::PerMessage),
    ]
}

/// The same with bytes that are others.
fn step_without_tls() -> impl Strategy<Value = Step> {
    prop_oneof![
        9 => step(),
        1 => (0_u16..200, 1_u8..=255).prop_map(|(at, flip)| Step::Deliver(Fate::Garbled(at, flip))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_bad_way_never_lets_through_what_was_rejected(
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        play(&steps);
    }

    #[test]
    fn bytes_that_are_others_never_make_a_set_that_never_was(
        steps in proptest::collection::vec(step_without_tls(), 1..200),
    ) {
        play(&steps);
    }
}
