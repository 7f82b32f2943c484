//! OAuth 2.0's way of saying that something is wrong.

use std::collections::BTreeMap;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

use super::{Cause, Scheme};
use crate::control::printable;

/// An error as RFC 6749 section 5.2 has it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct OauthError {
    /// The protocol's code.
    error: String,
    /// For people.
    error_description: String,
}

/// An error with that status, for a cause.
pub(super) fn refused(status: StatusCode, error: &str, cause: &Cause) -> Response {
    // RFC 6749 allows ASCII without quotes and backslashes in a description.
    let plain = |char: char| if char.is_ascii_graphic() && !"\"\\".contains(char) { char } else { ' ' };
    let description =
        printable(&cause.to_string(), 300).replace(['"', '`'], "'").chars().map(plain).collect();
    let body = OauthError { error: error.to_owned(), error_description: description };
    let mut response = json(status, &body);
    if let Some(challenge) = challenge(status, error, cause) {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

/// How to authenticate: by the scheme that was tried (RFC 6749 section 5.2), else as a bearer; RFC 6750 section 3.1
/// has an error only where a bearer was there, and one for a bearer that is not enough.
fn challenge(status: StatusCode, error: &str, cause: &Cause) -> Option<&'static str> {
    if error == "insufficient_scope" {
        return Some("Bearer realm=\"portcullis\", error=\"insufficient_scope\"");
    }
    if status != StatusCode::UNAUTHORIZED {
        return None;
    }
    Some(match cause {
        Cause::Client { tried: Scheme::Basic, .. } => "Basic realm=\"portcullis\"",
        Cause::Client { tried: Scheme::Bearer, .. } | Cause::Jwt(_) | Cause::Replayed => {
            "Bearer realm=\"portcullis\", error=\"invalid_token\""
        }
        _ => "Bearer realm=\"portcullis\"",
    })
}

/// JSON with that status, and what a client of that status should know.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // Text and numbers always are JSON.
    let text = serde_json::to_vec(body).unwrap_or_default();
    let mut response = (status, [(CONTENT_TYPE, "application/json")], text).into_response();
    let headers = response.headers_mut();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// What can be wrong with a message to an inlet that answers as OAuth does.
pub(super) struct MessageProblems;
/// The same for one that wants a credential.
pub(super) struct ClientProblems;

/// The same for one about a subject that may not be known.
pub(super) struct SubjectProblems;

impl IntoResponses for SubjectProblems {
    fn responses() -> Responses {
        problems(&[400, 401, 403, 404, 408, 413, 415, 422, 429, 503])
    }
}

/// The same for a webhook of the configuration.
pub(super) struct WebhookProblems;

impl IntoResponses for WebhookProblems {
    fn responses() -> Responses {
        problems(&[400, 401, 404, 408, 413, 415, 422, 429, 503])
    }
}

/// The same for one that is signed by the issuer of its path.
pub(super) struct PathProblems;

impl IntoResponses for PathProblems {
    fn responses() -> Responses {
        problems(&[400, 403, 404, 408, 413, 429, 503])
    }
}

impl IntoResponses for MessageProblems {
    fn responses() -> Responses {
        problems(&[400, 408, 413, 415, 429, 503])
    }
}

impl IntoResponses for ClientProblems {
    fn responses() -> Responses {
        problems(&[400, 401, 403, 408, 413, 415, 429, 503])
    }
}

type Responses = BTreeMap<String, RefOr<utoipa::openapi::Response>>;

fn problems(statuses: &[u16]) -> Responses {
    let of = |status: &u16| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("OauthError"))).build();
        let response =
            ResponseBuilder::new().description(meaning(*status)).content("application/json", content).build();
        (status.to_string(), RefOr::T(response))
    };
    statuses.iter().map(of).collect()
}

const fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The message is refused; `error_description` and the audit trail say which check refuses it",
        401 => "No credential, or one that is not accepted",
        403 => "The credential does not allow this",
        404 => "Nobody is known by that name",
        408 => "The body did not arrive in time",
        413 => "The body is too large",
        415 => "The content type is wrong",
        422 => "It is understood, and cannot be done",
        429 => "Too many requests of this address",
        _ => "Not now: the issuer's keys or the log cannot be had. Send it again",
    }
}
