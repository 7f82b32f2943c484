//! `portcullis.toml`: what may stand in it, and from there to a valid [`Config`].

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_core::CutoffClaim;
use serde::Deserialize;
use toml::Spanned;

use super::inlets::public_url;
use super::messages::{algorithm, claim, leniency, logout_ends, path_name, scim_user};
use super::status_lists::StatusListEntry;
use super::streams::StreamEntry;
use super::tls::{IdentityEntry, TlsSection};
use super::traces::TracesSection;
use super::webhooks::{WebhookEntry, webhook};
use super::{Config, ConfigError, Issuer, IssuerSettings, MessageSettings, parse_duration};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    data_dir: Option<String>,
    strict_issuers: Option<bool>,
    listen: Listen,
    tls: Option<TlsSection>,
    filter: Filter,
    log: Log,
    feed: Feed,
    edge: Edge,
    inlets: Inlets,
    issuers: Vec<IssuerEntry>,
    ssf: Vec<StreamEntry>,
    status_lists: Vec<StatusListEntry>,
    webhooks: Vec<WebhookEntry>,
    traces: TracesSection,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Listen {
    http: Option<Spanned<String>>,
    edge: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Filter {
    files: Option<Vec<PathBuf>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Log {
    retention: Option<Spanned<String>>,
    max_bytes: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Feed {
    history: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Edge {
    heartbeat: Option<Spanned<String>>,
    forget_after: Option<Spanned<String>>,
    max_subscribers: Option<usize>,
    hello_timeout: Option<Spanned<String>>,
    send_timeout: Option<Spanned<String>>,
    identities: Vec<IdentityEntry>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Inlets {
    public_url: Option<Spanned<String>>,
    requests_per_minute: Option<std::num::NonZeroU32>,
    trusted_proxies: Vec<Spanned<String>>,
    ca_file: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerEntry {
    issuer: Spanned<String>,
    jwks_uri: Option<String>,
    #[serde(default)]
    audiences: Vec<String>,
    max_token_lifetime: Option<Spanned<String>>,
    max_session_lifetime: Option<Spanned<String>>,
    clock_skew: Option<Spanned<String>>,
    cutoff_claim: Option<Spanned<String>>,
    name: Option<Spanned<String>>,
    algorithms: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    allow_private_addresses: bool,
    keys_max_age: Option<Spanned<String>>,
    message_skew: Option<Spanned<String>>,
    logout_ends: Option<Spanned<String>>,
    email_claim: Option<String>,
    opaque_claim: Option<String>,
    account_claim: Option<String>,
    #[serde(default)]
    tokens_of: Vec<Spanned<String>>,
    scim_user: Option<Spanned<String>>,
    scim_claim: Option<Spanned<String>>,
    #[serde(default)]
    allow: Vec<Spanned<String>>,
}

/// The configuration in a text. `path` is for messages.
pub(super) fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let file: File = toml::from_str(text).map_err(|error| ConfigError::File {
        path: path.into(),
        error: error.to_string().trim_end().to_owned(),
    })?;
    let source = Source { text, path };
    let mut config = Config::default();
    if let Some(dir) = file.data_dir {
        config.data_dir = dir.into();
    }
    source.set(&mut config.listen.http, "listen.http", file.listen.http, address)?;
    source.set(&mut config.listen.edge, "listen.edge", file.listen.edge, address)?;
    config.tls = file.tls.map(|tls| tls.read(&source)).transpose()?;
    config.filter_files = file.filter.files;
    config.traces = file.traces.read(&source)?;
    source.set(&mut config.log.retention, "log.retention", file.log.retention, positive)?;
    config.log.max_bytes = file.log.max_bytes.unwrap_or(config.log.max_bytes);
    config.feed.history = file.feed.history.unwrap_or(config.feed.history);
    let edge = &mut config.edge;
    source.set(&mut edge.heartbeat, "edge.heartbeat", file.edge.heartbeat, heartbeat)?;
    source.set(&mut edge.forget_after, "edge.forget_after", file.edge.forget_after, duration)?;
    edge.max_subscribers = file.edge.max_subscribers.unwrap_or(edge.max_subscribers);
    source.set(&mut edge.hello_timeout, "edge.hello_timeout", file.edge.hello_timeout, positive)?;
    source.set(&mut edge.send_timeout, "edge.send_timeout", file.edge.send_timeout, positive)?;
    edge.identities =
        file.edge.identities.iter().map(|entry| entry.read(&source)).collect::<Result<_, _>>()?;
    let inlets = &mut config.inlets;
    source.set(&mut inlets.public_url, "inlets.public_url", file.inlets.public_url, |text| {
        public_url(text).map(Some)
    })?;
    inlets.requests_per_minute = file.inlets.requests_per_minute.unwrap_or(inlets.requests_per_minute);
    inlets.trusted_proxies =
        source.all("inlets.trusted_proxies", &file.inlets.trusted_proxies, |text| text.parse())?;
    inlets.ca_file = file.inlets.ca_file.map(Into::into);
    config.issuers.strict = file.strict_issuers.unwrap_or_default();
    let mut named: Vec<Vec<Spanned<String>>> = Vec::new();
    for mut entry in file.issuers {
        named.push(std::mem::take(&mut entry.tokens_of));
        let issuer = source.issuer(entry, &config.issuers.configured)?;
        config.issuers.configured.push(issuer);
    }
    // They may name one that comes later.
    for (index, named) in named.iter().enumerate() {
        let known = source.all("issuers.tokens_of", named, |text| config.issuers.named(text))?;
        if let Some(issuer) = config.issuers.configured.get_mut(index) {
            issuer.messages.tokens_of = known;
        }
    }
    for entry in file.ssf {
        let stream = entry.read(&source, &config.issuers, &config.streams)?;
        config.streams.push(stream);
    }
    for entry in file.status_lists {
        let list = entry.read(&source, &config.issuers, &config.status_lists)?;
        config.status_lists.push(list);
    }
    for entry in file.webhooks {
        let name = entry.name.clone();
        let read = webhook(entry, |issuer| config.issuers.find(issuer).is_some(), &config.inlets.webhooks);
        config.inlets.webhooks.push(read.map_err(|(key, error)| source.wrong(key, &name, error))?);
    }
    Ok(config)
}

/// The file, for the line of what is wrong.
pub(super) struct Source<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Source<'_> {
    pub(super) fn set<T, E: Display>(
        &self,
        value: &mut T,
        key: &str,
        given: Option<Spanned<String>>,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<(), ConfigError> {
        if let Some(given) = given {
            *value = read(given.get_ref()).map_err(|error| self.wrong(key, &given, error))?;
        }
        Ok(())
    }

    pub(super) fn all<T, C: FromIterator<T>>(
        &self,
        key: &str,
        given: &[Spanned<String>],
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<C, ConfigError> {
        given.iter().map(|text| read(text.get_ref()).map_err(|error| self.wrong(key, text, error))).collect()
    }

    fn messages(&self, entry: &mut IssuerEntry, before: &[Issuer]) -> Result<MessageSettings, ConfigError> {
        let mut messages = MessageSettings {
            allow_private_addresses: entry.allow_private_addresses,
            email_claim: entry.email_claim.take(),
            opaque_claim: entry.opaque_claim.take(),
            account_claim: entry.account_claim.take(),
            allow: self.all("issuers.allow", &entry.allow, leniency)?,
            ..MessageSettings::default()
        };
        if let Some(name) = &entry.name
            && before.iter().any(|other| other.messages.name.as_ref() == Some(name.get_ref()))
        {
            return Err(self.wrong("issuers.name", name, "another issuer has this name"));
        }
        self.set(&mut messages.name, "issuers.name", entry.name.take(), |text| path_name(text).map(Some))?;
        if let Some(algorithms) = &entry.algorithms {
            messages.algorithms = self.all("issuers.algorithms", algorithms, algorithm)?;
        }
        self.set(&mut messages.keys_max_age, "issuers.keys_max_age", entry.keys_max_age.take(), positive)?;
        self.set(&mut messages.message_skew, "issuers.message_skew", entry.message_skew.take(), duration)?;
        self.set(&mut messages.logout_ends, "issuers.logout_ends", entry.logout_ends.take(), logout_ends)?;
        self.set(&mut messages.scim_user, "issuers.scim_user", entry.scim_user.take(), scim_user)?;
        self.set(&mut messages.scim_claim, "issuers.scim_claim", entry.scim_claim.take(), claim)?;
        Ok(messages)
    }

    fn issuer(&self, mut entry: IssuerEntry, before: &[Issuer]) -> Result<Issuer, ConfigError> {
        let issuer = entry.issuer.get_ref();
        if issuer.is_empty() || issuer.len() > portcullis_core::selector::MAX_VALUE_BYTES {
            return Err(self.wrong("issuers.issuer", &entry.issuer, "an issuer has 1 to 2048 bytes"));
        }
        if before.iter().any(|other| other.issuer == *issuer) {
            return Err(self.wrong("issuers.issuer", &entry.issuer, "this issuer is configured twice"));
        }
        let messages = self.messages(&mut entry, before)?;
        let mut settings = IssuerSettings::default();
        let lifetime = entry.max_token_lifetime;
        self.set(&mut settings.max_token_lifetime, "issuers.max_token_lifetime", lifetime, positive)?;
        let lifetime = entry.max_session_lifetime;
        self.set(&mut settings.max_session_lifetime, "issuers.max_session_lifetime", lifetime, positive)?;
        self.set(&mut settings.clock_skew, "issuers.clock_skew", entry.clock_skew, duration)?;
        self.set(&mut settings.cutoff_claim, "issuers.cutoff_claim", entry.cutoff_claim, cutoff_claim)?;
        Ok(Issuer {
            issuer: entry.issuer.into_inner(),
            jwks_uri: entry.jwks_uri,
            audiences: entry.audiences,
            settings,
            messages,
        })
    }

    pub(super) fn wrong<T>(&self, key: &str, at: &Spanned<T>, error: impl Display) -> ConfigError {
        let before = self.text.as_bytes().iter().take(at.span().start);
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::Value { path: self.path.into(), line, key: key.into(), error: error.to_string() }
    }
}

/// An address to listen at.
pub(super) fn address(text: &str) -> Result<std::net::SocketAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an address and a port, such as 127.0.0.1:8470"))
}

/// Any duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("`{text}` is not a duration: {error}"))
}

/// A duration that is not zero.
pub(super) fn positive(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|value| if value.is_zero() { Err("must not be zero".into()) } else { Ok(value) })
}

/// A period between heartbeats: edges take three missed ones for a dead peer, and believe no longer period.
pub(super) fn heartbeat(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(100)..=Duration::from_secs(60);
    duration(text).and_then(|value| match bounds.contains(&value) {
        true => Ok(value),
        false => Err("must be 100ms to 60s".into()),
    })
}

fn cutoff_claim(text: &str) -> Result<CutoffClaim, String> {
    [CutoffClaim::Iat, CutoffClaim::AuthTime]
        .into_iter()
        .find(|claim| claim.name() == text)
        .ok_or_else(|| format!("`{text}` is neither \"iat\" nor \"auth_time\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expect: &str) {
        let error = parse(text, Path::new("portcullis.toml")).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn the_contracts_example_is_read() {
        let text = r#"
            data_dir = "elsewhere"
            [listen]
            http = "127.0.0.1:1"
            [[issuers]]
            issuer = "https://idp.example"
            jwks_uri = "https://idp.example/jwks"
            audiences = ["portcullis"]
            max_token_lifetime = "5m"
            max_session_lifetime = "10h"
            clock_skew = "2s"
            cutoff_claim = "auth_time"
        "#;
        let config = parse(text, Path::new("x")).unwrap();
        assert_eq!(config.data_dir, Path::new("elsewhere"));
        assert_eq!((config.listen.http.port(), config.listen.edge.port()), (1, 8471));
        let issuer = config.issuers.find("https://idp.example").unwrap();
        assert_eq!(issuer.settings.max_token_lifetime, Duration::from_secs(300));
        assert_eq!(issuer.settings.cutoff_claim, CutoffClaim::AuthTime);
    }

    #[test]
    fn an_issuer_may_speak_for_one_that_comes_later() {
        let text = "[[issuers]]\nissuer = \"a\"\ntokens_of = [\"b\"]\n[[issuers]]\nissuer = \"b\"";
        let config = parse(text, Path::new("x")).unwrap();
        assert_eq!(config.issuers.find("a").unwrap().messages.tokens_of, ["b"]);
        refused(
            "[[issuers]]\nissuer = \"a\"\ntokens_of = [\"c\"]",
            "portcullis.toml:3: issuers.tokens_of: `c` is not an issuer of [[issuers]]",
        );
    }

    #[test]
    fn nothing_is_a_configuration() {
        assert_eq!(parse("", Path::new("x")), Ok(Config::default()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        refused("\n[listen]\nhtpp = \"x\"", "line 3");
        refused("[listen]\nhttp = \"x\"", "portcullis.toml:2: listen.http: `x` is not an address");
        refused("[log]\n\nretention = \"1 day\"", "portcullis.toml:3: log.retention");
        refused("[edge]\nheartbeat = \"0s\"", "portcullis.toml:2: edge.heartbeat: must be 100ms to 60s");
        refused("[edge]\nheartbeat = \"61s\"", "must be 100ms to 60s");
        refused("[[issuers]]\n", "issuer");
        refused("[[issuers]]\nissuer = \"\"", "portcullis.toml:2");
        refused("[[issuers]]\nissuer = \"a\"\n[[issuers]]\nissuer = \"a\"", "portcullis.toml:4");
        refused("[[issuers]]\nissuer = \"a\"\ncutoff_claim = \"exp\"", "neither");
        refused("[feed]\nhistory = -1", "line 2");
    }
}
