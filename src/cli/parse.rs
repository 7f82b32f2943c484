//! Values of arguments that several verbs take.

use std::io::{self, Read};
use std::time::Duration;

use clap::Args;

use super::{Exit, Failure};
use crate::api::model::RevocationAnswer;
use crate::client::Answer;
use crate::config::parse_duration;

/// Longest `--wait`.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// `--wait`, for what changes something.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Wait {
    /// Wait until every connected edge enforces it, and show their receipts
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "5s", value_parser = wait)]
    pub wait: Option<Duration>,
}

impl Wait {
    /// Whether what was waited for, if anything was, has come about.
    pub(super) fn fulfilled(self, answer: &Answer<RevocationAnswer>) -> Result<bool, Failure> {
        if self.wait.is_none() {
            return Ok(true);
        }
        let receipts = answer.read()?.receipts;
        Ok(receipts.is_some_and(|receipts| receipts.pending == 0 && receipts.applied > 0))
    }

    /// What to end with, once all changes are made.
    pub(super) fn outcome(fulfilled: bool) -> Result<(), Failure> {
        if fulfilled {
            return Ok(());
        }
        Err(Failure::new(Exit::NotEnforced, "accepted, but not enforced everywhere in time")
            .hint("the change is durable: edges enforce it once they are back; see `portcullis edges`"))
    }
}

fn wait(text: &str) -> Result<Duration, String> {
    let wait = parse_duration(text)
        .map_err(|error| format!("{error}; if that is no time, put --wait last or write --wait=5s"))?;
    if wait > MAX_WAIT { Err("at most 60s".to_owned()) } else { Ok(wait) }
}

/// The values, where `-` stands for the lines of stdin.
pub(super) fn values(given: Vec<String>, what: &str) -> Result<Vec<String>, Failure> {
    let mut values = Vec::with_capacity(given.len());
    for value in given {
        if value == "-" {
            let piped = text_or_stdin(&value, what)?;
            values.extend(piped.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
        } else {
            values.push(value);
        }
    }
    Ok(values)
}

/// The text itself, or what stdin holds where it is `-`.
pub(super) fn text_or_stdin(text: &str, what: &str) -> Result<String, Failure> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut piped = String::new();
    io::stdin()
        .read_to_string(&mut piped)
        .map_err(|error| Failure::usage(format!("cannot read {what} from stdin: {error}")))?;
    let piped = piped.trim();
    if piped.is_empty() {
        Err(Failure::usage(format!("stdin holds no {what}")))
    } else {
        Ok(piped.to_owned())
    }
}

/// What a file holds, or stdin where it is `-`.
pub(super) fn file_or_stdin(path: &str, what: &str) -> Result<String, Failure> {
    if path == "-" {
        return text_or_stdin(path, what);
    }
    std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read the {what} from {path}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_bounded() {
        assert!(wait("60s").is_ok());
        assert_eq!(wait("61s"), Err("at most 60s".to_owned()));
    }
}
