//! How a command ends.

use std::io;
use std::process::ExitCode;

use super::output::{Output, visible};
use crate::api::model::{FieldProblem, Problem};
use crate::client::ClientError;

/// Exit codes, as `--help` documents them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// The control plane said no, part of the work was refused, or doctor found something.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// The control plane cannot be reached.
    Unreachable = 3,
    /// The key is missing, wrong, or may not do this.
    Unauthorized = 4,
    /// Accepted, but not enforced everywhere in the time that `--wait` gave.
    NotEnforced = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    details: Vec<String>,
    hint: Option<String>,
    // The control plane's own words, for `--json`.
    document: Option<String>,
}

impl Failure {
    /// A failure in one sentence.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), details: Vec::new(), hint: None, document: None }
    }

    /// The command was given something wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// With a word on what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn hinted(self, hint: Option<&str>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Tells the person or the program in front of it, on stderr.
    pub(super) fn report(&self, out: &Output) -> Exit {
        if self.exit == Exit::Ok {
            return Exit::Ok;
        }
        if out.json() {
            out.error_document(&self.document());
        } else {
            let details: Vec<String> = self.details.iter().map(visible).collect();
            // Of our own words only those about a configuration have lines, and those are not from elsewhere.
            let message = match self.exit {
                Exit::Usage => self.message.clone(),
                _ => visible(&self.message),
            };
            out.error(&message, &details, self.hint.as_deref().map(visible).as_deref());
        }
        self.exit
    }

    /// A problem document: the control plane's own where there is one.
    fn document(&self) -> String {
        let code = match self.exit {
            Exit::Ok | Exit::Failed => "failed",
            Exit::Usage => "usage",
            Exit::Unreachable => "unreachable",
            Exit::Unauthorized => "unauthorized",
            Exit::NotEnforced => "not_enforced",
        };
        let own = || {
            let problem = Problem {
                kind: "about:blank".to_owned(),
                title: self.message.clone(),
                detail: self.hint.clone().unwrap_or_default(),
                code: code.to_owned(),
                ..Problem::default()
            };
            serde_json::to_string(&problem).unwrap_or_default()
        };
        self.document.clone().unwrap_or_else(own)
    }
}

/// Nobody reads the output any more (`| head`): not a failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Ok, ""),
            _ => Self::new(Exit::Failed, format!("cannot write the output: {error}")),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let (message, hint) = (error.to_string(), error.hint());
        match error {
            ClientError::Url(_) => {
                Self::usage(message).hint("give it as --url http://HOST:PORT, or in PORTCULLIS_URL")
            }
            ClientError::NoCertificate => Self::usage(message).hint("--ca-file wants certificates in PEM"),
            ClientError::Request(_) => Self::usage(message),
            ClientError::Unreachable { .. } => Self::new(Exit::Unreachable, message)
                .hint("is `portcullis serve` running there? set PORTCULLIS_URL or --url to where it listens"),
            ClientError::Untrusted { .. } => Self::new(Exit::Unreachable, message).hinted(hint),
            ClientError::Lost { .. } => Self::new(Exit::Unreachable, message)
                .hint("a change may have been made all the same: look with `portcullis list` or `portcullis events`"),
            ClientError::NotHttp { .. } | ClientError::Stranger { .. } => {
                Self::new(Exit::Failed, message).hinted(hint)
            }
            ClientError::Answer { .. } => Self::new(Exit::Failed, message)
                .hint("is the control plane of another release? --json prints its answer as it is"),
            ClientError::Refused { status, problem, text } => Self::refused(status, &problem, text),
        }
    }
}

impl Failure {
    fn refused(status: u16, problem: &Problem, text: String) -> Self {
        let exit = if matches!(status, 401 | 403) { Exit::Unauthorized } else { Exit::Failed };
        let details = fields(problem);
        let hint = match (status, problem.code.as_str()) {
            (401, _) => Some("set PORTCULLIS_KEY to an API key, or give one with --key-file"),
            (403, "scope") => Some("ask whoever holds an admin key for one: `portcullis key create`"),
            (403, "issuer") => Some("this key is limited to other issuers"),
            (404, "no_stream") => None,
            (404, _) if problem.detail.starts_with("there is no revocation") => {
                Some("`portcullis list --status all` shows the ids")
            }
            (404, _) if problem.detail.starts_with("there is no API key") => {
                Some("`portcullis key list` shows them")
            }
            (408 | 503 | 504, _) => Some("try again in a moment; GET /readyz says whether it is ready"),
            (507, _) => Some("the control plane's disk or log is full; make room, nothing was changed"),
            _ => None,
        };
        Self {
            exit,
            message: problem.detail.clone(),
            details,
            hint: hint.map(str::to_owned),
            document: Some(text),
        }
    }
}

/// The fields that a problem is about, and what is wrong with each.
pub(super) fn fields(problem: &Problem) -> Vec<String> {
    let field = |error: &FieldProblem| {
        let place = format!("{}{}", error.pointer, error.parameter);
        match (place.is_empty(), error.detail == problem.detail) {
            // Said already: only where.
            (_, true) => place,
            (true, false) => error.detail.clone(),
            (false, false) => format!("{place}: {}", error.detail),
        }
    };
    problem.errors.iter().map(field).filter(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> Failure {
        Failure::from(ClientError::Refused { status, problem: Box::default(), text: "{}".into() })
    }

    #[test]
    fn exit_codes_follow_from_the_cause() {
        let check = |failure: Failure, expect| assert_eq!(failure.exit, expect, "{failure:?}");
        check(refused(401), Exit::Unauthorized);
        check(refused(403), Exit::Unauthorized);
        check(refused(404), Exit::Failed);
        check(refused(422), Exit::Failed);
        check(refused(503), Exit::Failed);
        check(ClientError::Url("x".into()).into(), Exit::Usage);
        check(ClientError::Unreachable { url: "u".into(), detail: "d".into() }.into(), Exit::Unreachable);
        check(ClientError::Lost { detail: "d".into() }.into(), Exit::Unreachable);
        check(io::Error::from(io::ErrorKind::BrokenPipe).into(), Exit::Ok);
    }
}
