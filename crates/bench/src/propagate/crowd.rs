//! Simulated subscribers at a real control plane.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use portcullis_testbed::{ControlPlane, Issuer};

use super::Size;
use super::nats::Nats;
use crate::api::{Accepted, Api, Session, lines};
use crate::report::Report;
use crate::stats::quantile;
use crate::subscriber::Subscribers;
use crate::{note, plane, system};

/// Until the last subscriber has what was pushed.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long idle subscribers are watched.
const IDLE: Duration = Duration::from_secs(10);
const BURST: usize = 10_000;
const MILLION: usize = 1_000_000;

/// A control plane and its subscribers.
pub(super) struct Crowd {
    plane: ControlPlane,
    api: Api,
    issuer: String,
    subscribers: Subscribers,
    size: Size,
    /// What one single revocation is on the wire.
    pub(super) bytes: usize,
    revoked: u32,
}

impl Crowd {
    /// Connects them, and measures what they cost while nothing happens.
    pub(super) async fn gather(issuer: &Issuer, size: Size, report: &mut Report) -> Result<Self> {
        let Size { name, subscribers: count, connections, .. } = size;
        note!("Connecting {count} simulated subscribers over {connections} connections");
        let mut plane = plane::holding(issuer, 0).await?;
        let pid = plane.process().id().context("the control plane has ended")?;
        let mut api = Api::connect(&plane).await?;
        // The first revocation announces its shape and is larger than those that follow.
        let first = Session { issuer: issuer.name(), sid: "first" };
        let accepted = api.revoke(&first).await?;
        let before = system::resident_bytes(pid)?;
        let mut subscribers = Subscribers::connect(&plane, count, connections, accepted.version).await?;
        let second = Session { issuer: issuer.name(), sid: "second" };
        let next = api.revoke(&second).await?;
        subscribers.all_at(next.version, PATIENCE).await?;
        let bytes = subscribers.last_bytes;
        let after = system::resident_bytes(pid)?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let each = (after as f64 - before as f64) / count as f64;
        let id = if name == "10k" {
            "bytes_per_subscriber".to_owned()
        } else {
            format!("bytes_per_subscriber_{name}")
        };
        report.add(id, "B", &[each]);
        let cpu = system::cpu_seconds(pid)?;
        tokio::time::sleep(IDLE).await;
        #[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
        let idle = (system::cpu_seconds(pid)? - cpu) / IDLE.as_secs_f64() / count as f64 * 1e6;
        report.add(format!("idle_cpu_us_per_subscriber_second_{name}"), "us/s", &[idle]);
        note!("    {each:.0} bytes and {idle:.2} us of processor time a second for each of them");
        let issuer = issuer.name().to_owned();
        Ok(Self { plane, api, issuer, subscribers, size, bytes, revoked: 0 })
    }

    /// Processor time that the control plane has used so far, in seconds.
    pub(super) fn cpu_seconds(&mut self) -> Result<f64> {
        let pid = self.plane.process().id().context("the control plane has ended")?;
        system::cpu_seconds(pid)
    }

    /// Single revocations, one after another. Gives the median time to the last subscriber, in milliseconds;
    /// the time to every subscriber goes to `all`.
    pub(super) async fn singles(&mut self, all: &mut Vec<f64>) -> Result<f64> {
        let mut last = Vec::new();
        for _ in 0..self.size.per_round {
            self.revoked += 1;
            let sid = format!("single-{}", self.revoked);
            let accepted = self.api.revoke(&Session { issuer: &self.issuer, sid: &sid }).await?;
            let times = self.since(accepted).await?;
            last.push(times.last().copied().context("no subscriber")?);
            all.extend(times);
        }
        quantile(&last, 0.5).context("no revocation")
    }

    /// Milliseconds from the acceptance to each subscriber, the last one last.
    ///
    /// A change is sent out only after it was accepted, so what comes first of the API's answer and the first
    /// subscriber says when that was at the latest.
    async fn since(&mut self, accepted: Accepted) -> Result<Vec<f64>> {
        let mut times = self.subscribers.all_at(accepted.version, PATIENCE).await?;
        times.sort();
        let first = times.first().copied().context("no subscriber")?;
        let start = accepted.at.min(first);
        Ok(times.into_iter().map(|at| millis(at - start)).collect())
    }

    /// Bursts, as a batch: from the last line's acceptance, and for the million from the start of the call.
    pub(super) async fn bursts(&mut self, nats: &mut Nats, report: &mut Report) -> Result<()> {
        let Size { name, rounds, million, .. } = self.size;
        let (mut burst, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            burst.push(self.batch(&format!("burst-{round}"), BURST).await?);
            theirs.push(nats.burst(BURST).await?);
            note!("    a burst of {BURST}: {:.0} ms, with NATS {:.0} ms", last(&burst), last(&theirs));
        }
        report.add(format!("propagate_{name}_burst_10k_ms"), "ms", &burst);
        report.add(format!("nats_{name}_burst_10k_ms"), "ms", &theirs);
        if million {
            let took = self.batch("million", MILLION).await?;
            note!("    a batch of {MILLION}: {took:.0} ms");
            report.add(format!("propagate_{name}_million_ms"), "ms", &[took]);
        }
        Ok(())
    }

    /// Milliseconds from the start of the call until the last subscriber has the last line.
    async fn batch(&mut self, prefix: &str, count: usize) -> Result<f64> {
        let body = lines(&self.issuer, prefix, 0, count);
        let start = Instant::now();
        let accepted = self.api.batch(body, count).await?;
        let times = self.subscribers.all_at(accepted.version, PATIENCE).await?;
        let end = times.into_iter().max().context("no subscriber")?;
        Ok(millis(end.saturating_duration_since(start)))
    }

    /// From the call until the control plane has the receipt of the last of them.
    pub(super) async fn receipts(&mut self, report: &mut Report) -> Result<()> {
        self.subscribers.receipts.send_replace(true);
        let mut runs = Vec::new();
        for number in 0..=self.size.rounds {
            let sid = format!("confirmed-{number}");
            let start = Instant::now();
            let confirmed = self.api.revoke_and_wait(&Session { issuer: &self.issuer, sid: &sid }).await?;
            anyhow::ensure!(
                confirmed == self.subscribers.count,
                "{confirmed} of {} edges have confirmed",
                self.subscribers.count
            );
            // The first is also the first receipt of all others.
            if number > 0 {
                runs.push(millis(start.elapsed()));
            }
        }
        report.add(format!("propagate_{}_receipts_ms", self.size.name), "ms", &runs);
        let pid = self.plane.process().id().context("the control plane has ended")?;
        note!("    the control plane has {} MiB", system::resident_bytes(pid)? / (1_024 * 1_024));
        Ok(())
    }
}

fn last(runs: &[f64]) -> f64 {
    runs.last().copied().unwrap_or(f64::NAN)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
