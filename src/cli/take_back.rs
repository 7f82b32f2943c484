//! `reinstate` and `undo`: take a revocation back.

use clap::Args;

use super::output::{Output, visible};
use super::parse::Wait;
use super::remote::Remote;
use super::{Failure, show};
use crate::api::model::{Moment, RevocationAnswer, TakeBack};
use crate::client::{Answer, Client};

/// Arguments of `reinstate` and `undo`.
#[derive(Args, Debug)]
pub(super) struct TakeBackArgs {
    /// The revocation's id, as `revoke` and `list` show it
    id: String,

    /// For the audit trail
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,

    #[command(flatten)]
    wait: Wait,
}

impl TakeBackArgs {
    pub(super) fn reinstate(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let client = remote.client()?;
        let answer = client.reinstate(&self.id, &TakeBack { reason: self.reason }, self.wait.wait)?;
        out.answer(&answer, |answer| show::change("reinstated", answer, Moment::now()))?;
        still_in_force(&client, &answer, out);
        Wait::outcome(self.wait.fulfilled(&answer)?)
    }

    pub(super) fn undo(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let client = remote.client()?;
        let answer = client.undo(&self.id, &TakeBack { reason: self.reason }, self.wait.wait)?;
        out.answer(&answer, |answer| show::change("undone", answer, Moment::now()))?;
        still_in_force(&client, &answer, out);
        Wait::outcome(self.wait.fulfilled(&answer)?)
    }
}

/// Says which other revocations of the same go on rejecting. A key that may not read is not told.
fn still_in_force(client: &Client, answer: &Answer<RevocationAnswer>, out: &Output) {
    if out.json() {
        return;
    }
    let Ok(RevocationAnswer { revocation, .. }) = answer.read() else { return };
    let page = client.revocations(&[
        ("kind", Some(revocation.kind.name().to_owned())),
        ("issuer", revocation.issuer.clone()),
        ("value", revocation.value.clone()),
        ("status", Some("active".to_owned())),
    ]);
    let Ok(page) = page.and_then(|page| page.read()) else { return };
    let same = page.revocations.iter().filter(|other| {
        other.id != revocation.id
            && (other.kind, &other.issuer, &other.value, &other.claims)
                == (revocation.kind, &revocation.issuer, &revocation.value, &revocation.claims)
    });
    let ids: Vec<&str> = same.map(|other| other.id.as_str()).collect();
    if !ids.is_empty() {
        out.warning(format_args!("still in force for the same: {}", visible(ids.join(", "))));
    }
}
