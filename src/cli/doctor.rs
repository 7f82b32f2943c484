//! `doctor`: is everything in place, and what to do where it is not.
//!
//! Adapters fetch (`plane`, `envoy`), pure functions decide over what was fetched (`service`, `edges`, `chain`, ..),
//! and every finding is a [`finding::Code`].

mod certificate;
mod chain;
mod cluster;
mod dump;
mod edges;
mod envoy;
mod finding;
mod plane;
mod plugin;
mod service;
mod stats;
#[cfg(test)]
mod tests;

use clap::Args;
use serde::Serialize;

use super::output::{BAD, BOLD, CAUTION, Output, styled, visible};
use super::remote::Remote;
use super::{Exit, Failure};
use finding::{Code, Finding, Severity};

/// Arguments of `doctor`.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Doctor {
    /// The admin interface of an Envoy that should enforce, as http://HOST:PORT; may be given several times
    ///
    /// Only read, and best from the machine of that Envoy: whoever reaches its admin interface can stop it.
    #[arg(long, value_name = "URL")]
    envoy: Vec<String>,

    /// Leave out findings of this code: what is meant to be so
    #[arg(long, value_name = "CODE", value_enum, hide_short_help = true)]
    ignore: Vec<Code>,
}

const EXAMPLES: &str = "\
Exits with 1 where something is found. With --json the findings are one object:
  {\"control_plane\": URL, \"envoys\": [URL, …], \"errors\": N, \"warnings\": N, \"findings\": [
    {\"code\": …, \"severity\": \"error\" or \"warning\", \"subject\": where, \"seen\": what, \"advice\": what to do}, …]}

Examples:
  portcullis doctor
  portcullis doctor --envoy http://127.0.0.1:9901
  portcullis doctor --envoy http://10.0.0.7:15000 --ignore delayed_close_timeout --json";

/// What was looked at and found.
#[derive(Debug, Serialize)]
struct Report<'a> {
    control_plane: &'a str,
    envoys: &'a [String],
    errors: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

impl Doctor {
    pub(super) fn run(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let report = self.report(remote)?;
        let counted = report.counted();
        match (out.json(), report.findings.is_empty()) {
            (true, _) => out.line(serde_json::to_string(&report).unwrap_or_default())?,
            (false, false) => out.line(in_words(&report.findings))?,
            (false, true) => {
                out.note(format_args!("nothing found: the control plane and {}", envoys(&self.envoy)));
            }
        }
        if report.findings.is_empty() { Ok(()) } else { Err(Failure::new(Exit::Failed, counted)) }
    }

    fn report<'a>(&'a self, remote: &'a Remote) -> Result<Report<'a>, Failure> {
        let (plane, mut findings) = match plane::fetch(&remote.client()?, remote.url()) {
            Ok(plane) => {
                let findings = [service::findings(&plane), edges::findings(&plane)].concat();
                (Some(plane), findings)
            }
            Err(error) => (None, vec![plane::finding(error, remote.url())?]),
        };
        let mut seen = Vec::new();
        for url in &self.envoy {
            match envoy::fetch(url)? {
                Ok(envoy) => seen.push(envoy),
                Err(finding) => findings.push(finding),
            }
        }
        findings.extend(envoy::findings(&seen, plane.as_ref()));
        findings.retain(|finding| !self.ignore.contains(&finding.code));
        // The gravest first, otherwise in the order in which things were looked at.
        findings.sort_by_key(|finding| finding.severity);
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        let warnings = findings.len() - errors;
        Ok(Report { control_plane: remote.url(), envoys: &self.envoy, errors, warnings, findings })
    }
}

impl Report<'_> {
    fn counted(&self) -> String {
        let count = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        match (self.errors, self.warnings) {
            (0, warnings) => format!("{} found", count(warnings, "warning")),
            (errors, 0) => format!("{} found", count(errors, "error")),
            (errors, warnings) => {
                format!("{} and {} found", count(errors, "error"), count(warnings, "warning"))
            }
        }
    }
}

fn envoys(urls: &[String]) -> String {
    match urls.len() {
        0 => "its edges as it sees them; --envoy looks at an Envoy too".to_owned(),
        1 => "1 Envoy".to_owned(),
        count => format!("{count} Envoys"),
    }
}

fn in_words(findings: &[Finding]) -> String {
    let words = findings.iter().map(|finding| {
        let severity = match finding.severity {
            Severity::Error => styled(BAD, "error:"),
            Severity::Warning => styled(CAUTION, "warning:"),
        };
        let code = serde_json::to_value(finding.code).unwrap_or_default();
        let code = code.as_str().unwrap_or_default();
        let (subject, seen) = (visible(&finding.subject), visible(&finding.seen));
        format!("{severity} {subject}: {seen} [{code}]\n{} {}", styled(BOLD, " hint:"), finding.advice)
    });
    words.collect::<Vec<_>>().join("\n")
}
