//! The one place that maps errors to statuses and problem documents.

use std::borrow::Cow;
use std::fmt::Display;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use portcullis_core::selector::SelectorError;

use super::model::{FieldProblem, Kind, Problem};
use crate::control::{ControlError, Refusal};
use crate::inlets::ssf::TransmitterError;
use crate::log::LogError;

/// Why a call has not done what was asked. What the caller may know is in the problem document; what only the
/// operator should know goes to the log.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    code: Code,
    // Refusals have codes of their own.
    name: Option<&'static str>,
    detail: Cow<'static, str>,
    errors: Vec<FieldProblem>,
}

/// What a problem document can say in `code`, next to the codes of [`Refusal`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Code {
    /// The body is not JSON.
    NotJson,
    /// A query parameter is unknown or wrong.
    InvalidQuery,
    /// No key, or an unknown one.
    Unauthorized,
    /// The key lacks a scope.
    Scope,
    /// The key is limited to other issuers.
    Issuer,
    /// Nothing has that name.
    NotFound,
    /// There is no such path.
    NoSuchRoute,
    /// The path has no such method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The revocation has ended before.
    NotInForce,
    /// The revocation has been reinstated before.
    AlreadyReinstated,
    /// Without that key nobody could make another.
    LastAdminKey,
    /// The body is too large.
    TooLarge,
    /// The body is declared to be something else.
    UnsupportedMediaType,
    /// A field of the body is unknown, missing or wrong.
    InvalidField,
    /// A field that this kind of revocation does not have.
    FieldNotApplicable,
    /// The request is refused for its meaning.
    Refused,
    /// The log is still being read, or has been closed.
    NotReady,
    /// The log cannot be written.
    LogUnavailable,
    /// The answer took too long.
    Timeout,
    /// No space is left for the log.
    LogFull,
    /// No stream of security events has that name here, or there is none at the transmitter.
    NoStream,
    /// Something must be configured before this can be done.
    NotConfigured,
    /// A transmitter wants to be asked less often.
    TooSoon,
    /// A transmitter cannot be reached, or refuses.
    Transmitter,
}

impl Code {
    const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::InvalidQuery => "invalid_query",
            Self::Unauthorized => "unauthorized",
            Self::Scope => "scope",
            Self::Issuer => "issuer",
            Self::NotFound => "not_found",
            Self::NoSuchRoute => "no_such_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTimeout => "body_timeout",
            Self::NotInForce => "not_in_force",
            Self::AlreadyReinstated => "already_reinstated",
            Self::LastAdminKey => "last_admin_key",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InvalidField => "invalid_field",
            Self::FieldNotApplicable => "field_not_applicable",
            Self::Refused => "refused",
            Self::NotReady => "not_ready",
            Self::LogUnavailable => "log_unavailable",
            Self::Timeout => "timeout",
            Self::LogFull => "log_full",
            Self::NoStream => "no_stream",
            Self::NotConfigured => "not_configured",
            Self::TooSoon => "too_soon",
            Self::Transmitter => "transmitter",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::NotJson | Self::InvalidQuery => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Scope | Self::Issuer => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NoSuchRoute | Self::NoStream => StatusCode::NOT_FOUND,
            Self::TooSoon => StatusCode::TOO_MANY_REQUESTS,
            Self::Transmitter => StatusCode::BAD_GATEWAY,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::NotInForce | Self::AlreadyReinstated | Self::LastAdminKey | Self::NotConfigured => {
                StatusCode::CONFLICT
            }
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidField | Self::FieldNotApplicable | Self::Refused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotReady | Self::LogUnavailable | Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::LogFull => StatusCode::INSUFFICIENT_STORAGE,
        }
    }
}

impl ApiError {
    /// An error with what a person should read.
    pub(super) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, name: None, detail: detail.into(), errors: Vec::new() }
    }

    /// With the field that it is about.
    pub(super) fn field(mut self, field: FieldProblem) -> Self {
        self.errors.push(field);
        self
    }

    /// A wrong or missing query parameter.
    pub(super) fn query(name: &str, detail: impl Display) -> Self {
        Self::new(Code::InvalidQuery, format!("{name}: {detail}"))
            .field(FieldProblem::parameter(name, detail.to_string()))
    }

    /// No revocation of that name, which may not be one.
    pub(super) fn no_revocation(id: &str) -> Self {
        let id = bounded(id);
        Self::new(Code::NotFound, format!("there is no revocation `{id}`: an id looks like r17-x4kd"))
    }

    /// The front door's error about a revocation of that kind, with the field of the request.
    pub(super) fn of_revocation(kind: Kind, error: ControlError) -> Self {
        let ControlError::Refused(refusal) = error else { return error.into() };
        let pointer = match (&refusal, kind) {
            (Refusal::Selector(error), Kind::Claims) => {
                claim_of(error).map_or("/claims".into(), claim_pointer)
            }
            (Refusal::Claim { name, .. } | Refusal::ControlCharacter { claim: Some(name), .. }, _) => {
                claim_pointer(name)
            }
            (Refusal::Selector(error), _) if claim_of(error) == Some("iss") => "/issuer".to_owned(),
            (refusal, _) => format!("/{}", refusal.field()),
        };
        Self::refused(&refusal, &pointer)
    }

    /// A refusal, about the field at that pointer.
    pub(super) fn refused(refusal: &Refusal, pointer: &str) -> Self {
        let detail = bounded(&refusal.to_string());
        let field = FieldProblem::at(pointer, detail.clone());
        Self { name: Some(refusal.code()), ..Self::new(Code::Refused, detail) }.field(field)
    }

    /// What the caller gets to read.
    pub(super) fn problem(self) -> Problem {
        let status = self.code.status();
        Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: self.detail.into_owned(),
            code: self.name.unwrap_or(self.code.name()).to_owned(),
            errors: self.errors,
        }
    }
}

impl From<TransmitterError> for ApiError {
    fn from(error: TransmitterError) -> Self {
        let code = match &error {
            TransmitterError::NoStream(_) => Code::NoStream,
            TransmitterError::TooSoon => Code::TooSoon,
            TransmitterError::NoRandomness(_) => Code::NotReady,
            TransmitterError::Secret(_) | TransmitterError::NoPublicUrl => Code::NotConfigured,
            _ => Code::Transmitter,
        };
        Self::new(code, bounded(&error.to_string()))
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let detail = bounded(&error.to_string());
        match error {
            ControlError::NotReady => Self::new(Code::NotReady, detail),
            ControlError::Scope(_) => Self::new(Code::Scope, detail),
            ControlError::Issuer(_) => Self::new(Code::Issuer, detail),
            ControlError::Refused(refusal) => Self::refused(&refusal, &format!("/{}", refusal.field())),
            ControlError::NoRevocation(_) | ControlError::NoKey(_) => Self::new(Code::NotFound, detail),
            ControlError::Ended { .. } => Self::new(Code::NotInForce, detail),
            ControlError::LastAdminKey(_) => Self::new(Code::LastAdminKey, detail),
            ControlError::AlreadyReinstated(_) => Self::new(Code::AlreadyReinstated, detail),
            ControlError::Log(LogError::Full) => {
                tracing::error!("refused a change: {detail}");
                Self::new(
                    Code::LogFull,
                    "the control plane has no space left to store this; nothing was changed",
                )
            }
            ControlError::Log(LogError::Closed) => {
                Self::new(Code::NotReady, "the control plane is shutting down")
            }
            ControlError::Log(LogError::Io(_) | LogError::Damaged(_)) => {
                tracing::error!("refused a call: {detail}");
                Self::new(Code::LogUnavailable, "the control plane cannot use its log; its own log says why")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = self.code;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match code {
            Code::Unauthorized => {
                let challenge = HeaderValue::from_static("Bearer realm=\"portcullis\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            Code::NotReady => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        // Text and numbers always are JSON.
        let json = serde_json::to_vec(&self.problem()).unwrap_or_default();
        (code.status(), headers, json).into_response()
    }
}

/// What answers on paths that are no routes.
pub(super) async fn no_such_route(uri: Uri) -> ApiError {
    let detail = format!("there is nothing at {}; GET /v1/openapi.json lists all calls", bounded(uri.path()));
    ApiError::new(Code::NoSuchRoute, detail)
}

/// What answers methods that a route does not have. The router adds `Allow`.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let (method, path) = (bounded(method.as_str()), bounded(uri.path()));
    ApiError::new(Code::MethodNotAllowed, format!("{path} does not take {method}; `Allow` has what it takes"))
}

/// A text of bounded length: what a caller sent must not come back whole.
pub(super) fn bounded(text: &str) -> String {
    const LONGEST: usize = 300;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

fn claim_of(error: &SelectorError) -> Option<&str> {
    match error {
        SelectorError::Twice(name) | SelectorError::EmptyValue(name) | SelectorError::LongValue(name) => {
            Some(name)
        }
        SelectorError::Empty | SelectorError::TooMany => None,
    }
}

fn claim_pointer(name: impl AsRef<str>) -> String {
    format!("/claims/{}", name.as_ref().replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests;
