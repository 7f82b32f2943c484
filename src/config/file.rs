//! `portcullis.toml`: what may stand in it, and from there to a valid [`Config`].

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use portcullis_core::CutoffClaim;
use serde::Deserialize;
use toml::Spanned;

use super::{Config, ConfigError, Issuer, IssuerSettings, parse_duration};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    data_dir: Option<String>,
    strict_issuers: Option<bool>,
    listen: Listen,
    log: Log,
    feed: Feed,
    edge: Edge,
    issuers: Vec<IssuerEntry>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Listen {
    http: Option<Spanned<String>>,
    edge: Option<Spanned<String>>,
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
    source.set(&mut config.log.retention, "log.retention", file.log.retention, positive)?;
    config.log.max_bytes = file.log.max_bytes.unwrap_or(config.log.max_bytes);
    config.feed.history = file.feed.history.unwrap_or(config.feed.history);
    let edge = &mut config.edge;
    source.set(&mut edge.heartbeat, "edge.heartbeat", file.edge.heartbeat, heartbeat)?;
    source.set(&mut edge.forget_after, "edge.forget_after", file.edge.forget_after, duration)?;
    edge.max_subscribers = file.edge.max_subscribers.unwrap_or(edge.max_subscribers);
    source.set(&mut edge.hello_timeout, "edge.hello_timeout", file.edge.hello_timeout, positive)?;
    source.set(&mut edge.send_timeout, "edge.send_timeout", file.edge.send_timeout, positive)?;
    config.issuers.strict = file.strict_issuers.unwrap_or_default();
    for entry in file.issuers {
        let issuer = source.issuer(entry, &config.issuers.configured)?;
        config.issuers.configured.push(issuer);
    }
    Ok(config)
}

/// The file, for the line of what is wrong.
struct Source<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Source<'_> {
    fn set<T, E: Display>(
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

    fn issuer(&self, entry: IssuerEntry, before: &[Issuer]) -> Result<Issuer, ConfigError> {
        let issuer = entry.issuer.get_ref();
        if issuer.is_empty() || issuer.len() > portcullis_core::selector::MAX_VALUE_BYTES {
            return Err(self.wrong("issuers.issuer", &entry.issuer, "an issuer has 1 to 2048 bytes"));
        }
        if before.iter().any(|other| other.issuer == *issuer) {
            return Err(self.wrong("issuers.issuer", &entry.issuer, "this issuer is configured twice"));
        }
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
        })
    }

    fn wrong(&self, key: &str, at: &Spanned<String>, error: impl Display) -> ConfigError {
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
