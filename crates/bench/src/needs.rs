//! The programs that benchmarks need; `cargo xtask bench` sees to it that they are there.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// The compiled filter that does nothing, from `EMPTY_FILTER`.
pub(crate) fn empty_filter() -> Result<PathBuf> {
    from_env("EMPTY_FILTER")
}

/// The compiled filter that measures the set, from `SET_FILTER`.
pub(crate) fn set_filter() -> Result<PathBuf> {
    from_env("SET_FILTER")
}

/// The NATS server, from `NATS_SERVER`.
pub(crate) fn nats_server() -> Result<PathBuf> {
    from_env("NATS_SERVER")
}

fn from_env(name: &str) -> Result<PathBuf> {
    let path =
        std::env::var_os(name).with_context(|| format!("${name} is not set: run `cargo xtask bench`"))?;
    let path = PathBuf::from(path);
    ensure!(path.is_file(), "${name} names no file: {}", path.display());
    Ok(path)
}
