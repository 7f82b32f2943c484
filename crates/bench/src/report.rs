//! Figures, their targets, and how they are written down.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::stats::{self, Summary};

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// That much or more.
    AtLeast(f64),
    /// That much or less.
    AtMost(f64),
}

use Target::{AtLeast, AtMost};

/// Every target that was set, by the id of its figure. A `_cpu` figure has the target of the figure without.
const TARGETS: [(&str, Target); 17] = [
    ("edge_1m_over_empty", AtLeast(0.95)),
    ("edge_10m_over_0", AtLeast(0.97)),
    ("edge_distinct_over_empty", AtLeast(0.85)),
    ("jwt_portcullis_over_lua", AtLeast(1.03)),
    ("over_ext_authz", AtLeast(2.3)),
    ("over_rbac_10k", AtLeast(18.0)),
    ("bytes_per_revocation_1m", AtMost(12.0)),
    ("bytes_per_revocation_10m", AtMost(12.0)),
    ("wire_bytes_per_revocation", AtMost(10.0)),
    ("worker_block_ms_10m", AtMost(5.0)),
    ("snapshot_1m_ms", AtMost(1_000.0)),
    ("propagate_1k_over_nats", AtMost(2.0)),
    ("propagate_p99_ms", AtMost(10.0)),
    ("bytes_per_subscriber", AtMost(32_768.0)),
    ("ingest_c64_over_fsync", AtLeast(10.0)),
    ("batch_per_second", AtLeast(150_000.0)),
    ("module_bytes", AtMost(350_000.0)),
];

/// One line of the result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    id: String,
    value: f64,
    unit: &'static str,
    /// As in `>= 0.95`; null where none was set.
    target: Option<String>,
    /// The largest run less the smallest, in the figure's unit.
    spread: f64,
    runs: usize,
}

/// The figures of one benchmark.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// Adds the median of what was measured. Nothing measured is no figure.
    pub(crate) fn add(&mut self, id: impl Into<String>, unit: &'static str, runs: &[f64]) {
        if let Some(summary) = stats::summary(runs) {
            self.push(id.into(), unit, summary);
        }
    }

    /// Adds a quantile of all values of a run; its spread is not known.
    pub(crate) fn add_quantile(
        &mut self,
        id: impl Into<String>,
        unit: &'static str,
        values: &[f64],
        share: f64,
    ) {
        if let Some(value) = stats::quantile(values, share) {
            self.push(id.into(), unit, Summary { value, spread: 0.0, runs: values.len() });
        }
    }

    fn push(&mut self, id: String, unit: &'static str, Summary { value, spread, runs }: Summary) {
        let target = target(&id).map(Target::text);
        self.figures.push(Figure { id, value, unit, target, spread, runs });
    }

    /// The table that a person reads.
    pub(crate) fn table(&self) -> String {
        let mut table = format!(
            "{:<34} {:>14} {:<8} {:>12} {:>5}  {}\n",
            "figure", "median", "unit", "spread", "runs", "target"
        );
        for figure in &self.figures {
            let Figure { id, value, unit, spread, runs, .. } = figure;
            let verdict = target(id).map(|target| {
                let verdict = if target.is_met(*value) { "met" } else { "MISSED" };
                format!("{} {verdict}", target.text())
            });
            let (value, spread) = (readable(*value), readable(*spread));
            let line = format!(
                "{id:<34} {value:>14} {unit:<8} {spread:>12} {runs:>5}  {}",
                verdict.unwrap_or_default()
            );
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{}", line.trim_end());
        }
        table
    }

    /// Writes the JSON that scripts read.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn target(id: &str) -> Option<Target> {
    let id = id.strip_suffix("_cpu").unwrap_or(id);
    TARGETS.iter().find(|(of, _)| *of == id).map(|(_, target)| *target)
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            AtLeast(bound) => value >= bound,
            AtMost(bound) => value <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            AtLeast(bound) => format!(">= {bound}"),
            AtMost(bound) => format!("<= {bound}"),
        }
    }
}

/// Three decimals for what is small, none for what is large.
fn readable(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        small if small < 100.0 => format!("{value:.3}"),
        small if small < 1_000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_json_has_what_scripts_rely_on() {
        let mut report = Report::default();
        report.add("edge_1m_over_empty_cpu", "ratio", &[0.9, 1.0, 0.97]);
        report.add("nothing", "ms", &[]);
        report.add_quantile("propagate_p99_ms", "ms", &[1.0, 2.0], 0.99);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result.json");
        report.write(&path).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let expect = json!({ "figures": [
            { "id": "edge_1m_over_empty_cpu", "value": 0.97, "unit": "ratio", "target": ">= 0.95",
              "spread": 1.0 - 0.9, "runs": 3 },
            { "id": "propagate_p99_ms", "value": 2.0, "unit": "ms", "target": "<= 10", "spread": 0.0, "runs": 2 },
        ]});
        assert_eq!(read, expect);
    }

    #[test]
    fn the_table_says_whether_a_target_is_met() {
        let mut report = Report::default();
        report.add("over_ext_authz", "ratio", &[2.3]);
        report.add("snapshot_1m_ms", "ms", &[1_000.5]);
        report.add("anything", "ms", &[0.0]);
        let table = report.table();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].ends_with(">= 2.3 met"), "{table}");
        assert!(lines[2].ends_with("<= 1000 MISSED"), "{table}");
        assert!(lines[3].ends_with('1'), "{table}");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = Report::default().write(Path::new("/nowhere/result.json")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/result.json"), "{error}");
    }
}
