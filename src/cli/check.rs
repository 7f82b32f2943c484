//! `check`: would a token be rejected?

use clap::Args;
use serde_json::value::RawValue;

use super::output::{BAD, CAUTION, GOOD, Output, styled, visible};
use super::parse::text_or_stdin;
use super::remote::Remote;
use super::{Exit, Failure, list, time};
use crate::api::model::{CheckAnswer, CheckRequest, Moment, Secret};

/// Arguments of `check`.
#[derive(Args, Debug)]
pub(super) struct Check {
    /// The raw token; - reads it from stdin, which keeps it out of the process list
    #[arg(required_unless_present = "claims", conflicts_with = "claims")]
    token: Option<String>,

    /// A token's claims as a JSON object, instead of the token
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,

    /// Exit with code 1 where the token is revoked, or cannot be read: edges reject that too
    #[arg(long)]
    fail_if_revoked: bool,
}

impl Check {
    pub(super) fn run(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let answer = remote.client()?.check(&self.request()?)?;
        out.answer(&answer, |answer| in_words(answer, Moment::now()))?;
        if !out.json() {
            answer.read()?.warnings.iter().for_each(|warning| out.warning(visible(warning)));
        }
        if !self.fail_if_revoked {
            return Ok(());
        }
        match answer.read()? {
            CheckAnswer { malformed: Some(_), .. } => {
                Err(Failure::new(Exit::Failed, "the token is malformed"))
            }
            CheckAnswer { revoked: true, .. } => Err(Failure::new(Exit::Failed, "the token is revoked")),
            _ => Ok(()),
        }
    }

    fn request(&self) -> Result<CheckRequest, Failure> {
        let token = self.token.as_deref().map(|token| text_or_stdin(token, "token")).transpose()?;
        let claims = self.claims.clone().map(RawValue::from_string).transpose();
        let claims = claims.map_err(|error| Failure::usage(format!("--claims is not JSON: {error}")))?;
        Ok(CheckRequest { token: token.map(Secret), claims })
    }
}

fn in_words(answer: &CheckAnswer, now: Moment) -> String {
    if let Some(why) = &answer.malformed {
        return format!(
            "{}: {}\nan edge rejects it unless its configuration says `malformed: allow`",
            styled(CAUTION, "malformed"),
            visible(why)
        );
    }
    if !answer.revoked {
        return format!("{}: nothing in force matches it", styled(GOOD, "not revoked"));
    }
    let code = visible(answer.code.as_deref().unwrap_or_default());
    let since = answer.since.map_or_else(String::new, |since| format!(" since {}", time::both(since, now)));
    format!("{}{since}: {code}\n\n{}", styled(BAD, "revoked"), list::rows(&answer.revocations, now))
}
