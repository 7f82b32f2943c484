//! `cargo xtask dist`: what a release consists of.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::cargo::{cargo, root, run as run_command, target_dir};
use crate::{filter, musl, oci};

/// A static one for Linux, which an image from scratch needs; elsewhere what the system has.
fn binary() -> Result<PathBuf> {
    if cfg!(target_os = "linux") {
        return musl::build("portcullis");
    }
    run_command(&mut cargo(["build", "--release", "-p", "portcullis", "--bin", "portcullis"]))?;
    Ok(target_dir().join("release/portcullis"))
}

pub(crate) fn run() -> Result<ExitCode> {
    let filter = filter::build()?;
    let binary = binary()?;

    let dist = root().join("target/dist");
    let image = dist.join("portcullis_filter.oci");
    fs::create_dir_all(&dist).with_context(|| format!("cannot create {}", dist.display()))?;
    let mut sums = String::new();
    for (from, name) in [(binary, "portcullis"), (filter, "portcullis_filter.wasm")] {
        let bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        // `copy` keeps the permissions, so the binary stays executable.
        fs::copy(&from, dist.join(name)).with_context(|| format!("cannot write {name} to target/dist"))?;
        writeln!(sums, "{}  {name}", oci::sha256(&bytes)?)?;
        eprintln!("target/dist/{name}: {} KiB", bytes.len() / 1024);
    }
    let digest = oci::write(&fs::read(dist.join("portcullis_filter.wasm"))?, &image)?;
    eprintln!("target/dist/portcullis_filter.oci: {digest}");
    // The format of `sha256sum --check`.
    fs::write(dist.join("SHA256SUMS"), sums).context("cannot write target/dist/SHA256SUMS")?;
    Ok(ExitCode::SUCCESS)
}
