//! What holds for an issuer's signed messages: logout tokens, security events.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jsonwebtoken::Algorithm;

/// How an issuer's messages are verified and understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageSettings {
    /// Stands for the issuer in paths such as `/inlets/keycloak/{issuer}/…`.
    pub name: Option<String>,
    /// Signature algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// Its keys may be at a private or loopback address, and there without TLS.
    pub allow_private_addresses: bool,
    /// Its keys are fetched again when they are older.
    pub keys_max_age: Duration,
    /// Its clock may differ so much from this one, where `iat`, `nbf` and `exp` are checked.
    pub message_skew: Duration,
    /// What a logout token with both `sid` and `sub` ends.
    pub logout_ends: LogoutEnds,
    /// The claim of its tokens that holds the user's e-mail address; `None`: a subject that is known by its
    /// address alone is refused.
    pub email_claim: Option<String>,
    /// The same for what an `opaque` identifier holds.
    pub opaque_claim: Option<String>,
    /// The same for what follows `acct:` in an `account` identifier.
    pub account_claim: Option<String>,
    /// The configured issuers whose tokens its global token revocations end; its own where there are none. Okta's
    /// organization signs them, and the tokens may be of its authorization servers.
    pub tokens_of: Vec<String>,
    /// The attribute of a SCIM user that names it in tokens.
    pub scim_user: ScimUser,
    /// The claim that has it.
    pub scim_claim: String,
    /// Departures from the specifications that are accepted.
    pub allow: BTreeSet<Leniency>,
}

impl Default for MessageSettings {
    fn default() -> Self {
        Self {
            name: None,
            algorithms: ALGORITHMS.iter().map(|(_, algorithm)| *algorithm).collect(),
            allow_private_addresses: false,
            keys_max_age: Duration::from_secs(3_600),
            message_skew: Duration::from_secs(60),
            logout_ends: LogoutEnds::Session,
            email_claim: None,
            opaque_claim: None,
            account_claim: None,
            tokens_of: Vec::new(),
            scim_user: ScimUser::ExternalId,
            scim_claim: "sub".into(),
            allow: BTreeSet::new(),
        }
    }
}

impl MessageSettings {
    /// How far its clock may be ahead, in milliseconds.
    #[must_use]
    pub fn skew_ms(&self) -> u64 {
        u64::try_from(self.message_skew.as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether a departure is accepted.
    #[must_use]
    pub fn allows(&self, leniency: Leniency) -> bool {
        self.allow.contains(&leniency)
    }
}

/// Every signature algorithm with public keys that can be verified. None with a shared secret is among them.
pub const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// What a logout token with both `sid` and `sub` ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogoutEnds {
    /// The session, as the specification has it.
    #[default]
    Session,
    /// Everything the user holds: for providers that name one session when they end all (Keycloak 22914).
    Subject,
}

/// The attribute of a SCIM user that names it in tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ScimUser {
    /// `externalId`: the provider's own id.
    ExternalId,
    /// `userName`
    UserName,
    /// The primary e-mail address, else the first.
    Email,
}

impl ScimUser {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExternalId => "externalId",
            Self::UserName => "userName",
            Self::Email => "email",
        }
    }
}

/// A departure from a specification that an issuer's messages may have. Each is named for what it allows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Leniency {
    /// Logout tokens without `exp`, as before the errata of 2022; `iat` bounds their age instead.
    MissingExp,
    /// Messages whose `typ` is `JWT` or missing.
    GenericTyp,
    /// `"sid": null` for a logout token without `sid`.
    NullSid,
    /// Security events with `sub`, which is passed over.
    SetSub,
    /// Security events with `exp`, which then holds.
    SetExp,
    /// Security events whose subject is in the event alone, as before SSF 1.0 (Okta).
    SubjectInEvent,
    /// Subjects with `subject_type` instead of `format`, as before RFC 9493 (Google), or complex without either.
    UntypedSubject,
}

impl Leniency {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::MissingExp,
        Self::GenericTyp,
        Self::NullSid,
        Self::SetSub,
        Self::SetExp,
        Self::SubjectInEvent,
        Self::UntypedSubject,
    ];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingExp => "missing_exp",
            Self::GenericTyp => "generic_typ",
            Self::NullSid => "null_sid",
            Self::SetSub => "set_sub",
            Self::SetExp => "set_exp",
            Self::SubjectInEvent => "subject_in_event",
            Self::UntypedSubject => "untyped_subject",
        }
    }
}

impl fmt::Display for Leniency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// An algorithm by its name in RFC 7518.
pub(super) fn algorithm(text: &str) -> Result<Algorithm, String> {
    let known = ALGORITHMS.iter().find(|(name, _)| *name == text);
    known.map(|(_, algorithm)| *algorithm).ok_or_else(|| {
        let names: Vec<&str> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
        format!("`{text}` is not one of {}", names.join(", "))
    })
}

pub(super) fn leniency(text: &str) -> Result<Leniency, String> {
    Leniency::ALL.into_iter().find(|leniency| leniency.name() == text).ok_or_else(|| {
        let names: Vec<&str> = Leniency::ALL.iter().map(|leniency| leniency.name()).collect();
        format!("`{text}` is not one of {}", names.join(", "))
    })
}

pub(super) fn logout_ends(text: &str) -> Result<LogoutEnds, String> {
    match text {
        "session" => Ok(LogoutEnds::Session),
        "subject" => Ok(LogoutEnds::Subject),
        _ => Err(format!("`{text}` is neither \"session\" nor \"subject\"")),
    }
}

pub(super) fn scim_user(text: &str) -> Result<ScimUser, String> {
    let known = [ScimUser::ExternalId, ScimUser::UserName, ScimUser::Email];
    known
        .into_iter()
        .find(|user| user.name() == text)
        .ok_or_else(|| format!("`{text}` is none of \"externalId\", \"userName\" and \"email\""))
}

/// A claim of tokens, by name or JSON Pointer.
pub(super) fn claim(text: &str) -> Result<String, String> {
    text.parse::<portcullis_core::field::ClaimPath>().map_err(|error| format!("`{text}`: {error}"))?;
    Ok(text.to_owned())
}

/// A name that needs no escapes in a path.
pub(super) fn path_name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.') {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not 1 to 64 letters, digits, `-`, `_` or `.`"))
    }
}
