//! Replays the committed inputs of the inlets' fuzz targets, on the stable toolchain and without libFuzzer.

use std::path::Path;

#[path = "../../crates/core/fuzz/replay.rs"]
mod replay;
#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a crate of its own for libFuzzer")]
mod targets;

#[test]
fn every_target_of_the_inlets_takes_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    replay::replay(&corpus, &targets::TARGETS);
}
