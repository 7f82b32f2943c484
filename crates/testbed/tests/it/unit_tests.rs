//! Cargo builds no unit tests of this library and its commands, nor of the command `portcullis`: one there would
//! never run.

use std::io;
use std::path::{Path, PathBuf};

fn sources(dir: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in dir.read_dir()? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn none_is_where_it_would_not_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("../../src/main.rs")];
    sources(&root.join("src"), &mut files).unwrap();
    assert!(files.len() > 20, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("test]\n"), "{} has a test: move it to tests/", file.display());
    }
}
