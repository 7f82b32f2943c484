//! `cargo xtask fuzz TARGET`: looks for inputs that core does not take.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::cargo::{become_command, cargo, exists, root, run as run_command, target_dir};

/// Where the targets and their corpora are.
const PACKAGE: &str = "crates/core/fuzz";

/// Without a sanitizer, for which the compiler would have to be a nightly one: core has no unsafe code.
pub(crate) fn run(target: &str, seconds: u32) -> Result<ExitCode> {
    let corpus = root().join(PACKAGE).join("corpus").join(target);
    if !corpus.is_dir() {
        bail!("there is no corpus `{}`: a target is one of the folders beside it", corpus.display());
    }
    if !exists("cargo-fuzz") {
        eprintln!("Installing cargo-fuzz (once) ...");
        run_command(&mut cargo(["install", "cargo-fuzz", "--locked"]))?;
    }
    // What it finds goes elsewhere: what is committed stays small, and is chosen.
    let found = target_dir().join("fuzz").join(target);
    std::fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
    let mut fuzz = cargo(["fuzz", "run", "--fuzz-dir", PACKAGE, "--sanitizer", "none", target]);
    fuzz.arg(found).arg(corpus);
    fuzz.args(["--", "-timeout=20", "-max_len=2048", &format!("-max_total_time={seconds}")]);
    if matches!(target, "claims" | "configuration") {
        fuzz.arg(format!("-dict={}", root().join(PACKAGE).join("json.dict").display()));
    }
    become_command(&mut fuzz)
}
