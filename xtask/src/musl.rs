//! Static binaries for Linux: Rust's musl targets, and musl's headers for what is written in C.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cargo::{cargo, exists, run, target_dir};
use crate::{debian, toolchain};

/// Builds a binary of the root package that needs no library of the system, for the architecture of this machine.
pub(crate) fn build(binary: &str) -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    toolchain::ensure_target(&target)?;
    let compiler = compiler()?;
    let mut command = cargo(["build", "--release", "-p", "portcullis", "--bin", binary, "--target", &target]);
    // By the name that the `cc` crate looks for, so that other targets of the same build keep theirs.
    run(command.env(format!("CC_{}", target.replace('-', "_")), compiler))?;
    Ok(target_dir().join(target).join("release").join(binary))
}

/// `musl-gcc` of the PATH, else that of Debian's packages, unpacked.
fn compiler() -> Result<PathBuf> {
    if exists("musl-gcc") {
        return Ok("musl-gcc".into());
    }
    let unpacked = debian::unpacked("musl-gcc", &["musl-tools", "musl-dev"], "630 KB")?;
    let script = unpacked.join("musl-gcc");
    if !script.exists() {
        write(&script, &unpacked)?;
    }
    Ok(script)
}

/// The packages' own script names where they would be installed.
fn write(script: &Path, unpacked: &Path) -> Result<()> {
    let root = unpacked.join("root");
    let lib = root.join(format!("usr/lib/{}-linux-musl", std::env::consts::ARCH));
    let specs = lib.join("musl-gcc.specs");
    let text = fs::read_to_string(&specs).with_context(|| format!("cannot read {}", specs.display()))?;
    let own = unpacked.join("musl-gcc.specs");
    let moved = text
        .replace("/usr/include/", &format!("{}/usr/include/", root.display()))
        .replace("/usr/lib/", &format!("{}/usr/lib/", root.display()));
    fs::write(&own, moved)?;
    debian::write_script(script, &format!("exec gcc \"$@\" -specs '{}'", own.display()))
        .context("musl-gcc does not run: install gcc, or musl-tools by hand")
}
