//! Where the programs are that the tests run: `cargo xtask test` and `cargo xtask demo` say so.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// The Envoy to run, from `ENVOY`.
///
/// # Errors
///
/// If it is not set or there is no such file. A test without an Envoy fails; it is never skipped.
pub fn envoy() -> Result<PathBuf> {
    from_env("ENVOY", "test")
}

/// The compiled filter, from `PORTCULLIS_FILTER`.
///
/// # Errors
///
/// If it is not set or there is no such file.
pub fn filter() -> Result<PathBuf> {
    from_env("PORTCULLIS_FILTER", "test")
}

/// The control plane's binary, from `PORTCULLIS_BIN`. Tests of the root package have their own.
///
/// # Errors
///
/// If it is not set or there is no such file.
pub fn control_plane() -> Result<PathBuf> {
    from_env("PORTCULLIS_BIN", "test")
}

/// The installed `provider.mjs` of `examples/oidc-provider`, from `OIDC_PROVIDER`.
///
/// # Errors
///
/// If it is not set, as on a machine without Node.js, or there is no such file.
pub fn oidc_provider() -> Result<PathBuf> {
    from_env("OIDC_PROVIDER", "test")
}

fn from_env(name: &str, command: &str) -> Result<PathBuf> {
    let path =
        std::env::var_os(name).with_context(|| format!("${name} is not set: run `cargo xtask {command}`"))?;
    let path = PathBuf::from(path);
    ensure!(path.is_file(), "${name} names no file: {}", path.display());
    Ok(path)
}
