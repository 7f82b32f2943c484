//! `revoke`: puts revocations in force.

use clap::Args;

use super::output::Output;
use super::parse::{Wait, text_or_stdin, values};
use super::remote::Remote;
use super::{Failure, show};
use crate::api::model::{ClaimValues, Kind, Moment, NewRevocation, Secret};
use crate::client::Client;

/// Arguments of `revoke`.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Revoke {
    /// What to revoke
    #[arg(value_enum)]
    kind: Kind,

    /// The sid, sub, jti, client_id, kid or issuer; for claims, NAME=VALUE that must all hold
    ///
    /// Several values are several revocations, except for claims, where they make one. A claim's name may be
    /// a JSON Pointer to a nested claim: /realm_access/roles=admin. For the other kinds - reads one value per
    /// line from stdin.
    #[arg(value_name = "VALUE")]
    values: Vec<String>,

    /// The tokens' issuer; may be left out where the control plane has exactly one
    #[arg(long, value_name = "ISS")]
    issuer: Option<String>,

    /// Kind token: the token itself instead of its jti; - reads it from stdin
    #[arg(long, value_name = "TOKEN")]
    raw: Option<String>,

    /// For the audit trail
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,

    /// Reject tokens issued until then (RFC 3339 or Unix seconds) instead of what the kind implies
    #[arg(long, value_name = "TIME")]
    cutoff: Option<Moment>,

    /// Drop the revocation then (RFC 3339 or Unix seconds)
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Moment>,

    /// Reject every token until it is reinstated, as for a disabled account
    #[arg(long)]
    until_reinstated: bool,

    #[command(flatten)]
    wait: Wait,
}

const EXAMPLES: &str = "\
Examples:
  portcullis revoke session 08a5019c --issuer https://idp.example --reason \"laptop stolen\" --wait
  portcullis revoke subject alice --until-reinstated
  portcullis revoke token --raw - < token.txt
  portcullis revoke claims iss=https://idp.example tenant=acme role=admin";

impl Revoke {
    pub(super) fn run(mut self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let client = remote.client()?;
        if self.raw.is_none() && self.kind != Kind::Claims {
            self.values = values(self.values, self.kind.name())?;
        }
        let mut fulfilled = true;
        for revocation in self.revocations(&client)? {
            let answer = client.revoke(&revocation, self.wait.wait)?;
            if !out.json() {
                show::warnings(&answer.read()?, out);
            }
            out.answer(&answer, |answer| show::change("revoked", answer, Moment::now()))?;
            fulfilled &= self.wait.fulfilled(&answer)?;
        }
        Wait::outcome(fulfilled)
    }

    fn revocations(&self, client: &Client) -> Result<Vec<NewRevocation>, Failure> {
        if let Some(raw) = &self.raw {
            return self.raw_token(raw).map(|revocation| vec![revocation]);
        }
        if self.values.is_empty() {
            return Err(Failure::usage(format!("what {} is to be revoked?", self.kind.name()))
                .hint(format!("portcullis revoke {} VALUE; more with --help", self.kind.name())));
        }
        match self.kind {
            Kind::Claims => self.claims().map(|revocation| vec![revocation]),
            Kind::Issuer => {
                Ok(self.values.iter().map(|issuer| self.revocation(Some(issuer.clone()), None)).collect())
            }
            _ => {
                let issuer = match &self.issuer {
                    Some(issuer) => Some(issuer.clone()),
                    None => only_issuer(client)?,
                };
                let one = |value: &String| self.revocation(issuer.clone(), Some(value.clone()));
                Ok(self.values.iter().map(one).collect())
            }
        }
    }

    fn raw_token(&self, raw: &str) -> Result<NewRevocation, Failure> {
        if self.kind != Kind::Token || !self.values.is_empty() {
            return Err(Failure::usage(
                "--raw is for `portcullis revoke token --raw TOKEN`, without a VALUE",
            ));
        }
        let token = Secret(text_or_stdin(raw, "token")?);
        Ok(NewRevocation { token: Some(token), ..self.revocation(None, None) })
    }

    fn claims(&self) -> Result<NewRevocation, Failure> {
        let mut claims = ClaimValues::default();
        if let Some(issuer) = &self.issuer {
            claims.0.insert("iss".to_owned(), issuer.clone());
        }
        for requirement in &self.values {
            let (name, value) = requirement
                .split_once('=')
                .ok_or_else(|| Failure::usage(format!("`{requirement}` is not NAME=VALUE")))?;
            if claims.0.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(Failure::usage(format!("claim `{name}` is given twice")));
            }
        }
        Ok(NewRevocation { claims: Some(claims), ..self.revocation(None, None) })
    }

    fn revocation(&self, issuer: Option<String>, value: Option<String>) -> NewRevocation {
        NewRevocation {
            kind: self.kind,
            issuer,
            value,
            token: None,
            claims: None,
            cutoff: self.cutoff,
            expires_at: self.expires_at,
            until_reinstated: self.until_reinstated,
            reason: self.reason.clone(),
        }
    }
}

/// The issuer that is meant when none is named; `None` leaves it to the control plane.
fn only_issuer(client: &Client) -> Result<Option<String>, Failure> {
    let issuers = match client.issuers() {
        Ok(answer) => answer.read()?.issuers,
        // The key may revoke but not read.
        Err(crate::client::ClientError::Refused { status: 403, .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match issuers.as_slice() {
        [only] => Ok(Some(only.issuer.clone())),
        [] => Err(Failure::usage("whose? give the tokens' issuer with --issuer ISS")),
        several => {
            let names: Vec<&str> = several.iter().map(|issuer| issuer.issuer.as_str()).collect();
            Err(Failure::usage("whose? several issuers are configured")
                .hint(format!("give one with --issuer: {}", names.join(", "))))
        }
    }
}
