//! `bench propagate`: from the acceptance of a revocation to its enforcement, at one real Envoy and at many
//! simulated edges, beside NATS and beside Envoy's own way.

mod crowd;
mod nats;
mod one;
mod xds;

use anyhow::Result;
use clap::Args;
use portcullis_testbed::Issuer;

use crate::report::Report;
use crate::stats::ratios;
use crate::system;

/// Arguments of `bench propagate`.
#[derive(Args, Debug)]
pub(crate) struct Propagate {
    /// Single revocations at the real Envoy
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    singles: u32,
    /// Rounds with simulated subscribers; Portcullis and NATS take turns
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Single revocations in a round
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    per_round: u32,
    /// Connections that the simulated subscribers share, and those of NATS
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// About two minutes: fewer of everything, no ten thousand subscribers, no batch of a million
    #[arg(long, conflicts_with_all = ["singles", "rounds", "per_round"])]
    quick: bool,
}

/// How many subscribers, and how they are measured.
#[derive(Clone, Copy, Debug)]
struct Size {
    name: &'static str,
    subscribers: usize,
    connections: usize,
    rounds: u32,
    per_round: u32,
    /// Whether a batch of a million is pushed too: it is 16 MB or more to each subscriber.
    million: bool,
}

impl Propagate {
    pub(crate) async fn run(self, report: &mut Report) -> Result<()> {
        let (singles, rounds, per_round) =
            if self.quick { (50, 2, 10) } else { (self.singles, self.rounds, self.per_round) };
        let issuer = Issuer::start().await?;
        one::measure(&issuer, singles, report).await?;
        let connections = usize::try_from(self.connections)?;
        let size =
            Size { name: "1k", subscribers: 1_000, connections, rounds, per_round, million: !self.quick };
        compare(&issuer, size, report).await?;
        if !self.quick {
            let larger = Size { name: "10k", subscribers: 10_000, million: false, ..size };
            compare(&issuer, larger, report).await?;
        }
        for entries in [1_000, 10_000] {
            xds::measure(&issuer, entries, rounds, report).await?;
        }
        Ok(())
    }
}

/// The same number of subscribers at the control plane and at NATS, in turns.
async fn compare(issuer: &Issuer, size: Size, report: &mut Report) -> Result<()> {
    let mut crowd = crowd::Crowd::gather(issuer, size, report).await?;
    let mut nats = nats::Nats::start(size.subscribers, size.connections).await?;
    let (mut ours, mut theirs, mut all) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cpu, mut nats_cpu) = (Vec::new(), Vec::new());
    #[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
    let deliveries = f64::from(size.per_round) * size.subscribers as f64;
    for round in 1..=size.rounds {
        let before = crowd.cpu_seconds()?;
        let last = crowd.singles(&mut all).await?;
        cpu.push((crowd.cpu_seconds()? - before) * 1e6 / deliveries);
        let before = system::cpu_seconds(nats.pid)?;
        let nats_last = nats.publish(crowd.bytes, size.per_round).await?;
        nats_cpu.push((system::cpu_seconds(nats.pid)? - before) * 1e6 / deliveries);
        crate::note!(
            "    round {round}: the last of {} after {last:.2} ms, with NATS after {nats_last:.2} ms",
            size.subscribers
        );
        ours.push(last);
        theirs.push(nats_last);
    }
    let name = size.name;
    report.add(format!("propagate_{name}_over_nats"), "ratio", &ratios(&ours, &theirs));
    report.add(format!("propagate_{name}_last_ms"), "ms", &ours);
    report.add(format!("nats_{name}_last_ms"), "ms", &theirs);
    report.add(format!("propagate_{name}_cpu_us_per_delivery"), "us", &cpu);
    report.add(format!("nats_{name}_cpu_us_per_delivery"), "us", &nats_cpu);
    for (id, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
        report.add_quantile(format!("propagate_{name}_{id}_ms"), "ms", &all, share);
    }
    crowd.bursts(&mut nats, report).await?;
    crowd.receipts(report).await
}
