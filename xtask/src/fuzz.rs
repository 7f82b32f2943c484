//! `cargo xtask fuzz TARGET`: looks for inputs that core, or an inlet, does not take.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::cargo::{become_command, cargo, exists, root, run as run_command, target_dir};

/// Where the targets and their corpora are, and words for them.
const PACKAGES: [(&str, &str); 2] = [("crates/core/fuzz", "json.dict"), ("fuzz", "inlets.dict")];

/// Without a sanitizer, for which the compiler would have to be a nightly one: there is no unsafe code.
pub(crate) fn run(target: &str, seconds: u32) -> Result<ExitCode> {
    let corpus_in = |package: &str| root().join(package).join("corpus").join(target);
    let Some((package, words)) = PACKAGES.into_iter().find(|(package, _)| corpus_in(package).is_dir()) else {
        bail!("there is no target `{target}`: see `cargo xtask help fuzz`");
    };
    let corpus = corpus_in(package);
    if !exists("cargo-fuzz") {
        eprintln!("Installing cargo-fuzz (once) ...");
        run_command(&mut cargo(["install", "cargo-fuzz", "--locked"]))?;
    }
    // What it finds goes elsewhere: what is committed stays small, and is chosen.
    let found = target_dir().join("fuzz").join(target);
    std::fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
    let mut fuzz = cargo(["fuzz", "run", "--fuzz-dir", package, "--sanitizer", "none", target]);
    fuzz.arg(found).arg(corpus);
    fuzz.args(["--", "-timeout=20", "-max_len=2048", &format!("-max_total_time={seconds}")]);
    // The others are of bytes that no words are in.
    if !matches!(target, "token" | "wire" | "gate") {
        fuzz.arg(format!("-dict={}", root().join(package).join(words).display()));
    }
    become_command(&mut fuzz)
}
