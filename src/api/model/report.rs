//! Reports: revocations with what edges say of them.

use serde::{Deserialize, Serialize};

use super::{Moment, Revocation};

/// A revocation with what edges say of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ReportedRevocation {
    /// The revocation.
    #[serde(flatten)]
    pub revocation: Revocation,
    /// Who enforces it; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforced: Option<Enforced>,
    /// What was tried with it afterwards.
    #[serde(default)]
    pub tried: Tried,
}

/// Which edges enforce a revocation.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Enforced {
    /// The edges that were connected.
    pub edges: u64,
    /// Those of them that have applied it, with every worker.
    pub applied: u64,
    /// Milliseconds from the control plane's acceptance until the last of them had; null while one has not.
    pub ms: Option<u64>,
    /// The first 16 edges that have not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// Requests that a revocation stood against, as edges report them about once a second.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Tried {
    /// How many.
    pub count: u64,
    /// Those of them that an edge in `observe` or `mark` let pass.
    pub passed: u64,
    /// When the first of them came, by the control plane's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Moment>,
    /// When the last of them came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Moment>,
    /// Where they came, the most frequent first; at most 20 in a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<TriedAt>,
}

/// Requests at one path of one edge.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TriedAt {
    /// The name that the edge was given (Envoy's `node.id`); empty for edges that there was no row for.
    pub edge: String,
    /// The path without its query, cut to 100 bytes; empty where it is not told, or there was no row for it.
    pub path: String,
    /// How many.
    pub count: u64,
    /// Those of them that passed.
    pub passed: u64,
    /// When the first of them came.
    pub first: Moment,
    /// When the last of them came.
    pub last: Moment,
}

/// A page of a report, oldest first.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Report {
    /// Revocations accepted from then on.
    pub from: Moment,
    /// And before that.
    pub to: Moment,
    /// The page.
    pub revocations: Vec<ReportedRevocation>,
    /// `cursor` of the next page; null on the last one.
    pub next_cursor: Option<String>,
}
