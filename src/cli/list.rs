//! `list`: revocations, newest first.

use clap::{Args, ValueEnum};

use super::output::{Output, visible};
use super::remote::Remote;
use super::{Failure, report, show, table, time};
use crate::api::model::{Kind, Moment, ReportedRevocation, Revocation, Revocations, Status};
use crate::client::{Answer, Client};

/// Arguments of `list`.
#[derive(Args, Debug)]
pub(super) struct List {
    /// Only the revocation with this id, with all that is known of it
    #[arg(value_name = "ID", conflicts_with_all = ["kind", "issuer", "value", "status", "limit", "cursor", "all"])]
    id: Option<String>,

    /// Only this kind
    #[arg(long, value_enum)]
    kind: Option<Kind>,

    /// Only this issuer
    #[arg(long, value_name = "ISS")]
    issuer: Option<String>,

    /// Only this sid, sub, jti, client_id or kid
    #[arg(long)]
    value: Option<String>,

    /// In force, ended, or both
    #[arg(long, value_enum, default_value = "active")]
    status: StatusFilter,

    /// Most that are listed at once
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    /// Go on where an earlier page ended
    #[arg(long)]
    cursor: Option<String>,

    /// All pages; with --json one per line
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StatusFilter {
    /// In force, reinstated ones included
    Active,
    /// Undone or expired
    Ended,
    /// All that the log still has
    All,
}

impl List {
    pub(super) fn run(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let client = remote.client()?;
        if let Some(id) = &self.id {
            let answer = client.revocation(id)?;
            return out.answer(&answer, |revocation| one(revocation, Moment::now()));
        }
        let (mut cursor, mut any) = (self.cursor.clone(), false);
        loop {
            let page = self.page(&client, cursor)?;
            if out.json() {
                out.line(page.text().trim_end())?;
                if !self.all {
                    return Ok(());
                }
            }
            let page = page.read()?;
            any |= !page.revocations.is_empty();
            if !out.json() && !page.revocations.is_empty() {
                out.line(rows(&page.revocations, Moment::now()))?;
            }
            cursor = page.next_cursor;
            match &cursor {
                None if any => return Ok(()),
                None => {
                    out.note("no revocations");
                    return Ok(());
                }
                // A page may be empty though more follow: what was asked for is rare.
                Some(next) if any && !self.all => {
                    out.note(format_args!("more: --cursor {}, or --all", visible(next)));
                    return Ok(());
                }
                Some(_) => {}
            }
        }
    }

    fn page(&self, client: &Client, cursor: Option<String>) -> Result<Answer<Revocations>, Failure> {
        let status = match self.status {
            StatusFilter::Active => "active",
            StatusFilter::Ended => "ended",
            StatusFilter::All => "all",
        };
        Ok(client.revocations(&[
            ("kind", self.kind.map(|kind| kind.name().to_owned())),
            ("issuer", self.issuer.clone()),
            ("value", self.value.clone()),
            ("status", Some(status.to_owned())),
            ("limit", Some(self.limit.to_string())),
            ("cursor", cursor),
        ])?)
    }
}

/// A table of revocations.
pub(super) fn rows(revocations: &[Revocation], now: Moment) -> String {
    let mut rows = table::table(&["ID", "STATUS", "REVOKED", "CUT-OFF", "ENDS", "SINCE", "BY", "REASON"]);
    for revocation in revocations {
        let status = revocation.status.name();
        rows.add_row(table::row([
            table::cell(&revocation.id),
            match revocation.status {
                Status::Active => table::good(status),
                Status::Reinstated => table::caution(status),
                Status::Undone | Status::Expired => table::dim(status),
            },
            table::cell(revocation.target()),
            table::cell(revocation.cutoff.map_or_else(|| "every token".to_owned(), time::absolute)),
            table::cell(match (revocation.ended_at, revocation.expires_at) {
                (Some(at), _) | (None, Some(at)) => time::relative(at, now),
                (None, None) if revocation.until_reinstated => "when reinstated".to_owned(),
                (None, None) => "when undone".to_owned(),
            }),
            table::cell(time::relative(revocation.created_at, now)),
            table::cell(&revocation.created_by.name),
            table::cell(&revocation.reason),
        ]));
    }
    table::text(rows)
}

fn one(reported: &ReportedRevocation, now: Moment) -> String {
    let revocation = &reported.revocation;
    let mut lines = vec![visible(revocation.target())];
    lines.extend(show::details(revocation, now));
    lines.push(show::field("since", time::both(revocation.created_at, now)));
    let by = &revocation.created_by;
    lines.push(show::field("by", visible(format_args!("{} ({}, via {})", by.name, by.key, by.via))));
    let (enforced, tried) = (report::enforced(reported.enforced.as_ref()), report::tried(&reported.tried));
    lines.push(format!("{enforced}, {tried}"));
    lines.join("\n")
}
