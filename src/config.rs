//! What an operator can set: `portcullis.toml`, overridden by `PORTCULLIS_*` variables.
//!
//! A [`Config`] that exists is valid. Every key has a default; an unknown key or variable is an error, with
//! its line or its name.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_core::CutoffClaim;

mod duration;
mod environment;
mod file;
mod inlets;
mod messages;
mod status_lists;
mod streams;
mod tls;
mod traces;
pub mod webhooks;

pub use duration::{DurationError, parse_duration};
pub use environment::Keys;
pub use inlets::{Inlets, Network};
pub use messages::{ALGORITHMS, Leniency, LogoutEnds, MessageSettings, ScimUser};
pub use status_lists::StatusList;
pub use streams::{Action, Credential, Delivery, EventKind, Secret, SecretError, Stream};
pub use tls::{EdgeIdentity, Pattern, Port, Tls};
pub use traces::Traces;
pub use webhooks::Webhook;

/// Everything that can be set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Where the log is. Created when it is not there.
    pub data_dir: PathBuf,
    /// The two ports.
    pub listen: Listen,
    /// TLS on them.
    pub tls: Option<Tls>,
    /// The compiled filters to hand out, the current one first; `None` for the one beside the binary.
    pub filter_files: Option<Vec<PathBuf>>,
    /// The durable log.
    pub log: Log,
    /// Changes for edges that come back.
    pub feed: Feed,
    /// The edges' streams.
    pub edge: Edge,
    /// What holds for every inlet.
    pub inlets: Inlets,
    /// The issuers, and what holds for the others.
    pub issuers: Issuers,
    /// The streams of security events.
    pub streams: Vec<Stream>,
    /// The lists that say which tokens are not valid any more.
    pub status_lists: Vec<StatusList>,
    /// Where traces go.
    pub traces: Traces,
}

/// `[listen]`: the two ports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listen {
    /// API, inlets, health, metrics.
    pub http: SocketAddr,
    /// gRPC for edges.
    pub edge: SocketAddr,
}

/// `[log]`: the durable log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    /// How long what has ended stays in the audit trail.
    pub retention: Duration,
    /// Most bytes of the database file; beyond it appends fail as on a full disk. 0: no limit.
    pub max_bytes: u64,
}

/// `[feed]`: changes for edges that come back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Feed {
    /// Changes kept in memory; an edge that has missed more gets a snapshot.
    pub history: usize,
}

/// `[edge]`: the edges' streams.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Edge {
    /// Longest silence of the control plane.
    pub heartbeat: Duration,
    /// How long an edge that has gone stays listed.
    pub forget_after: Duration,
    /// Most streams at a time.
    pub max_subscribers: usize,
    /// An edge must introduce itself within this time.
    pub hello_timeout: Duration,
    /// An edge that takes nothing for so long while there is something for it is dropped.
    pub send_timeout: Duration,
    /// Which certificates may be which edges; empty for every one of `tls.edge_ca_file`.
    pub identities: Vec<EdgeIdentity>,
}

/// `[[issuers]]` and `strict_issuers`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Issuers {
    /// Refuse issuers that are not configured. Holds only while at least one is.
    pub strict: bool,
    /// The configured ones.
    pub configured: Vec<Issuer>,
}

/// One `[[issuers]]` entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issuer {
    /// The tokens' `iss`.
    pub issuer: String,
    /// Where its keys are; else OpenID discovery.
    pub jwks_uri: Option<String>,
    /// Accepted in logout tokens and security events.
    pub audiences: Vec<String>,
    /// Its lifetimes and its clock.
    pub settings: IssuerSettings,
    /// How its signed messages are verified and understood.
    pub messages: MessageSettings,
}

/// What decides about cut-offs and expiries of an issuer's revocations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IssuerSettings {
    /// A token is valid at most so long after `iat`.
    pub max_token_lifetime: Duration,
    /// A session is refreshed at most so long.
    pub max_session_lifetime: Duration,
    /// Its clock may be ahead of this one by so much.
    pub clock_skew: Duration,
    /// What cut-offs are compared with.
    pub cutoff_claim: CutoffClaim,
}

impl Default for IssuerSettings {
    fn default() -> Self {
        Self {
            max_token_lifetime: Duration::from_secs(3_600),
            max_session_lifetime: Duration::from_secs(24 * 3_600),
            clock_skew: Duration::from_secs(1),
            cutoff_claim: CutoffClaim::Iat,
        }
    }
}

impl Issuers {
    /// An issuer of the configuration.
    #[must_use]
    pub fn find(&self, issuer: &str) -> Option<&Issuer> {
        self.configured.iter().find(|configured| configured.issuer == issuer)
    }

    /// The name of an issuer that another entry of the configuration names.
    ///
    /// # Errors
    /// When it is none of the configuration, in words.
    pub(crate) fn named(&self, issuer: &str) -> Result<String, String> {
        match self.find(issuer) {
            Some(known) => Ok(known.issuer.clone()),
            None => Err(format!("`{issuer}` is not an issuer of [[issuers]], where its keys are configured")),
        }
    }

    /// The one that is meant when none is named: the only one of the configuration.
    #[must_use]
    pub fn only(&self) -> Option<&str> {
        match self.configured.as_slice() {
            [only] => Some(&only.issuer),
            _ => None,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("portcullis-data"),
            listen: Listen {
                http: SocketAddr::from(([127, 0, 0, 1], 8470)),
                edge: SocketAddr::from(([127, 0, 0, 1], 8471)),
            },
            tls: None,
            filter_files: None,
            log: Log { retention: Duration::from_secs(90 * 86_400), max_bytes: 0 },
            feed: Feed { history: 100_000 },
            edge: Edge {
                heartbeat: Duration::from_secs(5),
                forget_after: Duration::from_secs(3_600),
                max_subscribers: 20_000,
                hello_timeout: Duration::from_secs(10),
                send_timeout: Duration::from_secs(10),
                identities: Vec::new(),
            },
            inlets: Inlets::default(),
            issuers: Issuers::default(),
            streams: Vec::new(),
            status_lists: Vec::new(),
            traces: Traces::default(),
        }
    }
}

/// Why there is no configuration.
#[expect(missing_docs, reason = "the fields are what the message says")]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: String },
    /// The file is wrong; `error` has the line.
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: String },
    /// A value of the file makes no sense.
    #[error("{}:{line}: {key}: {error}", path.display())]
    Value { path: PathBuf, line: usize, key: String, error: String },
    /// Something is of no use without something else.
    #[error("{key} {error}")]
    Incomplete { key: &'static str, error: &'static str },
    /// A webhook's secret is missing or of no use.
    #[error("the secret of the webhook {webhook}: {error}")]
    Secret { webhook: String, error: String },
    /// A `PORTCULLIS_*` variable is not known.
    #[error("the environment variable {name} is not known{}", hint.map_or(String::new(), |hint| format!(": did you mean {hint}?")))]
    UnknownVariable { name: String, hint: Option<&'static str> },
    /// A `PORTCULLIS_*` variable has a value that makes no sense.
    #[error("the environment variable {name}: {error}")]
    Variable { name: &'static str, error: String },
}

impl Config {
    /// The configuration in a file, overridden by the environment.
    ///
    /// `path` is what the operator named; `None` takes `portcullis.toml` of the working directory if it is
    /// there.
    ///
    /// # Errors
    /// When the file cannot be read, or it or a variable is not valid.
    pub fn load(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(Self, Keys), ConfigError> {
        let default = Path::new("portcullis.toml");
        let path = path.or_else(|| default.exists().then_some(default));
        let mut config = match path {
            None => Self::default(),
            Some(path) => {
                let unreadable = |error: std::io::Error| ConfigError::Unreadable {
                    path: path.into(),
                    error: error.to_string(),
                };
                let text = std::fs::read_to_string(path).map_err(unreadable)?;
                file::parse(&text, path)?
            }
        };
        let environment: Vec<(String, String)> = environment.into_iter().collect();
        webhooks::resolve(&mut config.inlets.webhooks, path, &environment)?;
        let keys = environment::apply(&mut config, environment)?;
        config.tls.as_ref().map_or(Ok(()), Tls::check)?;
        let shows_certificates = config.tls.as_ref().is_some_and(|tls| tls.edge_ca_file.is_some());
        if !config.edge.identities.is_empty() && !shows_certificates {
            let error = "are of no use without tls.edge_ca_file: no edge shows a certificate";
            return Err(ConfigError::Incomplete { key: "edge.identities", error });
        }
        Ok((config, keys))
    }

    /// Whether a port speaks TLS.
    #[must_use]
    pub fn has_tls(&self, port: Port) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.covers(port))
    }
}
