//! `cargo xtask bench NAME`: builds what is measured and installs what it is compared with, then hands over to
//! `crates/bench`.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::cargo::{become_command, cargo, exists, output, run as run_command, target_dir};
use crate::{envoy, filter, nats};

/// The exit code of a command that was asked for something that does not exist.
const UNKNOWN: u8 = 2;

/// The benchmarks, and the programs that each needs beside Envoy, with the Debian packages that have them.
const BENCHES: [(&str, &[(&str, &str)]); 4] = [
    ("edge", &[("wrk", "wrk"), ("redis-server", "redis-server")]),
    ("set", &[]),
    ("ingest", &[]),
    ("propagate", &[]),
];

pub(crate) fn run(name: &str, args: &[String]) -> Result<ExitCode> {
    let Some((_, programs)) = BENCHES.iter().find(|(known, _)| *known == name) else {
        let names: Vec<_> = BENCHES.iter().map(|(known, _)| *known).collect();
        eprintln!("error: there is no benchmark `{name}`; there are {}", names.join(", "));
        return Ok(ExitCode::from(UNKNOWN));
    };
    for (program, package) in *programs {
        install(program, package)?;
    }
    let envoy = envoy::find()?;
    let nats = if name == "propagate" { Some(nats::find()?) } else { None };
    let filter = filter::build()?;
    let (empty, set) = (filter::build_empty()?, filter::build_set()?);
    // As `cargo xtask dist` builds it.
    run_command(&mut cargo(["build", "--release", "-p", "portcullis", "-p", "portcullis-bench", "--bins"]))?;

    let bin = target_dir().join("release");
    let mut bench = Command::new(bin.join("portcullis-bench"));
    bench.arg(name).args(args).env("ENVOY", envoy).env("PORTCULLIS_BIN", bin.join("portcullis"));
    bench.env("PORTCULLIS_FILTER", filter).env("EMPTY_FILTER", empty).env("SET_FILTER", set);
    if let Some(nats) = nats {
        bench.env("NATS_SERVER", nats);
    }
    become_command(&mut bench)
}

/// Sees to it that a program is there: with Debian's package manager, if we may.
fn install(program: &str, package: &str) -> Result<()> {
    if exists(program) {
        return Ok(());
    }
    let root = output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0");
    if !root || !exists("apt-get") {
        bail!("there is no `{program}` on the PATH: install it, in Debian by `apt-get install {package}`");
    }
    eprintln!("Installing {package} with apt-get (once) ...");
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt.args(["install", "--yes", "--no-install-recommends", package]);
    if let Err(error) = output(&mut apt) {
        bail!("{error:#}\n`apt-get update` may help");
    }
    Ok(())
}
