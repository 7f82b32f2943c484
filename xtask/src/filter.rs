//! Builds the filter.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::cargo::{self, cargo, run};
use crate::toolchain::{self, FILTER_TARGET};

/// The compiled filter, as it ships, and up to date.
pub(crate) fn build() -> Result<PathBuf> {
    toolchain::ensure_target(FILTER_TARGET)?;
    // A directory of its own, so with its own lock: tests do the same build from inside `cargo test`.
    let dir = cargo::root().join("target/filters");
    let mut command = cargo(["build", "-p", "portcullis-filter", "--target", FILTER_TARGET]);
    command.args(["--profile", "wasm", "--target-dir"]).arg(&dir);
    for inherited in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"]
    {
        command.env_remove(inherited);
    }
    run(&mut command)?;
    let filter = dir.join(FILTER_TARGET).join("wasm/portcullis_filter.wasm");
    ensure!(filter.is_file(), "cargo built no {}", filter.display());
    Ok(filter)
}
