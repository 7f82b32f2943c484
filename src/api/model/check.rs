//! Checks: would a token be rejected?

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Kind, Moment, Revocation, Secret};

/// A token to check, either raw or as its claims.
#[derive(Clone, Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"claims": {"iss": "https://idp.example", "sub": "alice", "iat": 1_700_000_000}}))]
pub struct CheckRequest {
    /// The raw token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// A token's claims, as its payload has them. Kept as text, because an edge refuses what a parser may hide:
    /// a claim that is there twice. If exactly one issuer is configured, `iss` may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub claims: Option<Box<RawValue>>,
}

/// What an edge that is up to date decides on the token.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CheckAnswer {
    /// Whether it is rejected as revoked.
    pub revoked: bool,
    /// The code of the rejection.
    #[schema(example = "session_revoked")]
    pub code: Option<String>,
    /// The kind of revocation that is named as the reason.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// The revocations that reject it.
    #[serde(default)]
    pub revocations: Vec<Revocation>,
    /// When the first of them was accepted.
    #[serde(default)]
    pub since: Option<Moment>,
    /// Why the token cannot be read; what an edge does with such a token is its configuration's `malformed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub malformed: Option<String>,
    /// What the caller should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
