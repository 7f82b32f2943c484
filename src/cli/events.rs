//! `events`: the audit trail.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::output::{BAD, GOOD, Output, styled, visible};
use super::remote::Remote;
use super::{Exit, Failure, table, time};
use crate::api::model::{self, Event, Moment, VerifyRequest};

/// Arguments of `events`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Events {
    #[command(subcommand)]
    verb: Option<EventsVerb>,

    /// Only events after this version
    #[arg(long, value_name = "VERSION")]
    after: Option<u64>,

    /// Only events about this revocation
    #[arg(long, value_name = "ID")]
    revocation: Option<String>,

    /// The latest so many events, up to now
    #[arg(long, value_name = "N", conflicts_with_all = ["after", "revocation", "limit"])]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    last: Option<u32>,

    /// Most that are shown at once, the oldest first
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

#[derive(Debug, Subcommand)]
enum EventsVerb {
    /// Prove that no event was changed or removed since it was written
    ///
    /// Keep the head that is printed elsewhere: given with --head later, it also proves that against somebody who can
    /// write the database. Exit code 1 where something is wrong.
    Verify {
        /// A head that was printed earlier
        #[arg(long, value_name = "VERSION:LINK")]
        head: Option<String>,
    },
}

impl Events {
    pub(super) fn run(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        if let Some(EventsVerb::Verify { head }) = self.verb {
            return verify(head, remote, out);
        }
        let client = remote.client()?;
        let (after, limit) = match self.last {
            // Each event is a version.
            Some(last) => {
                let version = client.status()?.read()?.version;
                (Some(version.saturating_sub(last.into())), last)
            }
            None => (self.after, self.limit),
        };
        let answer = client.events(&[
            ("after", after.map(|version| version.to_string())),
            ("revocation", self.revocation),
            ("limit", Some(limit.to_string())),
        ])?;
        out.answer(&answer, |page| rows(page, Moment::now()))?;
        if !out.json()
            && let Some(next) = answer.read()?.next_cursor
        {
            out.note(format_args!("more: --after {}", visible(next)));
        }
        Ok(())
    }
}

fn verify(head: Option<String>, remote: &Remote, out: &Output) -> Result<(), Failure> {
    let answer = remote.client()?.verify_events(&VerifyRequest { head })?;
    out.answer(&answer, |found| {
        let verdict = if found.intact { styled(GOOD, "intact") } else { styled(BAD, "not intact") };
        let counts = format!("{} events, {} more dropped by retention", found.events, found.dropped);
        format!("{verdict}: {counts}\nhead {}", visible(&found.head))
    })?;
    match answer.read()?.problem {
        None => Ok(()),
        Some(problem) => Err(Failure::new(Exit::Failed, visible(&problem).to_string())
            .hint("the audit trail cannot be relied on: compare the database with a backup")),
    }
}

fn rows(page: &model::Events, now: Moment) -> String {
    if page.events.is_empty() {
        return "no events".to_owned();
    }
    let mut rows = table::table(&["VERSION", "AT", "", "EVENT", "BY", "VIA", "WHAT"]);
    for event in &page.events {
        rows.add_row(table::row([
            table::cell(event.version),
            table::cell(time::absolute(event.at)),
            table::dim(time::relative(event.at, now)),
            table::cell(&event.event),
            table::cell(&event.actor.name),
            table::cell(&event.actor.via),
            table::cell(what(event)),
        ]));
    }
    table::text(rows)
}

/// `r1-pj26 session s1 of https://idp.example expires_at=… reason=…`.
fn what(event: &Event) -> String {
    let detail = |name: &str| event.details.get(name).and_then(Value::as_str);
    let mut parts: Vec<String> = detail("revocation").map(str::to_owned).into_iter().collect();
    let mut in_words = vec!["revocation"];
    if let Some(kind) = detail("kind") {
        parts.push(kind.to_owned());
        parts.extend(detail("value").map(str::to_owned));
        parts.extend(detail("issuer").map(|issuer| format!("of {issuer}")));
        in_words.extend(["kind", "value", "issuer"]);
    }
    let rest = event.details.iter().filter(|(name, _)| !in_words.contains(&name.as_str()));
    parts.extend(rest.filter_map(|(name, value)| Some(format!("{name}={}", plain(value)?))));
    parts.join(" ")
}

/// A value without the marks of JSON; `None` where there is nothing to show.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(items.iter().filter_map(plain).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let pairs = members.iter().filter_map(|(name, value)| Some(format!("{name}={}", plain(value)?)));
            Some(pairs.collect::<Vec<_>>().join(","))
        }
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
    }
}
