//! `edges`: who enforces, and how far behind.

use clap::Args;

use super::output::{CAUTION, Output, styled, visible};
use super::remote::Remote;
use super::{Failure, table, time};
use crate::api::model::{self, Moment};

/// Arguments of `edges`.
#[derive(Args, Debug)]
pub(super) struct Edges {
    /// One line per worker instead of one per edge
    #[arg(long)]
    workers: bool,
}

impl Edges {
    pub(super) fn run(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let answer = remote.client()?.edges()?;
        out.answer(&answer, |edges| {
            if edges.edges.is_empty() {
                return "no edge has connected".to_owned();
            }
            let now = Moment::now();
            let rows = if self.workers { by_worker(edges, now) } else { by_edge(edges, now) };
            let refusals: String = refusals(edges).map(|line| format!("\n\n{line}")).collect();
            format!("{rows}{refusals}\n\nthe control plane is at version {}", edges.version)
        })
    }
}

fn by_edge(edges: &model::Edges, now: Moment) -> String {
    let mut rows =
        table::table(&["NODE", "STATE", "WORKERS", "VERSION", "LAG", "LAST CONTACT", "REJECTED", "FILTER"]);
    for edge in &edges.edges {
        let rejected: u64 = edge.workers.iter().flat_map(|worker| worker.rejections.values()).sum();
        rows.add_row(table::row([
            table::cell(&edge.node),
            state(edge.connected, edge.workers.iter().any(|worker| worker.refused.is_some())),
            table::cell(edge.workers.len()),
            table::cell(edge.version),
            lag(edge.lag),
            table::cell(time::relative(edge.last_contact, now)),
            table::cell(rejected),
            table::cell(&edge.filter_version),
        ]));
    }
    table::text(rows)
}

fn by_worker(edges: &model::Edges, now: Moment) -> String {
    let headings =
        ["NODE", "WORKER", "STATE", "VERSION", "LAG", "REVOCATIONS", "REJECTED", "CONNECTED", "LAST CONTACT"];
    let mut rows = table::table(&headings);
    for edge in &edges.edges {
        for worker in &edge.workers {
            rows.add_row(table::row([
                table::cell(&edge.node),
                table::cell(&worker.worker),
                state(worker.connected, worker.refused.is_some()),
                table::cell(worker.version),
                lag(worker.lag),
                table::cell(worker.revocations),
                table::cell(worker.rejections.values().sum::<u64>()),
                table::cell(time::relative(worker.connected_since, now)),
                table::cell(time::relative(worker.last_contact, now)),
            ]));
        }
    }
    table::text(rows)
}

/// One line per worker that goes on with an old set: what it would take to change that.
fn refusals(edges: &model::Edges) -> impl Iterator<Item = String> {
    edges.edges.iter().flat_map(|edge| {
        edge.workers.iter().filter_map(|worker| {
            let set = worker.refused?;
            let line = format!(
                "{}, worker {}, refuses the set: {} revocations, and its `limits.revocations` is {}. It enforces \
                 version {} until that is raised or the set is smaller",
                visible(&edge.node),
                visible(&worker.worker),
                set.revocations,
                set.limit,
                worker.version
            );
            Some(styled(CAUTION, line))
        })
    })
}

/// A worker that does not take the set comes back again and again: that it is gone is not the news.
fn state(connected: bool, refuses: bool) -> comfy_table::Cell {
    match (connected, refuses) {
        (_, true) => table::caution("refuses the set"),
        (true, false) => table::good("connected"),
        (false, false) => table::caution("gone"),
    }
}

fn lag(lag: u64) -> comfy_table::Cell {
    if lag == 0 { table::good(lag) } else { table::caution(lag) }
}
