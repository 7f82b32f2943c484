//! Problem documents (RFC 9457).

use serde::{Deserialize, Serialize};

/// What went wrong with a request: an RFC 9457 problem document, media type `application/problem+json`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(example = json!({
    "type": "about:blank", "title": "Unprocessable Entity", "status": 422, "code": "cutoff_in_future",
    "detail": "the cut-off is 1 h in the future",
    "errors": [{"pointer": "/cutoff", "detail": "must not be in the future"}],
}))]
pub struct Problem {
    /// `about:blank`: `code` tells problems apart.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The status in words.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What went wrong, for a person.
    #[serde(default)]
    pub detail: String,
    /// What went wrong, for a program.
    #[serde(default)]
    pub code: String,
    /// The fields of the request that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FieldProblem {
    /// JSON Pointer (RFC 6901) to the field in the request's body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pointer: String,
    /// The query parameter, where it is not the body that is wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub parameter: String,
    /// What is wrong with it.
    #[serde(default)]
    pub detail: String,
}

impl FieldProblem {
    /// A problem with a field of the body.
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into(), ..Self::default() }
    }

    /// A problem with a query parameter.
    pub fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { parameter: name.into(), detail: detail.into(), ..Self::default() }
    }
}
