//! What the filter has said, from Envoy's log.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};
use proxy_wasm_harness::scenario::{level, log_line};

/// The names of threads, by their id.
#[derive(Clone, Debug, Default)]
pub(super) struct Threads(BTreeMap<String, String>);

/// What Envoy calls the thread of a worker, before its name.
const WORKER: &str = "wrk:";
const MAIN: &str = "main_thread";

impl Threads {
    /// The threads of a running Envoy.
    pub(super) fn of(process: u32) -> Result<Self> {
        let mut names = BTreeMap::from([(process.to_string(), MAIN.to_owned())]);
        for task in fs::read_dir(format!("/proc/{process}/task")).context("Envoy is gone")? {
            let task = task?;
            // A thread may end meanwhile.
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            if let Some(worker) = name.trim_end().strip_prefix(WORKER) {
                names.insert(task.file_name().to_string_lossy().into_owned(), worker.to_owned());
            }
        }
        Ok(Self(names))
    }

    /// The only thread of an Envoy that has given up: the first to log.
    pub(super) fn only_main(log: &str) -> Self {
        let first = records(log).next();
        Self(first.map(|record| (record.thread.to_owned(), MAIN.to_owned())).into_iter().collect())
    }
}

/// The filter's lines, in order, by thread.
pub(super) fn by_thread(log: &str, threads: &Threads) -> BTreeMap<String, Vec<String>> {
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records(log) {
        let Some(thread) = threads.0.get(record.thread) else { continue };
        let Some((_, message)) =
            record.text.split_once("wasm log").and_then(|(_, rest)| rest.split_once(": "))
        else {
            continue;
        };
        let Some(level) = level(record.level) else { continue };
        lines.entry(thread.clone()).or_default().push(log_line(level, message));
    }
    lines
}

/// A line of the log, or several if the message has line breaks.
struct Record<'a> {
    thread: &'a str,
    level: &'a str,
    text: &'a str,
}

/// Records begin with `[TIME][THREAD][LEVEL][COMPONENT] [FILE:LINE] `.
fn records(log: &str) -> impl Iterator<Item = Record<'_>> {
    let mut rest = log;
    std::iter::from_fn(move || {
        loop {
            let end = rest.match_indices("\n[20").map(|(at, _)| at + 1).next().unwrap_or(rest.len());
            let (text, after) = rest.split_at_checked(end)?;
            if text.is_empty() {
                return None;
            }
            rest = after;
            if let Some(record) = record(text) {
                return Some(record);
            }
        }
    })
}

fn record(text: &str) -> Option<Record<'_>> {
    let mut fields = text.strip_prefix('[')?.splitn(4, "][");
    let (_, thread, level) = (fields.next()?, fields.next()?, fields.next()?);
    let level = if level == "warning" { "warn" } else { level };
    Some(Record { thread, level, text: fields.next()? })
}
