//! `inlet`: what an identity provider's message would do.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};

use super::output::{BAD, GOOD, Output, styled, visible};
use super::parse::file_or_stdin;
use super::remote::Remote;
use super::{Exit, Failure};
use crate::api::model::{CapturedMessage, InletAnswer, WouldRevoke};

/// Arguments of `inlet`.
#[derive(Args, Debug)]
pub(super) struct InletArgs {
    #[command(subcommand)]
    verb: InletVerb,
}

#[derive(Debug, Subcommand)]
enum InletVerb {
    /// Say what a captured message would do, or which check refuses it; changes nothing
    Try(Try),
}

#[derive(Args, Debug)]
struct Try {
    /// The protocol, such as backchannel-logout or webhook:NAME
    protocol: String,

    /// The message: an HTTP request as it was sent, only its body, or only its JWT; - reads stdin
    file: String,

    /// Exit with code 1 where the message would be refused
    #[arg(long)]
    fail_if_refused: bool,
}

impl InletArgs {
    pub(super) fn run(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let InletVerb::Try(verb) = self.verb;
        verb.run(remote, out)
    }
}

impl Try {
    fn run(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let message = captured(&file_or_stdin(&self.file, "message")?);
        let answer = remote.client()?.try_inlet(&self.protocol, &message)?;
        out.answer(&answer, in_words)?;
        if self.fail_if_refused && !answer.read()?.accepted {
            return Err(Failure::new(Exit::Failed, "the message would be refused"));
        }
        Ok(())
    }
}

/// An HTTP request in a text; without a request line, the text is the body.
fn captured(text: &str) -> CapturedMessage {
    let unix = text.replace("\r\n", "\n");
    let (first, rest) = unix.split_once('\n').unwrap_or((unix.as_str(), ""));
    let words: Vec<&str> = first.split(' ').collect();
    let [method, target, version] = words.as_slice() else {
        return CapturedMessage { body: text.trim().to_owned(), ..CapturedMessage::default() };
    };
    if !version.starts_with("HTTP/") {
        return CapturedMessage { body: text.trim().to_owned(), ..CapturedMessage::default() };
    }
    let (head, body) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let pairs = head.lines().filter_map(|line| line.split_once(':'));
    let headers: BTreeMap<String, String> =
        pairs.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect();
    let path = target.split('?').next().map(str::to_owned);
    CapturedMessage { method: Some((*method).to_owned()), path, headers, body: body.trim().to_owned() }
}

fn in_words(answer: &InletAnswer) -> String {
    let mut lines = Vec::new();
    match &answer.refused {
        Some(refusal) => {
            let code = visible(&refusal.code);
            lines.push(format!("{}: {code}: {}", styled(BAD, "refused"), visible(&refusal.detail)));
        }
        None if answer.repeated => {
            lines.push(format!("{}: received before, nothing is done again", styled(GOOD, "accepted")));
        }
        None => lines.push(styled(GOOD, "accepted").to_string()),
    }
    let about = [("issuer", &answer.issuer), ("message", &answer.message), ("signal", &answer.signal)];
    for (name, value) in about {
        if let Some(value) = value {
            lines.push(format!("{name}: {}", visible(value)));
        }
    }
    lines.push(
        format!("the sender gets: {} {}", answer.status, visible(&answer.answer)).trim_end().to_owned(),
    );
    lines.extend(answer.revocations.iter().map(revocation));
    lines.extend(answer.reinstated.iter().map(|id| format!("would reinstate {}", visible(id))));
    lines.extend(answer.undone.iter().map(|id| format!("would undo {}", visible(id))));
    lines.extend(answer.notes.iter().map(|note| format!("note: {}", visible(note))));
    lines.join("\n")
}

fn revocation(would: &WouldRevoke) -> String {
    let mut text = format!("would revoke {}", would.kind.name());
    if let Some(value) = &would.value {
        text.push_str(&format!(" {}", visible(value)));
    }
    if let Some(claims) = &would.claims {
        let pairs: Vec<String> =
            claims.0.iter().map(|(name, value)| format!("{}={}", visible(name), visible(value))).collect();
        text.push_str(&format!(" {}", pairs.join(" ")));
    }
    if let Some(issuer) = &would.issuer {
        text.push_str(&format!(" of {}", visible(issuer)));
    }
    match would.cutoff {
        Some(cutoff) => text.push_str(&format!(", issued until {cutoff}")),
        None => text.push_str(", whenever issued"),
    }
    match would.expires_at {
        Some(end) => text.push_str(&format!(", remembered until {end}")),
        None => text.push_str(", until reinstated"),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_and_a_body_are_told_apart() {
        let request = "POST /inlets/x?y HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\r\nbody\r\n";
        let message = captured(request);
        assert_eq!((message.path.as_deref(), message.body.as_str()), (Some("/inlets/x"), "body"));
        assert_eq!(message.method.as_deref(), Some("POST"));
        assert_eq!(message.headers["content-type"], "text/plain");
        for body in ["a.b.c\n", "logout_token=a.b.c", "{\"sub_id\": 1}\n"] {
            let message = captured(body);
            assert_eq!((message.path, message.headers.len()), (None, 0));
            assert_eq!(message.body, body.trim());
        }
    }
}
