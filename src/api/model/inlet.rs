//! What a message of an identity provider would do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ClaimValues, Kind, Moment};

/// A message as it was captured.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CapturedMessage {
    /// The method that it was sent with; `POST` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path that it was sent to; needed where that has a variable part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its headers; without `content-type`, the protocol's own is assumed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Its body; where the protocol has a form with a JWT in it, the JWT will do.
    pub body: String,
}

/// What a message would do now.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct InletAnswer {
    /// Whether it would be accepted.
    pub accepted: bool,
    /// The status that its sender would get.
    pub status: u16,
    /// The body that its sender would get.
    #[serde(default)]
    pub answer: String,
    /// Which check refuses it; null where none does.
    #[serde(default)]
    pub refused: Option<InletRefusal>,
    /// Whether it has been received before: then nothing is done again.
    #[serde(default)]
    pub repeated: bool,
    /// The issuer that it speaks for, as far as that is known.
    #[serde(default)]
    pub issuer: Option<String>,
    /// What tells it from the issuer's other messages, such as `jti`.
    #[serde(default)]
    pub message: Option<String>,
    /// What it says.
    #[serde(default)]
    pub signal: Option<String>,
    /// The revocations that it would make.
    #[serde(default)]
    pub revocations: Vec<WouldRevoke>,
    /// The ids of revocations that it would reinstate.
    #[serde(default)]
    pub reinstated: Vec<String>,
    /// The ids of revocations that it would undo.
    #[serde(default)]
    pub undone: Vec<String>,
    /// What of it has no effect, and warnings.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The check that refuses a message.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct InletRefusal {
    /// For machines, as in the audit trail.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// A revocation that would be made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct WouldRevoke {
    /// What it matches.
    pub kind: Kind,
    /// The issuer; null for kind `claims` and for tokens by their hash.
    #[serde(default)]
    pub issuer: Option<String>,
    /// The value of what the kind names.
    #[serde(default)]
    pub value: Option<String>,
    /// The claims of kind `claims`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<ClaimValues>,
    /// Tokens issued at or before it would be rejected; null: all.
    #[serde(default)]
    pub cutoff: Option<Moment>,
    /// When it would end; null: when it is reinstated.
    #[serde(default)]
    pub expires_at: Option<Moment>,
    /// Its reason.
    #[serde(default)]
    pub reason: String,
}
