//! The committed Rust code of `proto/` is what its generator makes.

use std::path::Path;

#[test]
fn the_generated_code_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = portcullis_testbed::codegen::generate(root).unwrap();
    assert_eq!(files.len(), 3, "messages, service, log");
    for (path, expect) in files {
        let committed = std::fs::read_to_string(root.join(&path)).unwrap();
        assert!(committed == expect, "{} is out of date: run `cargo xtask codegen`", path.display());
    }
}
