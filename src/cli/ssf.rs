//! `ssf`: streams of security events at their transmitters.

use clap::{Args, Subcommand};

use super::output::{GOOD, Output, styled, visible};
use super::remote::Remote;
use super::{Exit, Failure, time};
use crate::api::model::{Moment, NewStreamStatus, Stream, StreamState, Verification};

/// Arguments of `ssf`.
#[derive(Args, Debug)]
pub(super) struct SsfArgs {
    #[command(subcommand)]
    verb: SsfVerb,
}

#[derive(Debug, Subcommand)]
enum SsfVerb {
    /// Create a configured stream at its transmitter, or bring one that is there in line
    Add(Name),
    /// Have the transmitter send a verification event, and see whether it arrives
    Verify(Name),
    /// Show a stream as its transmitter has it, or enable, pause or disable it
    Status(Status),
    /// Delete a stream at its transmitter
    Remove(Name),
}

#[derive(Args, Debug)]
struct Name {
    /// The stream's name in the configuration
    name: String,
}

#[derive(Args, Debug)]
struct Status {
    /// The stream's name in the configuration
    name: String,

    /// Change it to this
    #[arg(long, value_enum)]
    set: Option<StreamState>,

    /// Why, for the transmitter
    #[arg(long, requires = "set", default_value = "")]
    reason: String,
}

impl SsfArgs {
    pub(super) fn run(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let client = remote.client()?;
        match self.verb {
            SsfVerb::Add(Name { name }) => out.answer(&client.add_stream(&name)?, in_words),
            SsfVerb::Status(Status { name, set: None, .. }) => out.answer(&client.stream(&name)?, in_words),
            SsfVerb::Status(Status { name, set: Some(status), reason }) => {
                let answer = client.set_stream_status(&name, &NewStreamStatus { status, reason })?;
                out.answer(&answer, in_words)
            }
            SsfVerb::Verify(Name { name }) => {
                let answer = client.verify_stream(&name)?;
                out.answer(&answer, verified)?;
                match answer.read()?.verified {
                    true => Ok(()),
                    false => Err(Failure::new(Exit::Failed, "no verification event has arrived yet")
                        .hint("`portcullis events` shows whether one was refused, `portcullis ssf status` what is known")),
                }
            }
            SsfVerb::Remove(Name { name }) => {
                client.remove_stream(&name)?;
                out.note(format_args!(
                    "removed stream {}: its transmitter sends nothing any more",
                    visible(&name)
                ));
                if out.json() { out.line(serde_json::json!({"name": name, "removed": true})) } else { Ok(()) }
            }
        }
    }
}

fn verified(verification: &Verification) -> String {
    match verification.verified {
        true => styled(GOOD, "verified: events of this stream arrive").to_string(),
        false => "asked for; the event has not arrived yet".to_owned(),
    }
}

fn in_words(stream: &Stream) -> String {
    let now = Moment::now();
    let at = |moment: Option<Moment>| moment.map(|at| time::relative(at, now));
    let status = stream.status.as_deref().unwrap_or("unknown: the transmitter has no status");
    let reason = stream.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let mut lines = vec![format!("stream {}: {}{}", visible(&stream.name), visible(status), visible(reason))];
    let mut line = |name: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("{name}: {}", visible(value))));
    };
    line("transmitter", Some(stream.transmitter.clone()));
    line("its id there", Some(stream.stream_id.clone()));
    line("delivery", Some(stream.delivery.clone()));
    line("endpoint", stream.endpoint.clone());
    let events = stream.events_delivered.iter().map(|uri| uri.rsplit('/').next().unwrap_or_default());
    line("events", Some(events.collect::<Vec<_>>().join(", ")));
    line("verified", at(stream.verified_at));
    line("last event", at(stream.received_at));
    line("last poll", at(stream.polled_at));
    line("failure", stream.failure.clone());
    lines.join("\n")
}
