//! Makes sure that the compiler has the targets that we build for.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cargo;

/// What Envoy runs.
pub(crate) const FILTER_TARGET: &str = "wasm32-wasip1";

/// Installs a target through rustup unless the compiler has it already.
pub(crate) fn ensure_target(target: &str) -> Result<()> {
    if installed(target)? {
        return Ok(());
    }
    if !cargo::exists("rustup") {
        bail!(
            "the compiler has no `{target}` target, and there is no rustup to add it: install rustup \
             (https://rustup.rs), or the package of your system that brings this target"
        );
    }
    eprintln!("Installing the {target} target with rustup (a few MB, once) ...");
    cargo::run(Command::new("rustup").args(["target", "add", target]).current_dir(cargo::root()))
        .with_context(|| format!("cannot install the {target} target"))
}

/// Asks the compiler rather than rustup, so that a system's own packages count as well.
fn installed(target: &str) -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let dir = cargo::output(
        Command::new(rustc).args(["--print", "target-libdir", "--target", target]).current_dir(cargo::root()),
    )?;
    let Ok(entries) = Path::new(&dir).read_dir() else { return Ok(false) };
    Ok(entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore")))
}
