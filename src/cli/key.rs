//! `key`: API keys.

use clap::{Args, Subcommand};

use super::output::{BOLD, CAUTION, Output, styled, visible};
use super::remote::Remote;
use super::{Failure, table, time};
use crate::api::model::{Key, Moment, NewKey, NewKeyAnswer, Scope};

/// Arguments of `key`.
#[derive(Args, Debug)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    verb: KeyVerb,
}

#[derive(Debug, Subcommand)]
enum KeyVerb {
    /// Make a key and print it, this once
    Create(Create),
    /// List the keys, without their secrets
    List,
    /// Delete a key: it stops working at once
    Delete(Delete),
}

#[derive(Args, Debug)]
struct Create {
    /// For people: who or what will hold it
    name: String,

    /// What it may do; may be given several times
    #[arg(long, value_enum, required = true, value_delimiter = ',')]
    scope: Vec<Scope>,

    /// Limit it to this issuer; may be given several times
    #[arg(long, value_name = "ISS")]
    issuer: Vec<String>,
}

#[derive(Args, Debug)]
struct Delete {
    /// The key's id, as `key list` shows it
    id: String,
}

impl KeyArgs {
    pub(super) fn run(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let client = remote.client()?;
        match self.verb {
            KeyVerb::Create(Create { name, scope, issuer }) => {
                let answer = client.create_key(&NewKey { name, scopes: scope, issuers: issuer })?;
                out.answer(&answer, created)
            }
            KeyVerb::List => {
                let answer = client.keys()?;
                out.answer(&answer, |keys| rows(&keys.keys, Moment::now()))
            }
            KeyVerb::Delete(Delete { id }) => {
                let id = id_of(&id);
                client.delete_key(id)?;
                out.note(format_args!("deleted key {id}: it does not work any more"));
                if out.json() { out.line(serde_json::json!({"id": id, "deleted": true})) } else { Ok(()) }
            }
        }
    }
}

/// The public part of a key that was pasted whole: its secret goes no further.
fn id_of(given: &str) -> &str {
    given.strip_prefix("pk_").map_or(given, |rest| rest.split_once('_').map_or(rest, |(id, _)| id))
}

fn created(answer: &NewKeyAnswer) -> String {
    let about = &answer.about;
    format!(
        "created key {} ({}), which may {}{}\n{}\n\n  {}",
        visible(&about.id),
        visible(&about.name),
        scopes(about),
        if about.issuers.is_empty() {
            String::new()
        } else {
            format!(" for {}", visible(about.issuers.join(", ")))
        },
        styled(CAUTION, "it is shown this once: only its hash is kept"),
        styled(BOLD, visible(&answer.key.0)),
    )
}

fn rows(keys: &[Key], now: Moment) -> String {
    if keys.is_empty() {
        return "no keys are stored".to_owned();
    }
    let mut rows = table::table(&["ID", "NAME", "SCOPES", "ISSUERS", "CREATED"]);
    for key in keys {
        let issuers = if key.issuers.is_empty() { "all".to_owned() } else { key.issuers.join(", ") };
        rows.add_row(table::row([
            table::cell(&key.id),
            table::cell(&key.name),
            table::cell(scopes(key)),
            table::cell(issuers),
            table::cell(time::relative(key.created_at, now)),
        ]));
    }
    table::text(rows)
}

fn scopes(key: &Key) -> String {
    key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_key_is_reduced_to_its_id() {
        assert_eq!(id_of("pk_ab12cd34_c2VjcmV0"), "ab12cd34");
        assert_eq!(id_of("ab12cd34"), "ab12cd34");
    }
}
