//! `issuers`: what the control plane knows of those who issue tokens.

use std::time::Duration;

use clap::Args;

use super::output::Output;
use super::remote::Remote;
use super::{Failure, table, time};
use crate::api::model::Moment;

/// Arguments of `issuers`.
#[derive(Args, Debug)]
pub(super) struct Issuers {}

impl Issuers {
    pub(super) fn run(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let answer = remote.client()?.issuers()?;
        out.answer(&answer, |issuers| {
            if issuers.issuers.is_empty() {
                return "no issuer is configured: default lifetimes apply to all".to_owned();
            }
            let headings =
                ["ISSUER", "TOKENS LIVE", "SESSIONS LIVE", "CUT-OFF BY", "SKEW", "KEYS", "FETCHED"];
            let mut rows = table::table(&headings);
            let now = Moment::now();
            for issuer in &issuers.issuers {
                rows.add_row(table::row([
                    table::cell(&issuer.issuer),
                    table::cell(lifetime(issuer.max_token_lifetime_seconds)),
                    table::cell(lifetime(issuer.max_session_lifetime_seconds)),
                    table::cell(issuer.cutoff_claim.name()),
                    table::cell(format!("{:?}", Duration::from_millis(issuer.clock_skew_ms))),
                    table::cell(issuer.keys.len()),
                    table::cell(issuer.keys_fetched_at.map_or("-".to_owned(), |at| time::relative(at, now))),
                ]));
            }
            table::text(rows)
        })
    }
}

fn lifetime(seconds: u64) -> String {
    match seconds {
        hours if hours >= 3_600 && hours.is_multiple_of(3_600) => format!("{} h", hours / 3_600),
        minutes if minutes >= 60 && minutes.is_multiple_of(60) => format!("{} min", minutes / 60),
        seconds => format!("{seconds} s"),
    }
}
