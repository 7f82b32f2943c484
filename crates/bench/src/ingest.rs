//! `bench ingest`: how fast revocations become durable, and how fast a control plane and an edge start.

mod disk;
mod edge;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use portcullis_testbed::{ControlPlane, Issuer};
use tokio::task::JoinSet;

use crate::api::{Api, Session, lines};
use crate::report::Report;
use crate::stats::ratios;
use crate::{note, plane, subscriber, system};

/// Arguments of `bench ingest`.
#[derive(Args, Debug)]
pub(crate) struct Ingest {
    /// How often each thing is measured; calls and bare fsyncs take turns
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long calls are made in a round
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Only this part (may be given several times)
    #[arg(long, value_name = "PART", value_enum)]
    only: Vec<Part>,
    /// About two minutes: one round of a second each, no set of ten million
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// Durable single calls
    Singles,
    /// A million lines of NDJSON
    Batches,
    /// Starts with a million revocations
    #[value(name = "1m")]
    OneMillion,
    /// Starts with ten million
    #[value(name = "10m")]
    TenMillion,
}

const M: usize = 1_000_000;
/// Calls at a time.
const CONCURRENT: usize = 64;
/// Turns of calls and bare fsyncs in a round.
const SLICES: u32 = 5;
/// Connections over which a batch comes.
const BATCHES: usize = 2;

impl Ingest {
    pub(crate) async fn run(self, report: &mut Report) -> Result<()> {
        let (rounds, seconds) = if self.quick { (1, 1) } else { (self.rounds, self.seconds) };
        let issuer = Issuer::start().await?;
        let wants = |part| self.only.is_empty() || self.only.contains(&part);
        if wants(Part::Singles) {
            singles(&issuer, rounds, Duration::from_secs(seconds), report).await?;
        }
        if wants(Part::Batches) {
            batches(&issuer, rounds, report).await?;
        }
        if wants(Part::OneMillion) {
            starts(&issuer, M, "1m", [rounds, rounds], report).await?;
        }
        if wants(Part::TenMillion) && !self.quick {
            starts(&issuer, 10 * M, "10m", [1, rounds], report).await?;
        }
        Ok(())
    }
}

/// Durable single calls, one and many at a time, between bare fsyncs on the same disk.
async fn singles(issuer: &Issuer, rounds: u32, time: Duration, report: &mut Report) -> Result<()> {
    let plane = plane::holding(issuer, 0).await?;
    let (mut bare, mut one, mut many, mut nothing) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        let (mut syncs, mut alone, mut together, mut idle) = (0.0, 0.0, 0.0, 0.0);
        // What a disk can do changes within seconds.
        for slice in 0..SLICES {
            let (dir, time) = (plane.dir().to_owned(), time / SLICES);
            let bare = tokio::task::spawn_blocking(move || disk::syncs_per_second(&dir, time)).await??;
            let name = format!("{round}-{slice}");
            let share = f64::from(SLICES).recip();
            syncs += bare * share;
            let revoke =
                |prefix: &str| Call::Revoke { issuer: issuer.name(), prefix: format!("{prefix}-{name}") };
            alone += calls_per_second(&plane, &revoke("alone"), 1, time).await? * share;
            together += calls_per_second(&plane, &revoke("many"), CONCURRENT, time).await? * share;
            idle += calls_per_second(&plane, &Call::Nothing, CONCURRENT, time).await? * share;
        }
        note!(
            "    round {round}: {syncs:.0} fsyncs/s, {alone:.0} calls/s alone, {together:.0} with {CONCURRENT} at a time, {idle:.0} that do nothing"
        );
        bare.push(syncs);
        one.push(alone);
        many.push(together);
        nothing.push(idle);
    }
    report.add("ingest_c64_over_fsync", "ratio", &ratios(&many, &bare));
    report.add("ingest_c1_over_fsync", "ratio", &ratios(&one, &bare));
    report.add("ingest_c64_over_nothing", "ratio", &ratios(&many, &nothing));
    report.add("nothing_c64_over_fsync", "ratio", &ratios(&nothing, &bare));
    report.add("fsync_per_second", "1/s", &bare);
    report.add("ingest_c1_per_second", "1/s", &one);
    report.add("ingest_c64_per_second", "1/s", &many);
    report.add("nothing_c64_per_second", "1/s", &nothing);
    Ok(())
}

/// What callers ask for.
enum Call<'a> {
    /// A session to be revoked, of those that begin so.
    Revoke { issuer: &'a str, prefix: String },
    /// Whether the process is alive: what a call costs that does nothing.
    Nothing,
}

/// Calls that were answered in a second, each caller waiting for its answer before it calls again.
async fn calls_per_second(
    plane: &ControlPlane,
    call: &Call<'_>,
    callers: usize,
    time: Duration,
) -> Result<f64> {
    let mut apis = Vec::new();
    for _ in 0..callers {
        apis.push(Api::connect(plane).await?);
    }
    let start = Instant::now();
    let callers = apis.into_iter().enumerate().map(async |(caller, mut api)| {
        let mut calls = 0_u32;
        while start.elapsed() < time {
            match call {
                Call::Revoke { issuer, prefix } => {
                    let sid = format!("{prefix}-{caller}-{calls}");
                    api.revoke(&Session { issuer, sid: &sid }).await?;
                }
                Call::Nothing => api.alive().await?,
            }
            calls += 1;
        }
        anyhow::Ok(calls)
    });
    let calls: u32 = futures_util::future::try_join_all(callers).await?.into_iter().sum();
    Ok(f64::from(calls) / start.elapsed().as_secs_f64())
}

/// A million lines of NDJSON, half over each of two connections, into a control plane that holds nothing yet.
async fn batches(issuer: &Issuer, rounds: u32, report: &mut Report) -> Result<()> {
    let half = M / BATCHES;
    let bodies: Vec<Bytes> =
        (0..BATCHES).map(|part| lines(issuer.name(), "batch", part * half, (part + 1) * half)).collect();
    let mut rates = Vec::new();
    for round in 1..=rounds {
        let plane = plane::holding(issuer, 0).await?;
        let mut tasks = JoinSet::new();
        let mut apis = Vec::new();
        for _ in &bodies {
            apis.push(Api::connect(&plane).await?);
        }
        let start = Instant::now();
        for (mut api, body) in apis.into_iter().zip(bodies.iter().cloned()) {
            tasks.spawn(async move { api.batch(body, half).await });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        #[expect(clippy::cast_precision_loss, reason = "a million")]
        let rate = (half * BATCHES) as f64 / start.elapsed().as_secs_f64();
        note!("    round {round}: {rate:.0} lines/s");
        rates.push(rate);
    }
    report.add("batch_per_second", "1/s", &rates);
    Ok(())
}

/// How long a control plane with a full log takes to start, and a new edge to enforce; how often each is measured.
async fn starts(
    issuer: &Issuer,
    size: usize,
    name: &str,
    [planes, edges]: [u32; 2],
    report: &mut Report,
) -> Result<()> {
    note!("Filling a control plane with {size} revocations");
    let mut plane = plane::holding(issuer, size).await?;
    let mut cold = Vec::new();
    for _ in 0..planes {
        plane.kill().await?;
        let start = Instant::now();
        plane.restart().await?;
        cold.push(start.elapsed().as_secs_f64() * 1e3);
    }
    report.add(format!("cold_start_{name}_ms"), "ms", &cold);
    let pid = plane.process().id().context("the control plane has ended")?;
    #[expect(clippy::cast_precision_loss, reason = "2^53 bytes are more than there are")]
    let resident = system::resident_bytes(pid)? as f64;
    #[expect(clippy::cast_precision_loss, reason = "ten million")]
    let revocations = size as f64;
    report.add(format!("control_plane_bytes_per_revocation_{name}"), "B", &[resident / revocations]);

    let bytes = subscriber::snapshot_bytes(&plane).await?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let wire = bytes as f64 / revocations;
    let wire_id = if size == M {
        "wire_bytes_per_revocation".to_owned()
    } else {
        format!("wire_bytes_per_revocation_{name}")
    };
    report.add(wire_id, "B", &[wire]);

    let (mut enforcing, mut p99, mut worst) = (Vec::new(), Vec::new(), Vec::new());
    let (mut block, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..edges {
        let seen = edge::start(&plane, issuer).await?;
        note!(
            "    {size} revocations in force after {:.0} ms, {:.2} ms p99 meanwhile, {:.2} ms at worst; {:.2} ms blocked at a time",
            seen.enforcing_ms,
            seen.p99_ms,
            seen.worst_ms,
            seen.block_ms
        );
        enforcing.push(seen.enforcing_ms);
        p99.push(seen.p99_ms);
        worst.push(seen.worst_ms);
        block.push(seen.block_ms);
        bytes.push(seen.bytes / revocations);
    }
    report.add(format!("snapshot_{name}_ms"), "ms", &enforcing);
    report.add(format!("snapshot_{name}_request_p99_ms"), "ms", &p99);
    report.add(format!("snapshot_{name}_request_worst_ms"), "ms", &worst);
    report.add(format!("worker_block_ms_{name}"), "ms", &block);
    report.add(format!("bytes_per_revocation_{name}"), "B", &bytes);
    Ok(())
}
