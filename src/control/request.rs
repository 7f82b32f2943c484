//! What callers ask for.

use std::collections::BTreeSet;

use portcullis_core::json::Json;
use portcullis_core::{Kind, UnixSeconds, Version};

use super::intake::FUTURE_TOLERANCE_MS;
use super::revocation::RevocationId;
use crate::auth::Scope;
use crate::clock::UnixMillis;

/// What a revocation shall match.
#[expect(missing_docs, reason = "the fields are named as the claims")]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// One login session: `sid`.
    Session { issuer: String, sid: String },
    /// Everything a user holds: `sub`.
    Subject { issuer: String, sub: String },
    /// One token by its `jti`.
    Token { issuer: String, jti: String },
    /// One token by its text, of which only the hash is kept.
    RawToken { token: String },
    /// One token by the SHA-256 of its text, 64 hexadecimal digits.
    TokenSha256 { hex: String },
    /// An application's tokens: `client_id` or `azp`.
    Client { issuer: String, client_id: String },
    /// Everything that an issuer has issued.
    Issuer { issuer: String },
    /// Everything signed with one key: the header's `kid`.
    Key { issuer: String, kid: String },
    /// Any claims, by name or JSON Pointer, all of which must hold.
    Claims(Vec<(String, String)>),
}

/// A revocation to be made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewRevocation {
    /// What it shall match.
    pub target: Target,
    /// Tokens issued at or before it are rejected; `None` takes the kind's default.
    pub cutoff_ms: Option<UnixMillis>,
    /// The cut-off may be so far ahead, because the clock of whoever says it may be.
    pub cutoff_ahead_ms: UnixMillis,
    /// When it ends; `None` takes the issuer's lifetimes.
    pub expires_at: Option<UnixSeconds>,
    /// Every token is rejected until someone reinstates; excludes a cut-off and an expiry.
    pub until_reinstated: bool,
    /// For the audit trail; may be empty.
    pub reason: String,
}

impl NewRevocation {
    /// With the defaults of the target's kind.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            cutoff_ms: None,
            cutoff_ahead_ms: FUTURE_TOLERANCE_MS,
            expires_at: None,
            until_reinstated: false,
            reason: String::new(),
        }
    }
}

/// Which revocations to list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// Of one kind.
    pub kind: Option<Kind>,
    /// Of one issuer.
    pub issuer: Option<String>,
    /// With that value (of the claim that the kind names; `sha256:<hex>` for raw tokens).
    pub value: Option<String>,
    /// In force, ended, or both.
    pub status: StatusFilter,
}

/// Which revocations, by whether they are in force.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum StatusFilter {
    /// In force, reinstated ones included: they still reject old tokens.
    #[default]
    Active,
    /// Undone or expired.
    Ended,
    /// Both.
    All,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PageRequest {
    /// Where the page before ended ([`Page::next`]); `None` for the first.
    pub cursor: Option<Version>,
    /// Most items; held between 1 and 1000.
    pub limit: usize,
}

/// A part of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T> {
    /// The items; may be fewer than asked for, even none, when `next` is there.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<Version>,
}

/// Which events to list, in the order of the log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EventFilter {
    /// Only those about one revocation, itself included.
    pub revocation: Option<RevocationId>,
}

/// What to check against the live revocations.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckSubject {
    /// A raw token, as a bearer would send it.
    Token(String),
    /// The claims of one: a JSON object.
    Claims(Json<'static>),
}

/// An API key to be made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewKey {
    /// For lists and the audit trail: 1 to 100 characters.
    pub name: String,
    /// At least one.
    pub scopes: BTreeSet<Scope>,
    /// The issuers that it may act on; empty for all.
    pub issuers: BTreeSet<String>,
}
