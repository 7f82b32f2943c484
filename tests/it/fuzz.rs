//! Replays the committed inputs of the inlets' fuzz targets, on the stable toolchain and without libFuzzer.

use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a crate of its own for libFuzzer")]
mod targets;

#[test]
fn every_target_of_the_inlets_takes_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, run) in targets::TARGETS {
        let files = corpus.join(name).read_dir().unwrap_or_else(|error| panic!("corpus/{name}: {error}"));
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 20, "corpus/{name} has {} inputs only", files.len());
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            // Shown when the next line fails.
            println!("{}", file.display());
            run(&bytes);
        }
    }
}
