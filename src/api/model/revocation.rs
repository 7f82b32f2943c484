//! Revocations.

use serde::{Deserialize, Serialize};

use super::{ClaimValues, CutoffClaim, Kind, Moment, Problem, Receipts, Secret, Status};

/// A revocation to be put in force.
///
/// `value` is the `sid`, `sub`, `jti`, `client_id` or `kid`, as the kind has it. Kind `issuer` has no value;
/// kind `claims` takes `claims` instead; kind `token` takes `token`, the raw token, or `issuer` and `value`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "kind": "session", "issuer": "https://idp.example", "value": "08a5019c-17e1-4977-8f42-65a12843ea02",
    "reason": "laptop stolen",
}))]
pub struct NewRevocation {
    /// What it stops.
    pub kind: Kind,
    /// The tokens' `iss`. If exactly one issuer is configured, it may be left out, but for the kind
    /// `issuer`. Not with a raw token or `claims`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The value of the kind's claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Kind `token`: the raw token. Only its SHA-256 is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Kind `claims`: claim names, or JSON Pointers to nested claims, and their values, all of which a token
    /// must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<ClaimValues>,
    /// Tokens issued at or before it are rejected. Without it the kind decides: now, or every token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cutoff: Option<Moment>,
    /// When to drop it. Without it: when the last token that it could match has expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Moment>,
    /// Reject every token until it is reinstated, as for a disabled account.
    #[serde(default, skip_serializing_if = "is_false")]
    pub until_reinstated: bool,
    /// For the audit trail.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Who caused a change.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Actor {
    /// The API key's id; empty for the control plane itself.
    pub key: String,
    /// The key's name, as it was then.
    pub name: String,
    /// How it came in: `api`, the name of an inlet, `system`.
    pub via: String,
}

/// A revocation, in force or not any more.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Revocation {
    /// Its name in the API.
    #[schema(example = "r42-7k3f")]
    pub id: String,
    /// Its position in the log.
    pub version: u64,
    /// What it stops.
    pub kind: Kind,
    /// The tokens' `iss`, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The value of the kind's claim; `sha256:` and the hash for a raw token; absent for `issuer` and `claims`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Kind `claims`: all its claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<ClaimValues>,
    /// Tokens issued at or before it are rejected; null: every token.
    pub cutoff: Option<Moment>,
    /// The claim that the cut-off is compared with.
    #[serde(default)]
    pub cutoff_claim: CutoffClaim,
    /// When it is dropped; null: never by itself.
    pub expires_at: Option<Moment>,
    /// Whether it rejects every token until it is reinstated.
    #[serde(default)]
    pub until_reinstated: bool,
    /// What has become of it.
    pub status: Status,
    /// Why it was asked for.
    #[serde(default)]
    pub reason: String,
    /// When it was accepted.
    pub created_at: Moment,
    /// Who asked for it.
    #[serde(default)]
    pub created_by: Actor,
    /// When it was reinstated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reinstated_at: Option<Moment>,
    /// When it was undone or expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Moment>,
}

/// A revocation after a change.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RevocationAnswer {
    /// The revocation.
    #[serde(flatten)]
    pub revocation: Revocation,
    /// What the caller should know, though the change is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// With `?wait=`: which edges enforce the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<Receipts>,
}

/// A page of revocations, newest first.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Revocations {
    /// The page.
    pub revocations: Vec<Revocation>,
    /// `cursor` of the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// Why a revocation is taken back. The whole body may be left out.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeBack {
    /// For the audit trail.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What became of one line of a batch: `id` and `version`, or `error`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct BatchLine {
    /// The line's number in the request, from 1.
    pub line: u64,
    /// The new revocation's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its position in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// What the caller should know, though the line is accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Why the line was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

impl Revocation {
    /// What it stops, in words: `session s1 of https://idp.example`.
    #[must_use]
    pub fn target(&self) -> String {
        let kind = self.kind.name();
        let issuer = self.issuer.as_deref().unwrap_or_default();
        match (self.kind, &self.value, &self.claims) {
            (Kind::Issuer, _, _) => format!("issuer {issuer}"),
            (_, _, Some(claims)) => format!("claims {claims}"),
            (_, Some(value), _) if issuer.is_empty() => format!("{kind} {value}"),
            (_, Some(value), _) => format!("{kind} {value} of {issuer}"),
            (_, None, None) => kind.to_owned(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
