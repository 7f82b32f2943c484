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
