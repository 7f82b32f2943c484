//! The audit trail.

use serde::{Deserialize, Serialize};

use super::{Actor, Moment};

/// A page of the audit trail, in the order of the log.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Events {
    /// The page.
    pub events: Vec<Event>,
    /// `after` of the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// One event of the log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Event {
    /// Its position in the log.
    pub version: u64,
    /// When it was accepted.
    pub at: Moment,
    /// Who caused it.
    pub actor: Actor,
    /// `revoked`, `reinstated`, `undone`, `swept`, `key_created`, `key_deleted`, `received`,
    /// `user_kept` or `user_dropped`.
    #[schema(example = "revoked")]
    pub event: String,
    /// What happened, by event: `revocation`, `kind`, `issuer`, `value`, `claims`, `cutoff`, `expires_at`,
    /// `reason`, `until`, `key`, `name`, `scopes`, `issuers`, `inlet`, `message`, `peer`, `signal`, `revocations`,
    /// `refused`, `detail`, `count`, `user`, `active`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// What to verify of the audit trail.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// A `head` of an earlier answer, which the chain must have gone through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

/// What going through the hash chain has shown.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct VerifyAnswer {
    /// Whether every event is what was written and none is missing.
    pub intact: bool,
    /// The end of the chain, `VERSION:LINK`: to be kept elsewhere.
    pub head: String,
    /// Events that are there.
    pub events: u64,
    /// Events that retention has dropped, of which a digest is kept.
    pub dropped: u64,
    /// What is wrong first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
