//! `[[webhooks]]`: who sends them, how they are signed, and what their JSON means.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_core::json::Json;

mod entry;
mod pointer;
mod secret;

pub(super) use entry::{WebhookEntry, webhook};
pub use pointer::Pointer;
pub(super) use secret::resolve;

/// One `[[webhooks]]` entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Webhook {
    /// Names it in its path, `/inlets/webhook/{name}`.
    pub name: String,
    /// The configured issuer that it may speak for.
    pub issuer: String,
    /// Where its secret comes from.
    pub secret_from: SecretSource,
    /// What it shares with the sender.
    pub secret: Secret,
    /// How its messages prove that they know the secret.
    pub scheme: Scheme,
    /// What tells a message from others, where the scheme does not say; `None`: its content.
    pub id: Option<Pointer>,
    /// The list of events in the body; `None`: the body is the only one.
    pub events: Option<Pointer>,
    /// For so long the same message is taken for a repetition, where the scheme has no time of its own.
    pub remember: Duration,
    /// What events mean. The first rule whose conditions hold decides.
    pub rules: Vec<Rule>,
}

/// Where a secret comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SecretSource {
    /// A variable of the environment.
    Variable(String),
    /// A file.
    File(PathBuf),
}

/// A shared secret. Its text is never shown.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, to verify with.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(…)")
    }
}

/// How a message proves that its sender knows the secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`.
    Standard {
        /// The timestamp may differ so much from this clock.
        tolerance: Duration,
    },
    /// An HMAC of the body in a header.
    Hmac {
        /// The header, in lower case.
        header: String,
        /// What stands before the signature.
        prefix: String,
        /// The hash.
        hash: Hash,
        /// How the signature is written.
        encoding: Encoding,
    },
    /// The secret itself in a header, for senders that sign nothing.
    Token {
        /// The header, in lower case.
        header: String,
        /// What stands before the secret.
        prefix: String,
    },
    /// The secret itself as `clientState` of every event, and a handshake before the first: change notifications of
    /// Microsoft Graph.
    ClientState,
}

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// Hexadecimal digits, in either case.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// What an event means if it has these members.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// What must hold, all of it; nothing: every event.
    pub when: Vec<Condition>,
    /// What follows.
    pub action: Action,
    /// Of what.
    pub subject: EventTarget,
    /// Where the event says when it happened: the cut-off.
    pub time: Option<Pointer>,
}

/// A member of an event that must have one of some values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Condition {
    /// Which.
    pub at: Pointer,
    /// What it may be.
    pub any_of: Vec<Scalar>,
}

/// A value that conditions compare with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Integer(i64),
}

impl Scalar {
    /// Whether a JSON value is this one.
    #[must_use]
    pub fn equals(&self, json: &Json<'_>) -> bool {
        match (self, json) {
            (Self::Text(own), Json::Text(other)) => own == other,
            (Self::Bool(own), Json::Bool(other)) => own == other,
            #[expect(clippy::cast_precision_loss, reason = "Json::Number holds no whole number beyond 2^53")]
            (Self::Integer(own), Json::Number(other)) => *own as f64 == *other,
            (Self::Integer(own), Json::Whole(other)) => i128::from(*own) == *other,
            _ => false,
        }
    }
}

/// What follows from an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// A revocation with the defaults of its kind.
    Revoke,
    /// A revocation of every token until something reinstates.
    RevokeUntilReinstated,
    /// What this webhook has revoked until reinstated is reinstated.
    Reinstate,
}

/// What an event is about: of a kind, by the value at a pointer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EventTarget {
    /// One session.
    Session(Pointer),
    /// A user by `sub`.
    Subject(Pointer),
    /// A user by the e-mail address.
    Email(Pointer),
    /// One token by `jti`.
    Token(Pointer),
    /// An application.
    Client(Pointer),
    /// Tokens of the issuer with these claims.
    Claims(BTreeMap<String, Pointer>),
}
