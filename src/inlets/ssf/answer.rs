//! RFC 8935's way of saying that something is wrong.

use std::collections::BTreeMap;

use axum::http::header::{CONTENT_LANGUAGE, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

use super::super::Cause;
use super::super::subject::SubjectError;
use crate::control::{ControlError, printable};
use crate::issuers::JwtError;

/// An error as RFC 8935 section 2.3 has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct SetError {
    /// The protocol's code.
    pub(super) err: String,
    /// For people.
    pub(super) description: String,
}

/// Whether a token is valid, and yet nothing can follow from it: the receiver passes it over, and the transmitter
/// need not send it again (Shared Signals 1.0, section 3: a critical member; best effort for the rest).
pub(super) fn is_passed_over(cause: &Cause) -> bool {
    match cause {
        Cause::Subject(error) => !matches!(error, SubjectError::Malformed(_)),
        Cause::Rule { code, .. } => *code == "subject_critical",
        _ => false,
    }
}

/// The status and the code for a cause.
pub(super) fn error(cause: &Cause) -> (StatusCode, &'static str) {
    let error = match cause {
        _ if is_passed_over(cause) => return (StatusCode::ACCEPTED, ""),
        Cause::Rule { code: "stream_unknown", .. } => return (StatusCode::NOT_FOUND, "invalid_request"),
        Cause::Rule { code: "state_wrong", .. } => "invalid_state",
        Cause::Credential(_) => "authentication_failed",
        Cause::Scope { .. } | Cause::Control(ControlError::Issuer(_) | ControlError::Scope(_)) => {
            "access_denied"
        }
        Cause::Jwt(error) => of_jwt(error),
        _ => "invalid_request",
    };
    (StatusCode::BAD_REQUEST, error)
}

fn of_jwt(error: &JwtError) -> &'static str {
    match error {
        JwtError::Encrypted
        | JwtError::Unsigned
        | JwtError::Algorithm(_)
        | JwtError::UnknownKey(_)
        | JwtError::KeyMissing
        | JwtError::KeyUnfit(_)
        | JwtError::Signature => "invalid_key",
        JwtError::IssuerMissing
        | JwtError::UnknownIssuer(_)
        | JwtError::Issuer
        | JwtError::ClaimType("iss", _) => "invalid_issuer",
        JwtError::Audience
        | JwtError::NoAudiences
        | JwtError::ClaimMissing("aud")
        | JwtError::ClaimType("aud", _) => "invalid_audience",
        _ => "invalid_request",
    }
}

/// The document of a cause.
pub(super) fn document(error: &str, cause: &Cause) -> SetError {
    SetError { err: error.to_owned(), description: printable(&cause.to_string(), 300) }
}

/// The answer to a token that is refused, or passed over.
pub(super) fn refused(status: StatusCode, error: &str, cause: &Cause) -> Response {
    if status == StatusCode::ACCEPTED {
        return status.into_response();
    }
    // Text always is JSON.
    let text = serde_json::to_vec(&document(error, cause)).unwrap_or_default();
    let headers = [(CONTENT_TYPE, "application/json"), (CONTENT_LANGUAGE, "en")];
    let mut response = (status, headers, text).into_response();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// What can be wrong with a token that is pushed.
pub(super) struct SetProblems;

impl IntoResponses for SetProblems {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let of = |(status, meaning): &(u16, &str)| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("SetError"))).build();
            let response =
                ResponseBuilder::new().description(*meaning).content("application/json", content).build();
            (status.to_string(), RefOr::T(response))
        };
        PROBLEMS.iter().map(of).collect()
    }
}

const PROBLEMS: [(u16, &str); 7] = [
    (400, "It is refused; `description` and the audit trail say which check refuses it"),
    (404, "No stream of that name is delivered by push"),
    (408, "The body did not arrive in time"),
    (413, "The body is too large"),
    (415, "The content type is wrong"),
    (429, "Too many requests of this address"),
    (503, "Not now: the transmitter's keys or the log cannot be had. Send it again"),
];
