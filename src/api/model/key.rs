//! API keys, and issuers with their signing keys.

use serde::{Deserialize, Serialize};

use super::{Actor, Moment, Secret};

/// What an API key may do.
#[derive(
    Clone,
    Copy,
    Debug,
    Deserialize,
    Eq,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
    clap::ValueEnum,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Revoke, reinstate and undo
    Revoke,
    /// Look things up
    Read,
    /// Subscribe as an edge
    Edge,
    /// Everything, API keys included
    Admin,
}

impl Scope {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Read => "read",
            Self::Edge => "edge",
            Self::Admin => "admin",
        }
    }
}

/// An API key to be made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "hr-offboarding", "scopes": ["revoke"], "issuers": ["https://idp.example"]}))]
pub struct NewKey {
    /// For people: names the key in lists and in the audit trail.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Issuers that it may act on; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<String>,
}

/// An API key, without its secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Key {
    /// Its public part.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Issuers that it may act on; empty for all.
    #[serde(default)]
    pub issuers: Vec<String>,
    /// When it was made.
    pub created_at: Moment,
    /// Who made it.
    #[serde(default)]
    pub created_by: Actor,
}

/// The API keys of the store.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Keys {
    /// Oldest first.
    pub keys: Vec<Key>,
}

/// A new API key. The secret is shown this once: only its hash is kept.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct NewKeyAnswer {
    /// What is kept of it.
    #[serde(flatten)]
    pub about: Key,
    /// Its text, for `Authorization: Bearer`.
    pub key: Secret,
    /// What the caller should know, though the key is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The configured issuers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Issuers {
    /// In the order of the configuration.
    pub issuers: Vec<Issuer>,
}

/// A configured issuer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Issuer {
    /// The tokens' `iss`.
    pub issuer: String,
    /// Where its signing keys are; null: by OpenID discovery.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// Audiences accepted in its logout tokens and security event tokens.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// How long a token of it lives at most.
    #[serde(default)]
    pub max_token_lifetime_seconds: u64,
    /// How long a session of it lives at most.
    #[serde(default)]
    pub max_session_lifetime_seconds: u64,
    /// Added to every cut-off.
    #[serde(default)]
    pub clock_skew_ms: u64,
    /// The claim that cut-offs are compared with.
    #[serde(default)]
    pub cutoff_claim: super::CutoffClaim,
    /// Its signing keys, as last fetched; empty where they have not been.
    #[serde(default)]
    pub keys: Vec<IssuerKey>,
    /// When its signing keys were last fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_fetched_at: Option<Moment>,
    /// Why they could not be fetched when that was last tried; the ones from before are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_failure: Option<String>,
    /// By how much the clock of who served them was ahead of the control plane's, at least; absent when it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_ms: Option<u64>,
}

/// A signing key of an issuer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct IssuerKey {
    /// Its `kid`.
    pub kid: String,
}
