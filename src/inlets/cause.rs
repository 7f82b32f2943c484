//! Why a message is refused, before a protocol gives it its own error code.

use axum::http::StatusCode;

use super::subject::SubjectError;
use crate::auth::Scope;
use crate::body::BodyError;
use crate::control::ControlError;
use crate::issuers::JwtError;

/// A message that is refused, as far as it was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// Why.
    pub cause: Cause,
    /// The configured issuer that it claims to speak for; empty where that is not known.
    pub issuer: String,
    /// What tells it from other messages; empty where that is not known.
    pub message_id: String,
    /// What it says; empty where that is not known.
    pub signal: String,
}

/// How a client has tried to authenticate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// HTTP Basic (RFC 7617).
    Basic,
    /// A bearer token (RFC 6750).
    Bearer,
    /// Not at all, or with a scheme that is not known here.
    Other,
}

/// Why a message is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Cause {
    /// Too many requests of one address.
    #[error("too many requests from this address")]
    RateLimited,
    /// The body did not arrive as it should.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is declared to be something else.
    #[error("the content type must be {0}")]
    MediaType(&'static str),
    /// The body is not what the protocol has.
    #[error("{0}")]
    Syntax(String),
    /// No credential, or one that is not accepted.
    #[error("{0}")]
    Credential(&'static str),
    /// The same of an OAuth client, by what it has tried.
    #[error("{why}")]
    Client {
        /// The scheme of its `Authorization`.
        tried: Scheme,
        /// For people.
        why: &'static str,
    },
    /// The key lacks a scope.
    #[error("this needs a key with the scope `{needed}`")]
    Scope {
        /// What it lacks.
        needed: Scope,
        /// How it was shown.
        tried: Scheme,
    },
    /// A signed message that is not believed.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// Nobody is known by the subject's name.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// A rule of the protocol itself.
    #[error("{detail}")]
    Rule {
        /// For machines.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// Nothing is wrong with it, and it cannot be judged now.
    #[error("{detail}")]
    Later {
        /// For machines.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// It has been received before.
    #[error("this message has been received before")]
    Replayed,
    /// The front door refuses what would follow from it.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl Cause {
    /// A rule of the protocol itself.
    pub fn rule(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Rule { code, detail: detail.into() }
    }

    /// Nothing is wrong with it, and it cannot be judged now.
    pub fn later(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Later { code, detail: detail.into() }
    }

    /// A code for machines: audit trail, metrics, `inlet try`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Body(BodyError::TooLarge(_)) => "too_large",
            Self::Body(BodyError::Slow) => "body_timeout",
            Self::Body(BodyError::Broken) => "body_broken",
            Self::MediaType(_) => "unsupported_media_type",
            Self::Syntax(_) => "syntax",
            Self::Credential(_) | Self::Client { .. } => "credential",
            Self::Scope { .. } => "scope",
            Self::Jwt(error) => error.code(),
            Self::Subject(error) => error.code(),
            Self::Rule { code, .. } | Self::Later { code, .. } => code,
            Self::Replayed => "replayed",
            Self::Control(ControlError::Refused(refusal)) => refusal.code(),
            Self::Control(ControlError::Issuer(_)) => "issuer",
            Self::Control(ControlError::Scope(_)) => "scope",
            Self::Control(_) => "unavailable",
        }
    }

    /// The status and OAuth's word for what has nothing to do with any protocol.
    #[must_use]
    pub fn general(&self) -> Option<(StatusCode, &'static str)> {
        Some(match self {
            Self::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
            Self::Body(BodyError::TooLarge(_)) => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"),
            Self::Body(BodyError::Slow) => (StatusCode::REQUEST_TIMEOUT, "invalid_request"),
            Self::MediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request"),
            // Whoever sends should try again: nothing is wrong with the message.
            Self::Jwt(error) if error.is_temporary() => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
            }
            Self::Later { .. } => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
            Self::Control(error) if is_ours(error) => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
            }
            _ => return None,
        })
    }
}

/// Whether it is this control plane that cannot, not the message that is wrong.
fn is_ours(error: &ControlError) -> bool {
    matches!(error, ControlError::NotReady | ControlError::Log(_))
}

impl Refused {
    /// Of a message of which nothing is known.
    #[must_use]
    pub fn unread(cause: impl Into<Cause>) -> Self {
        Self { cause: cause.into(), issuer: String::new(), message_id: String::new(), signal: String::new() }
    }
}

impl<C: Into<Cause>> From<C> for Refused {
    fn from(cause: C) -> Self {
        Self::unread(cause)
    }
}
