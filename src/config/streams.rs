//! `[[ssf]]`: streams of security events from transmitters (Shared Signals).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

mod entry;

pub(super) use entry::StreamEntry;

/// One `[[ssf]]` entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stream {
    /// Stands for it in paths and on the command line.
    pub name: String,
    /// The transmitter: `iss` of its events, and a configured issuer, which has the keys.
    pub transmitter: String,
    /// The configured issuer whose tokens its events are about.
    pub tokens_of: String,
    /// Accepted in `aud`; never empty when messages are to be accepted.
    pub audiences: Vec<String>,
    /// How events get here.
    pub delivery: Delivery,
    /// Event types to ask the transmitter for.
    pub events: Vec<EventKind>,
    /// What follows from each event.
    pub actions: BTreeMap<EventKind, Action>,
    /// Who calls the transmitter.
    pub credential: Credential,
}

/// How events get here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// The transmitter sends them (RFC 8935), with this text in `Authorization` if there is one.
    Push(Option<Secret>),
    /// They are asked for (RFC 8936).
    Poll {
        /// Whether the transmitter is asked to answer at once, even without events.
        short: bool,
        /// Between two questions that have brought nothing, where it answers at once.
        interval: Duration,
    },
}

/// By what the transmitter knows who calls it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Credential {
    /// Nothing.
    None,
    /// A bearer token that it has handed out.
    Token(Secret),
    /// A token of an authorization server, by OAuth 2.0 client credentials.
    Client {
        /// The token endpoint.
        token_url: String,
        /// The client.
        client_id: String,
        /// Its password.
        secret: Secret,
        /// What to ask for.
        scope: String,
    },
}

/// Where a secret is. It is read whenever it is needed, so that it can be changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Secret {
    /// In a file, without the line's end.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
}

/// A secret that is not there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the secret in {place} cannot be had: {why}")]
pub struct SecretError {
    place: String,
    why: String,
}

impl Secret {
    /// The secret, as it is now.
    ///
    /// # Errors
    /// When it is not there, empty, or nothing that a header can carry.
    pub fn read(&self) -> Result<String, SecretError> {
        let (place, text) = match self {
            Self::File(path) => {
                (path.display().to_string(), std::fs::read_to_string(path).map_err(|error| error.to_string()))
            }
            Self::Variable(name) => {
                (format!("the variable {name}"), std::env::var(name).map_err(|error| error.to_string()))
            }
        };
        let plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        match text.map(|text| text.trim().to_owned()) {
            Ok(text) if text.is_empty() => Err(SecretError { place, why: "it is empty".into() }),
            Ok(text) if !text.bytes().all(plain) => {
                Err(SecretError { place, why: "it is not one line of plain ASCII characters".into() })
            }
            Ok(text) => Ok(text),
            Err(why) => Err(SecretError { place, why }),
        }
    }
}

/// An event type to act on.
///
/// The members that an event must have besides its subject are not required where nothing depends on them:
/// `CredentialCompromise` counts without its `credential_type`, for whichever credential it is, what was issued with
/// it is to end, and a refusal would leave it alive.
#[expect(missing_docs, reason = "the variants are named as the events")]
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum EventKind {
    SessionRevoked,
    SessionsRevoked,
    AccountDisabled,
    AccountPurged,
    AccountEnabled,
    CredentialCompromise,
    CredentialChange,
    TokenClaimsChange,
    DeviceComplianceChange,
}

/// What follows from an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Nothing; it is in the audit trail.
    Ignore,
    /// The session ends where one is named; else all that the subject was issued until then is rejected.
    CutOff,
    /// The session ends where one is named; else nothing.
    Sessions,
    /// Whatever the subject holds is rejected until it is reinstated.
    UntilReinstated,
    /// What was rejected until it is reinstated is reinstated.
    Reinstate,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::SessionRevoked,
        Self::SessionsRevoked,
        Self::AccountDisabled,
        Self::AccountPurged,
        Self::AccountEnabled,
        Self::CredentialCompromise,
        Self::CredentialChange,
        Self::TokenClaimsChange,
        Self::DeviceComplianceChange,
    ];

    /// Its URI in `events`.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::SessionRevoked => "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
            // Deprecated by RISC 1.0, and still sent.
            Self::SessionsRevoked => "https://schemas.openid.net/secevent/risc/event-type/sessions-revoked",
            Self::AccountDisabled => "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
            Self::AccountPurged => "https://schemas.openid.net/secevent/risc/event-type/account-purged",
            Self::AccountEnabled => "https://schemas.openid.net/secevent/risc/event-type/account-enabled",
            Self::CredentialCompromise => {
                "https://schemas.openid.net/secevent/risc/event-type/credential-compromise"
            }
            Self::CredentialChange => "https://schemas.openid.net/secevent/caep/event-type/credential-change",
            Self::TokenClaimsChange => {
                "https://schemas.openid.net/secevent/caep/event-type/token-claims-change"
            }
            Self::DeviceComplianceChange => {
                "https://schemas.openid.net/secevent/caep/event-type/device-compliance-change"
            }
        }
    }

    /// Its name in the configuration and in the audit trail: the URI's last part.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.uri().rsplit('/').next().unwrap_or_default()
    }

    /// What follows from it where nothing is configured.
    #[must_use]
    pub const fn default_action(self) -> Action {
        match self {
            Self::SessionRevoked | Self::SessionsRevoked | Self::CredentialCompromise => Action::CutOff,
            Self::AccountDisabled | Self::AccountPurged => Action::UntilReinstated,
            Self::AccountEnabled => Action::Reinstate,
            Self::CredentialChange | Self::TokenClaimsChange | Self::DeviceComplianceChange => Action::Ignore,
        }
    }

    /// What may follow from it.
    #[must_use]
    pub const fn actions(self) -> &'static [Action] {
        match self {
            Self::AccountEnabled => &[Action::Ignore, Action::Reinstate],
            Self::AccountDisabled | Self::AccountPurged => {
                &[Action::Ignore, Action::CutOff, Action::UntilReinstated]
            }
            Self::SessionRevoked | Self::SessionsRevoked => {
                &[Action::Ignore, Action::CutOff, Action::Sessions]
            }
            _ => &[Action::Ignore, Action::CutOff],
        }
    }
}

impl Action {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::CutOff => "cut_off",
            Self::Sessions => "sessions",
            Self::UntilReinstated => "until_reinstated",
            Self::Reinstate => "reinstate",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Stream {
    /// What follows from an event.
    #[must_use]
    pub fn action(&self, kind: EventKind) -> Action {
        self.actions.get(&kind).copied().unwrap_or(kind.default_action())
    }
}
