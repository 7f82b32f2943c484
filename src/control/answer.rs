//! What callers get back.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_core::token::Malformed;
use portcullis_core::{Cutoff, Kind, Selector, UnixSeconds, Version};

use super::revocation::{Revocation, RevocationId};
use crate::auth::{Actor, Caller, KeyText, Scope};
use crate::clock::UnixMillis;

/// A point of the log that a call has brought about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Commit {
    /// The version.
    pub version: Version,
    /// When it was accepted.
    pub at_ms: UnixMillis,
}

/// How much there is of what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counts {
    /// The version that is in force here.
    pub version: Version,
    /// Live revocations.
    pub revocations: u64,
    /// Connected edges.
    pub edges: u64,
    /// Connected workers.
    pub workers: u64,
}

/// A change of a revocation that is durable and on its way to the edges.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accepted {
    /// The revocation as it now is.
    pub revocation: Revocation,
    /// What to wait for.
    pub commit: Commit,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
}

/// Accepted, but worth a look.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Warning {
    /// The issuer is not in the configuration.
    #[error("issuer {0} is not configured: default lifetimes apply")]
    IssuerNotConfigured(String),
    /// A token that is not revoked, but of which nothing else was known.
    #[error(
        "the token is no signed JWT: only revocations of this very token were looked for, and none of a user, a session or anything else that a JWT says"
    )]
    OpaqueToken,
    /// A value with white space around it, which most often came with copying.
    #[error(
        "`{field}` is {value:?}, with white space at its start or end: it matches only tokens that have that too"
    )]
    WhiteSpace {
        /// The part of the request.
        field: String,
        /// What it says.
        value: String,
    },
    /// The issuer is not in the configuration, and others are.
    #[error(
        "issuer {issuer} is not configured: no token of the configured issuers ({}) matches{}; default lifetimes apply",
        configured.join(", "),
        similar.as_deref().map_or(String::new(), |similar| format!("; did you mean {similar}?"))
    )]
    IssuerMatchesNone {
        /// The one of the request.
        issuer: String,
        /// The configured ones that the caller may act on.
        configured: Vec<String>,
        /// The configured one that differs in nothing but a trailing slash, case or the scheme.
        similar: Option<String>,
    },
}

impl Warning {
    /// What a caller gets to read: nothing of issuers that it may not act on.
    pub(super) fn told_to(self, caller: &Caller) -> Self {
        let may = |name: &String| caller.principal.may_act_on(Some(name));
        match self {
            Self::IssuerMatchesNone { issuer, mut configured, similar } => {
                configured.retain(may);
                let similar = similar.filter(may);
                if configured.is_empty() {
                    Self::IssuerNotConfigured(issuer)
                } else {
                    Self::IssuerMatchesNone { issuer, configured, similar }
                }
            }
            other => other,
        }
    }
}

/// How far a version has got.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Receipts {
    /// Connected edges that enforce it.
    pub applied: usize,
    /// Connected edges that do not yet.
    pub pending: usize,
    /// Each connected edge.
    pub edges: Vec<EdgeReceipt>,
    /// Edges that went too long ago to be waited for, by name. If one is only cut off, it enforces what it had.
    pub gone: Vec<String>,
}

/// One edge's part in [`Receipts`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EdgeReceipt {
    /// What the operator calls it (Envoy's `node.id`).
    pub node: String,
    /// The Envoy process.
    pub process: String,
    /// Its connected workers.
    pub workers: usize,
    /// Those of them that enforce the version.
    pub applied_workers: usize,
    /// From acceptance to the last worker's receipt; `None` while one is missing.
    pub ms: Option<u64>,
}

impl EdgeReceipt {
    /// Whether every worker enforces it.
    #[must_use]
    pub fn applied(&self) -> bool {
        self.applied_workers == self.workers
    }
}

/// Every edge that is or was lately connected.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Edges {
    /// The control plane's version.
    pub version: Version,
    /// By node and process.
    pub edges: Vec<EdgeStatus>,
}

/// One Envoy process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EdgeStatus {
    /// What the operator calls it.
    pub node: String,
    /// The Envoy process.
    pub process: String,
    /// The filter's version.
    pub filter_version: String,
    /// Whether any worker is connected.
    pub connected: bool,
    /// The lowest version of its workers; 0 before the first receipt.
    pub version: Version,
    /// Versions that it is behind.
    pub lag: u64,
    /// When it last said something.
    pub last_contact_ms: UnixMillis,
    /// Its connected workers; when none is, the last ones.
    pub workers: Vec<WorkerStatus>,
}

/// One filter VM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WorkerStatus {
    /// Its random id.
    pub worker: String,
    /// Whether its stream is open; if not, it may yet come back.
    pub connected: bool,
    /// What it enforces; 0 before the first receipt.
    pub version: Version,
    /// Versions that it is behind.
    pub lag: u64,
    /// Revocations in its set.
    pub revocations: u64,
    /// The set that it did not take, until it takes another.
    pub refused: Option<RefusedSet>,
    /// When its stream began.
    pub connected_since_ms: UnixMillis,
    /// When it last said something.
    pub last_contact_ms: UnixMillis,
    /// What it has rejected since it connected, by code.
    pub rejections: BTreeMap<String, u64>,
}

/// A set that is larger than a worker takes, which goes on with an older one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RefusedSet {
    /// Revocations in it.
    pub revocations: u64,
    /// The worker's `limits.revocations`.
    pub limit: u64,
}

/// Whether a token would be rejected.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Checked {
    /// The first kind that matches, in core's order: the reason that an edge would give. `None`: not revoked.
    pub kind: Option<Kind>,
    /// The revocations that reject it.
    pub revocations: Vec<Revocation>,
    /// When the first of them was accepted.
    pub since_ms: Option<UnixMillis>,
    /// Why it cannot be read; an edge treats it as its policy says.
    pub malformed: Option<Malformed>,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
}

/// An entry of the audit trail.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditEvent {
    /// Its position in the log.
    pub version: Version,
    /// When it was accepted.
    pub at_ms: UnixMillis,
    /// Who caused it.
    pub actor: Actor,
    /// What happened.
    pub what: AuditRecord,
}

/// What happened. A revocation's id is `None` when the revocation itself has been compacted away.
#[expect(missing_docs, reason = "the fields are named as in the events")]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AuditRecord {
    /// A revocation came into force.
    Revoked {
        id: RevocationId,
        selector: Selector,
        cutoff: Cutoff,
        expires_at: Option<UnixSeconds>,
        reason: String,
    },
    /// Newer tokens are accepted again.
    Reinstated { id: Option<RevocationId>, cutoff: UnixSeconds, expires_at: UnixSeconds, reason: String },
    /// It was a mistake.
    Undone { id: Option<RevocationId>, reason: String },
    /// Everything that ended until then was dropped.
    Swept { until: UnixSeconds },
    /// An API key was made.
    KeyCreated { id: String, name: String, scopes: BTreeSet<Scope>, issuers: BTreeSet<String> },
    /// An API key was deleted.
    KeyDeleted { id: String },
    /// An inlet has received a message. `refusal`: the code of why it was refused. `count`: the messages that
    /// this stands for, if not one. What it reinstated is in the events after it.
    Received {
        inlet: String,
        issuer: String,
        message_id: String,
        peer: String,
        signal: String,
        revocations: Vec<RevocationId>,
        refusal: Option<String>,
        detail: String,
        count: Option<u64>,
    },
    /// A user is kept as it is here (SCIM).
    UserKept { issuer: String, id: String, user_name: String, active: bool },
    /// A user was deleted (SCIM).
    UserDropped { issuer: String, id: String },
}

impl AuditRecord {
    /// Its name in the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Revoked { .. } => "revoked",
            Self::Reinstated { .. } => "reinstated",
            Self::Undone { .. } => "undone",
            Self::Swept { .. } => "swept",
            Self::KeyCreated { .. } => "key_created",
            Self::KeyDeleted { .. } => "key_deleted",
            Self::Received { .. } => "received",
            Self::UserKept { .. } => "user_kept",
            Self::UserDropped { .. } => "user_dropped",
        }
    }
}

/// An API key, without its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyInfo {
    /// Public part; names it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is good for.
    pub scopes: BTreeSet<Scope>,
    /// The issuers that it may act on; empty for all.
    pub issuers: BTreeSet<String>,
    /// When it was made.
    pub created_at_ms: UnixMillis,
    /// Who made it.
    pub created_by: Actor,
}

/// A new API key. The text is shown now and never again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CreatedKey {
    /// The key.
    pub key: KeyInfo,
    /// What its holder sends.
    pub text: KeyText,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
}
