//! Builds the filters.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::cargo::{self, cargo, run};
use crate::toolchain::{self, FILTER_TARGET};

/// The compiled filter, as it ships, and up to date.
pub(crate) fn build() -> Result<PathBuf> {
    build_package("portcullis-filter")
}

/// A filter that does nothing, built in the same way: what the benchmarks compare with.
pub(crate) fn build_empty() -> Result<PathBuf> {
    build_package("portcullis-empty-filter")
}

/// A filter that measures the set inside Envoy.
pub(crate) fn build_set() -> Result<PathBuf> {
    build_package("portcullis-set-filter")
}

/// Has [`crate::linker`] link.
fn linker() -> Result<String> {
    let this = std::env::current_exe().context("cannot tell where this program is")?;
    Ok(format!("target.{FILTER_TARGET}.linker={:?}", this.display().to_string()))
}

/// Has the compiler leave this machine's paths out: the module is the same wherever it is built, and tells nobody.
fn anywhere() -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let prefixes = [(home, "cargo"), (Some(cargo::root().to_owned()), ".")];
    let flags = prefixes.into_iter().filter_map(|(from, to)| {
        let from = from?.into_os_string().into_string().ok()?;
        // As a literal string of TOML, which has no way to write a quote.
        (!from.contains('\'')).then(|| format!("'--remap-path-prefix={from}={to}'"))
    });
    let flags: Vec<String> = flags.collect();
    format!("target.{FILTER_TARGET}.rustflags=[{}]", flags.join(","))
}

fn build_package(package: &str) -> Result<PathBuf> {
    toolchain::ensure_target(FILTER_TARGET)?;
    // A directory of its own, so with its own lock: tests do the same build from inside `cargo test`.
    let dir = cargo::root().join("target/filters");
    let mut command = cargo(["build", "-p", package, "--target", FILTER_TARGET]);
    command.args(["--profile", "wasm", "--target-dir"]).arg(&dir).arg("--config").arg(anywhere());
    command.arg("--config").arg(linker()?);
    for inherited in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"]
    {
        command.env_remove(inherited);
    }
    run(&mut command)?;
    let filter = dir.join(FILTER_TARGET).join("wasm").join(package.replace('-', "_")).with_extension("wasm");
    ensure!(filter.is_file(), "cargo built no {}", filter.display());
    Ok(filter)
}
