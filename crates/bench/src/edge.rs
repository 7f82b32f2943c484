//! `bench edge`: what a request costs in a real Envoy, with Portcullis and with what people use today.

mod authz;
mod config;
mod load;
mod measure;
mod plot;
mod probe;
mod redis;
mod tokens;
mod variant;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use portcullis_testbed::paths;

use crate::note;
use crate::report::Report;
use crate::system::Cores;
use measure::{Measured, Stage};
use variant::Variant;

pub(crate) use config::{answering, insert_filter, rbac_of, wasm, with_portcullis};
pub(crate) use probe::Probe;

/// Arguments of `bench edge`.
#[derive(Args, Debug)]
pub(crate) struct Edge {
    /// How often everything is started anew
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each variant is measured in a round, in turns of a second
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Only this variant (may be given several times); an unknown name lists all
    #[arg(long, value_name = "VARIANT")]
    only: Vec<String>,
    /// About two minutes: two rounds of a second each, no set of ten million
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// Draw the processor time of each variant
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// The set sizes of `--quick`.
const QUICK_MOST: usize = 1_000_000;

type Results = BTreeMap<&'static str, Vec<Measured>>;

impl Edge {
    pub(crate) async fn run(self, cores: &Cores, report: &mut Report) -> Result<()> {
        let most = if self.quick { QUICK_MOST } else { usize::MAX };
        let (rounds, seconds) = if self.quick { (2, 1) } else { (self.rounds, self.seconds) };
        let variants = variant::choose(&self.only, most)?;
        let stage = Stage::set(&variants, cores.clone()).await?;
        let mut results = Results::new();
        let mut broken: BTreeMap<&str, String> = BTreeMap::new();
        for round in 1..=rounds {
            note!("Round {round} of {rounds}");
            let sound: Vec<_> = variants.iter().filter(|one| !broken.contains_key(one.name)).collect();
            for (variant, measured) in measure(&stage, &sound, seconds).await {
                match measured {
                    Ok(measured) => {
                        note!("    {:<28} {measured}", variant.name);
                        results.entry(variant.name).or_default().push(measured);
                    }
                    Err(error) => {
                        note!("    {:<28} has no figure: {error:#}", variant.name);
                        broken.insert(variant.name, format!("{error:#}"));
                        results.remove(variant.name);
                    }
                }
            }
        }
        add_ratios(&results, report);
        add_module(report)?;
        for variant in &variants {
            add_figures(variant, results.get(variant.name).map_or(&[], Vec::as_slice), report);
        }
        if let Some(path) = &self.plot {
            plot::write(path, &variants, &results)?;
        }
        let names: Vec<_> = broken.keys().copied().collect();
        ensure!(names.is_empty(), "without a figure: {}", names.join(", "));
        Ok(())
    }
}

/// One round: all variants are started, then take turns of a second, there and back, so that what comes first has no
/// advantage from it.
async fn measure<'v>(
    stage: &Stage,
    variants: &[&'v Variant],
    seconds: u64,
) -> Vec<(&'v Variant, Result<Measured>)> {
    let mut running = Vec::new();
    for variant in variants {
        running.push((*variant, stage.start_again(variant).await));
    }
    for _ in 0..seconds {
        for (_, envoy) in &mut running {
            let turn = match envoy {
                Ok(envoy) => stage.turn(envoy).await,
                Err(_) => continue,
            };
            if let Err(error) = turn {
                *envoy = Err(error);
            }
        }
        running.reverse();
    }
    running.sort_by_key(|(variant, _)| variants.iter().position(|one| one == variant));
    let mut measured = Vec::new();
    for (variant, envoy) in running {
        measured.push(match envoy {
            Ok(envoy) => (variant, stage.end(envoy).await),
            Err(error) => (variant, Err(error)),
        });
    }
    measured
}

/// The ratios that have a target: `id`, what is put over what.
const RATIOS: [(&str, &str, &str); 6] = [
    ("edge_1m_over_empty", variant::PORTCULLIS_1M, variant::EMPTY),
    ("edge_10m_over_0", variant::PORTCULLIS_10M, variant::PORTCULLIS_0),
    ("edge_distinct_over_empty", variant::PORTCULLIS_DISTINCT, variant::EMPTY_DISTINCT),
    ("jwt_portcullis_over_lua", variant::JWT_PORTCULLIS, variant::JWT_LUA),
    ("over_ext_authz", variant::PORTCULLIS_1M, variant::EXT_AUTHZ),
    ("over_rbac_10k", variant::JWT_PORTCULLIS, variant::JWT_RBAC),
];

/// Each in requests a second, and as `_cpu` in requests per second of Envoy's processor time: with both, more
/// is better.
fn add_ratios(results: &Results, report: &mut Report) {
    let pairs = |over, under| {
        let of = |name: &str| results.get(name).map_or(&[][..], Vec::as_slice);
        of(over).iter().zip(of(under))
    };
    for (id, over, under) in RATIOS {
        let rates: Vec<f64> = pairs(over, under).map(|(over, under)| over.rate_over(under)).collect();
        report.add(id, "ratio", &rates);
        let cpu: Vec<f64> = pairs(over, under).map(|(over, under)| over.cpu_over(under)).collect();
        report.add(format!("{id}_cpu"), "ratio", &cpu);
    }
}

/// How long the filter is that Envoy compiles for every worker.
fn add_module(report: &mut Report) -> Result<()> {
    let bytes = fs::metadata(paths::filter()?).context("no filter")?.len();
    report.add("module_bytes", "bytes", &[f64::from(u32::try_from(bytes)?)]);
    Ok(())
}

fn add_figures(variant: &Variant, measured: &[Measured], report: &mut Report) {
    let mut add = |what: &str, unit, of: fn(&Measured) -> f64| {
        let runs: Vec<f64> = measured.iter().map(of).collect();
        report.add(format!("edge_{}_{what}", variant.name), unit, &runs);
    };
    add("rps", "req/s", Measured::per_second);
    add("cpu_us", "us/req", Measured::cpu_us);
    add("p50_us", "us", Measured::p50_us);
    add("p99_us", "us", Measured::p99_us);
    add("rss_mib", "MiB", |measured| measured.resident_mib);
}
