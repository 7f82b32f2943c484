//! `edges`: who enforces, and how far behind.

use clap::Args;

use super::output::Output;
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
            format!("{rows}\n\nthe control plane is at version {}", edges.version)
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
            state(edge.connected),
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
                state(worker.connected),
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

fn state(connected: bool) -> comfy_table::Cell {
    if connected { table::good("connected") } else { table::caution("gone") }
}

fn lag(lag: u64) -> comfy_table::Cell {
    if lag == 0 { table::good(lag) } else { table::caution(lag) }
}
