//! `[[ssf]]` as it stands in the file.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::{Action, Credential, Delivery, EventKind, Secret, Stream};
use crate::config::file::{Source, positive};
use crate::config::messages::path_name;
use crate::config::{ConfigError, Issuers};

/// Between two short polls that have brought nothing.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct StreamEntry {
    name: Spanned<String>,
    transmitter: Spanned<String>,
    tokens_of: Option<Spanned<String>>,
    audiences: Option<Vec<String>>,
    delivery: Spanned<String>,
    poll_interval: Option<Spanned<String>>,
    authorization_file: Option<String>,
    authorization_env: Option<String>,
    events: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    actions: BTreeMap<String, Spanned<String>>,
    token_file: Option<String>,
    token_env: Option<String>,
    token_url: Option<String>,
    client_id: Option<String>,
    client_secret_file: Option<String>,
    client_secret_env: Option<String>,
    scope: Option<String>,
}

impl StreamEntry {
    /// The stream, after those before it.
    pub(in crate::config) fn read(
        mut self,
        source: &Source<'_>,
        issuers: &Issuers,
        before: &[Stream],
    ) -> Result<Stream, ConfigError> {
        let mut name = String::new();
        if before.iter().any(|other| other.name == *self.name.get_ref()) {
            return Err(source.wrong("ssf.name", &self.name, "another stream has this name"));
        }
        source.set(&mut name, "ssf.name", Some(self.name.clone()), path_name)?;
        let named = |text: &str| issuers.named(text);
        let mut transmitter = String::new();
        source.set(&mut transmitter, "ssf.transmitter", Some(self.transmitter.clone()), named)?;
        let mut tokens_of = transmitter.clone();
        source.set(&mut tokens_of, "ssf.tokens_of", self.tokens_of.take(), named)?;
        let audiences = self.audiences.take().unwrap_or_else(|| {
            issuers.find(&transmitter).map(|issuer| issuer.audiences.clone()).unwrap_or_default()
        });
        let actions = self.read_actions(source)?;
        let events = self.read_events(source, &actions)?;
        let delivery = self.read_delivery(source)?;
        let credential = self.read_credential(source)?;
        Ok(Stream { name, transmitter, tokens_of, audiences, delivery, events, actions, credential })
    }

    fn read_actions(&self, source: &Source<'_>) -> Result<BTreeMap<EventKind, Action>, ConfigError> {
        let mut actions = BTreeMap::new();
        for (event, action) in &self.actions {
            let kind = event_kind(event).map_err(|error| source.wrong("ssf.actions", action, error))?;
            let chosen = kind.actions().iter().find(|known| known.name() == action.get_ref()).copied();
            let chosen = chosen.ok_or_else(|| {
                let names: Vec<&str> = kind.actions().iter().map(|known| known.name()).collect();
                let error = format!("`{}` is not one of {}", action.get_ref(), names.join(", "));
                source.wrong(&format!("ssf.actions.{kind}"), action, error)
            })?;
            actions.insert(kind, chosen);
        }
        Ok(actions)
    }

    fn read_events(
        &self,
        source: &Source<'_>,
        actions: &BTreeMap<EventKind, Action>,
    ) -> Result<Vec<EventKind>, ConfigError> {
        match &self.events {
            Some(events) => source.all("ssf.events", events, event_kind),
            None => {
                let acted_on = EventKind::ALL.into_iter().filter(|kind| {
                    actions.get(kind).copied().unwrap_or(kind.default_action()) != Action::Ignore
                });
                Ok(acted_on.collect())
            }
        }
    }

    fn read_delivery(&mut self, source: &Source<'_>) -> Result<Delivery, ConfigError> {
        let authorization = secret(self.authorization_file.take(), self.authorization_env.take())
            .map_err(|error| source.wrong("ssf.authorization_file", &self.name, error))?;
        let short = match self.delivery.get_ref().as_str() {
            "push" if self.poll_interval.is_none() => return Ok(Delivery::Push(authorization)),
            "push" => {
                return Err(source.wrong("ssf.poll_interval", &self.delivery, "only for delivery by poll"));
            }
            "poll" => false,
            "short_poll" => true,
            other => {
                let error = format!("`{other}` is not one of push, poll, short_poll");
                return Err(source.wrong("ssf.delivery", &self.delivery, error));
            }
        };
        if authorization.is_some() {
            let error = "authorization_file and authorization_env are only for delivery by push";
            return Err(source.wrong("ssf.delivery", &self.delivery, error));
        }
        let mut interval = POLL_INTERVAL;
        source.set(&mut interval, "ssf.poll_interval", self.poll_interval.take(), positive)?;
        Ok(Delivery::Poll { short, interval })
    }

    fn read_credential(&mut self, source: &Source<'_>) -> Result<Credential, ConfigError> {
        let wrong = |entry: &Self, error: &str| source.wrong("ssf", &entry.name, error);
        let token = secret(self.token_file.take(), self.token_env.take())
            .map_err(|error| source.wrong("ssf.token_file", &self.name, error))?;
        let password = secret(self.client_secret_file.take(), self.client_secret_env.take())
            .map_err(|error| source.wrong("ssf.client_secret_file", &self.name, error))?;
        let client = (self.token_url.take(), self.client_id.take(), password);
        match (token, client) {
            (Some(token), (None, None, None)) => Ok(Credential::Token(token)),
            (None, (None, None, None)) => Ok(Credential::None),
            (None, (Some(token_url), Some(client_id), Some(secret))) => {
                let scope = self.scope.take().unwrap_or_else(|| "ssf.read ssf.manage".into());
                Ok(Credential::Client { token_url, client_id, secret, scope })
            }
            (Some(_), _) => Err(wrong(self, "either a token, or client credentials, not both")),
            (None, _) => Err(wrong(
                self,
                "client credentials are token_url, client_id, and client_secret_file or client_secret_env",
            )),
        }
    }
}

fn secret(file: Option<String>, variable: Option<String>) -> Result<Option<Secret>, &'static str> {
    match (file, variable) {
        (Some(_), Some(_)) => Err("it is in a file or in a variable, not in both"),
        (Some(path), None) => Ok(Some(Secret::File(path.into()))),
        (None, Some(name)) => Ok(Some(Secret::Variable(name))),
        (None, None) => Ok(None),
    }
}

fn event_kind(text: &str) -> Result<EventKind, String> {
    EventKind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
        let names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("`{text}` is not one of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::file::parse;

    const ISSUER: &str = "[[issuers]]\nissuer = \"https://idp.example\"\naudiences = [\"a\"]\n";

    fn read(lines: &str) -> Result<Stream, String> {
        let head = "[[ssf]]\nname = \"idp\"\ntransmitter = \"https://idp.example\"\n";
        let config = parse(&format!("{ISSUER}{head}{lines}"), Path::new("x"));
        config.map(|mut config| config.streams.remove(0)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_stream_has_defaults() {
        let stream = read("delivery = \"poll\"\n[ssf.actions]\ncredential-change = \"cut_off\"").unwrap();
        assert_eq!((stream.tokens_of.as_str(), stream.audiences), ("https://idp.example", vec!["a".into()]));
        assert_eq!(stream.delivery, Delivery::Poll { short: false, interval: POLL_INTERVAL });
        assert_eq!(stream.credential, Credential::None);
        assert!(stream.events.contains(&EventKind::CredentialChange));
        assert!(!stream.events.contains(&EventKind::TokenClaimsChange));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |lines: &str, expect: &str| {
            let error = read(lines).unwrap_err();
            assert!(error.contains(expect), "{lines}: {error}");
        };
        check("", "delivery");
        check("delivery = \"pull\"", "not one of push, poll, short_poll");
        check("delivery = \"push\"\npoll_interval = \"1s\"", "only for delivery by poll");
        check("delivery = \"poll\"\nauthorization_env = \"A\"", "only for delivery by push");
        check("delivery = \"push\"\nauthorization_env = \"A\"\nauthorization_file = \"a\"", "not in both");
        check("delivery = \"push\"\ntokens_of = \"https://other.example\"", "not an issuer of [[issuers]]");
        check("delivery = \"push\"\nevents = [\"logout\"]", "not one of session-revoked");
        check("delivery = \"push\"\n[ssf.actions]\nlogout = \"ignore\"", "not one of session-revoked");
        check(
            "delivery = \"push\"\n[ssf.actions]\naccount-enabled = \"cut_off\"",
            "not one of ignore, reinstate",
        );
        check("delivery = \"push\"\ntoken_env = \"A\"\nclient_id = \"c\"", "not both");
        check("delivery = \"push\"\nclient_id = \"c\"", "client credentials are");
        check(
            "delivery = \"push\"\n[[ssf]]\nname = \"idp\"\ntransmitter = \"https://idp.example\"\ndelivery = \"push\"",
            "another stream",
        );
    }
}
