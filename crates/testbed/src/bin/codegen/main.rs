//! Regenerates the Rust code of `proto/`; called by `cargo xtask codegen`.

#![allow(clippy::print_stderr, reason = "for the person at the terminal")]

use std::path::Path;

use anyhow::Result;

fn main() -> Result<()> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let changed = portcullis_testbed::codegen::write(root)?;
    for path in &changed {
        eprintln!("wrote {}", path.display());
    }
    if changed.is_empty() {
        eprintln!("The generated code is up to date.");
    }
    Ok(())
}
