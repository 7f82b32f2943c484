//! `report`: whose access was ended, by whom, enforced where, and tried afterwards.

mod sheet;
mod words;

use clap::Args;

use super::Failure;
use super::output::{Output, visible};
use super::remote::Remote;
use crate::api::model::Moment;

pub(super) use words::{enforced, tried};

/// Revocations that are asked for at once.
const PAGE: &str = "500";

/// Arguments of `report`.
#[derive(Args, Debug)]
pub(super) struct Report {
    /// Revocations made from then on: a day, an RFC 3339 time, or Unix seconds
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Moment,

    /// And before that; now if it is left out
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Moment>,

    /// Comma-separated values with a heading, for a spreadsheet
    #[arg(long)]
    csv: bool,
}

impl Report {
    pub(super) fn run(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        if self.csv && out.json() {
            return Err(Failure::usage("--csv and --json exclude each other"));
        }
        let client = remote.client()?;
        let mut to = self.to;
        let (mut cursor, mut count, mut tried_count) = (None, 0_u64, 0_u64);
        if self.csv {
            out.bytes(&sheet::headings())?;
        }
        loop {
            let answer = client.report(&[
                ("from", Some(self.from.to_string())),
                ("to", to.map(|to| to.to_string())),
                ("limit", Some(PAGE.to_owned())),
                ("cursor", cursor),
            ])?;
            if out.json() {
                out.line(answer.text().trim_end())?;
            }
            let page = answer.read()?;
            // By the control plane's clock, and every page is of the same span.
            to = Some(page.to);
            for reported in &page.revocations {
                count += 1;
                tried_count += u64::from(reported.tried.count > 0);
                if self.csv {
                    out.bytes(&sheet::row(reported))?;
                } else if !out.json() {
                    out.line(words::sentence(reported))?;
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let span = format!("from {} to {}", words::time(self.from), to.map(words::time).unwrap_or_default());
        out.note(match count {
            0 => format!("no revocations {span}"),
            1 => format!("1 revocation {span}, {tried_count} tried afterwards"),
            _ => format!("{count} revocations {span}, {tried_count} of them tried afterwards"),
        });
        Ok(())
    }
}

/// `2026-11-01` is when that day begins, in UTC.
fn moment(text: &str) -> Result<Moment, String> {
    let at = text.parse().or_else(|error| format!("{text}T00:00:00Z").parse().map_err(|_| error));
    at.map_err(|error: crate::api::model::MomentError| {
        format!("{error}, or a day such as 2026-11-23 ({})", visible(text))
    })
}
