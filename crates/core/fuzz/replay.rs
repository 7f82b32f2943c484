//! The committed inputs of fuzz targets, played through them on the stable toolchain and without libFuzzer. The
//! tests of core and of the control plane include this file.

use std::path::Path;

/// A target's name and what it does with an input.
pub(crate) type Target<'a> = (&'a str, fn(&[u8]));

/// Gives every file of `corpus/NAME` to the target of that name.
pub(crate) fn replay(corpus: &Path, targets: &[Target<'_>]) {
    for (name, run) in targets {
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
