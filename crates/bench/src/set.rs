//! `bench set`: the set in the VM of an Envoy's worker, measured from inside it by `filters/set`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use portcullis_testbed::Envoy;
use serde::Deserialize;
use tokio::time::timeout;

use crate::edge::{Probe, answering, insert_filter, wasm};
use crate::report::Report;
use crate::{needs, note};

/// Arguments of `bench set`.
#[derive(Args, Debug)]
pub(crate) struct Set {
    /// How often each thing is measured, after once that does not count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Half a minute: two rounds, no set of ten million
    #[arg(long, conflicts_with = "rounds")]
    quick: bool,
}

const SIZES: [(u64, &str); 2] = [(1_000_000, "1m"), (10_000_000, "10m")];
/// The sizes of `--quick`.
const QUICK_MOST: u64 = 1_000_000;
/// Until an answer is there: the first makes ten million keys.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Deserialize)]
struct Load {
    entries: u64,
    load_ns: f64,
    longest_ns: f64,
}

#[derive(Deserialize)]
struct Look {
    looks: u32,
    blank_ns: f64,
    hit_ns: f64,
    miss_ns: f64,
    hits: u32,
    false_hits: u32,
}

impl Set {
    pub(crate) async fn run(self, report: &mut Report) -> Result<()> {
        let (rounds, most) = if self.quick { (2, QUICK_MOST) } else { (self.rounds, u64::MAX) };
        for (entries, name) in SIZES.into_iter().filter(|(entries, _)| *entries <= most) {
            measure(entries, name, rounds, report).await?;
        }
        Ok(())
    }
}

async fn measure(entries: u64, name: &str, rounds: u32, report: &mut Report) -> Result<()> {
    note!("Making a snapshot of {entries} keys in an Envoy");
    let filter = wasm("set", &needs::set_filter()?, &entries.to_string());
    let envoy = Envoy::start(answering().edit(|config| insert_filter(config, filter))).await?;
    let mut vm = Probe::connect(envoy.address(), None).await?;
    let (mut hits, mut misses) = (Vec::new(), Vec::new());
    let (mut loads, mut chunks) = (Vec::new(), Vec::new());
    // The first round is the compiler's.
    for round in 0..=rounds {
        let load: Load = ask(&mut vm, "/load").await?;
        ensure!(load.entries == entries, "{} of {entries} entries are in the set", load.entries);
        let look: Look = ask(&mut vm, "/look").await?;
        ensure!(look.hits == look.looks, "{} of {} keys were found", look.hits, look.looks);
        ensure!(look.false_hits == 0, "{} keys were found that are not there", look.false_hits);
        if round == 0 {
            continue;
        }
        let each = |all: f64| (all - look.blank_ns).max(0.0) / f64::from(look.looks);
        let (hit, miss) = (each(look.hit_ns), each(look.miss_ns));
        let (load_ms, chunk_us) = (load.load_ns / 1e6, load.longest_ns / 1e3);
        note!(
            "    round {round}: {hit:.0} ns a hit, {miss:.0} ns a miss; {load_ms:.0} ms to load, {chunk_us:.0} us for a message at most"
        );
        hits.push(hit);
        misses.push(miss);
        loads.push(load_ms);
        chunks.push(chunk_us / 1e3);
    }
    report.add(format!("set_hit_ns_{name}"), "ns", &hits);
    report.add(format!("set_miss_ns_{name}"), "ns", &misses);
    report.add(format!("set_load_ms_{name}"), "ms", &loads);
    report.add(format!("set_message_ms_{name}"), "ms", &chunks);
    Ok(())
}

/// What the filter answers.
async fn ask<T: for<'a> Deserialize<'a>>(vm: &mut Probe, path: &str) -> Result<T> {
    let answer = timeout(PATIENCE, vm.get(path)).await.with_context(|| format!("no answer to {path}"))?;
    let (status, body) = answer.context("the set's filter")?;
    ensure!(status == 200, "the set's filter: {status}: {}", String::from_utf8_lossy(&body));
    Ok(serde_json::from_slice(&body)?)
}
