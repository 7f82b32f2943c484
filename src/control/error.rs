//! What can go wrong at the front door.

use portcullis_core::field::ClaimPathError;
use portcullis_core::selector::SelectorError;
use portcullis_core::token::Malformed;

use super::revocation::{RevocationId, Status};
use crate::auth::Scope;
use crate::log::LogError;

/// Why the control plane has not done what was asked. Nothing has been changed then.
#[expect(missing_docs, reason = "the fields are what the message says")]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ControlError {
    /// Still reading the log, or shutting down.
    #[error("the control plane is not ready")]
    NotReady,
    /// The caller's key lacks a scope.
    #[error("this needs a key with the scope `{0}`")]
    Scope(Scope),
    /// The caller's key is limited to other issuers; `None`: the selector names no issuer.
    #[error("the key may not act on {}", .0.as_deref().map_or("selectors without an issuer".into(), |issuer| format!("issuer {issuer}")))]
    Issuer(Option<String>),
    /// The request itself is wrong.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No revocation has that id.
    #[error("there is no revocation {0}")]
    NoRevocation(RevocationId),
    /// The revocation has ended before.
    #[error("revocation {id} is no longer in force: it is {status}")]
    Ended { id: RevocationId, status: Status },
    /// The revocation has been reinstated before.
    #[error("revocation {0} has been reinstated before")]
    AlreadyReinstated(RevocationId),
    /// No API key has that id.
    #[error("there is no API key {0}")]
    NoKey(String),
    /// Nobody could make another admin key then.
    #[error(
        "key {0} is the last stored one with the scope `admin`: create another first (`portcullis key create NAME --scope admin`), or start the control plane with PORTCULLIS_ADMIN_KEY set"
    )]
    LastAdminKey(String),
    /// Nothing could be stored.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Why a request is not acceptable as it stands.
#[expect(missing_docs, reason = "the fields are what the message says")]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The kind needs an issuer, and it is not clear which: these are configured.
    #[error("the issuer is missing{}", configured_ones(.0))]
    IssuerMissing(Vec<String>),
    /// `strict_issuers` is on, and the issuer is not configured.
    #[error("issuer {0} is not configured, and strict_issuers is on")]
    UnknownIssuer(String),
    /// The kind needs a value.
    #[error("the value is missing")]
    ValueMissing,
    /// A claim's name or pointer.
    #[error("claim `{name}`: {error}")]
    Claim { name: String, error: ClaimPathError },
    /// The requirements do not make up a selector.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// The raw token is no token.
    #[error("not a token: {0}")]
    Token(Malformed),
    /// Not 64 hexadecimal digits.
    #[error("a token's SHA-256 is 64 hexadecimal digits")]
    TokenSha256,
    /// The cut-off is more than the tolerance ahead.
    #[error("the cut-off is in the future: tokens that do not exist yet cannot be revoked")]
    CutoffInFuture,
    /// Every token that it could reject has expired, by the issuer's max_token_lifetime.
    #[error("every token issued before the cut-off has expired: nothing would be revoked")]
    CutoffTooOld,
    /// Until reinstated, and a cut-off.
    #[error("until_reinstated rejects every token: leave out the cut-off")]
    CutoffUntilReinstated,
    /// Until reinstated, and an expiry.
    #[error("until_reinstated has no end: leave out expires_at")]
    ExpiryUntilReinstated,
    /// The expiry is now or in the past.
    #[error("expires_at is in the past")]
    ExpiryPast,
    /// The expiry is at or before the cut-off.
    #[error("expires_at is before the cut-off")]
    ExpiryBeforeCutoff,
    /// A time is beyond the year 9999.
    #[error("{0} is not a time in seconds before the year 10000")]
    Time(&'static str),
    /// The reason is too long.
    #[error("the reason is longer than {max} bytes")]
    ReasonTooLong { max: usize },
    /// A control character (Unicode Cc) in a text that people read. `claim`: the claim that has it.
    #[error("`{field}` has a control character, such as a line break or an escape: leave it out")]
    ControlCharacter { field: &'static str, claim: Option<String> },
    /// Another shape would cost every request of every edge another look-up.
    #[error("{max} different sets of claims are in use already, which is the most: use one of them")]
    TooManyShapes { max: usize },
    /// A key needs a name.
    #[error(
        "the name of a key has 1 to {max} characters, none of them a control character such as a line break"
    )]
    KeyName { max: usize },
    /// A key without scopes is of no use.
    #[error("a key needs at least one scope")]
    KeyScopes,
    /// An issuer in a key's limits is empty or too long, or there are too many.
    #[error("a key is limited to at most {max} issuers, none of them empty or over 2048 bytes")]
    KeyIssuers { max: usize },
    /// An admin key cannot be limited: it could make itself another.
    #[error("a key with the scope `admin` cannot be limited to issuers")]
    LimitedAdmin,
    /// An edge gets the whole set and the secret of its hashes.
    #[error("a key with the scope `edge` cannot be limited to issuers: an edge needs the whole set")]
    LimitedEdge,
    /// More in one call than is allowed.
    #[error("at most {max} revocations in one call")]
    BatchTooLarge { max: usize },
}

fn configured_ones(issuers: &[String]) -> String {
    if issuers.is_empty() { String::new() } else { format!(": name one of {}", issuers.join(", ")) }
}

impl Refusal {
    /// A code for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::IssuerMissing(_) => "issuer_missing",
            Self::UnknownIssuer(_) => "unknown_issuer",
            Self::ValueMissing => "value_missing",
            Self::Claim { .. } => "claim_invalid",
            Self::Selector(_) => "selector_invalid",
            Self::Token(_) => "token_malformed",
            Self::TokenSha256 => "token_sha256_invalid",
            Self::CutoffInFuture => "cutoff_in_future",
            Self::CutoffTooOld => "cutoff_too_old",
            Self::CutoffUntilReinstated => "cutoff_until_reinstated",
            Self::ExpiryUntilReinstated => "expiry_until_reinstated",
            Self::ExpiryPast => "expiry_past",
            Self::ExpiryBeforeCutoff => "expiry_before_cutoff",
            Self::Time(_) => "time_invalid",
            Self::ReasonTooLong { .. } => "reason_too_long",
            Self::ControlCharacter { .. } => "control_character",
            Self::TooManyShapes { .. } => "too_many_shapes",
            Self::KeyName { .. } => "key_name_invalid",
            Self::KeyScopes => "key_scopes_missing",
            Self::KeyIssuers { .. } => "key_issuers_invalid",
            Self::LimitedAdmin => "key_admin_limited",
            Self::LimitedEdge => "key_edge_limited",
            Self::BatchTooLarge { .. } => "batch_too_large",
        }
    }

    /// The part of the request that it is about, as the contract names it.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::IssuerMissing(_) | Self::UnknownIssuer(_) => "issuer",
            Self::ValueMissing | Self::TokenSha256 | Self::Selector(_) => "value",
            Self::Claim { .. } | Self::TooManyShapes { .. } => "claims",
            Self::Token(_) => "token",
            Self::CutoffInFuture | Self::CutoffTooOld | Self::CutoffUntilReinstated => "cutoff",
            Self::ExpiryUntilReinstated | Self::ExpiryPast | Self::ExpiryBeforeCutoff => "expires_at",
            Self::Time(field) | Self::ControlCharacter { field, .. } => field,
            Self::ReasonTooLong { .. } => "reason",
            Self::KeyName { .. } => "name",
            Self::KeyScopes => "scopes",
            Self::KeyIssuers { .. } | Self::LimitedAdmin | Self::LimitedEdge => "issuers",
            Self::BatchTooLarge { .. } => "",
        }
    }
}
