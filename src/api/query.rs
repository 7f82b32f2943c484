//! Parameters in the URL.

use std::time::Duration;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{ApiError, Code, bounded};
use crate::config::parse_duration;
use crate::control::PageRequest;

/// Longest `wait`.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Items of a page, and most of them.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// The `{id}` of the path, which may be anything that a person typed.
pub(super) struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let id = Path::from_request_parts(parts, state).await;
        id.map(|Path(id)| Self(id)).map_err(|_| ApiError::new(Code::NotFound, "the id is not text in UTF-8"))
    }
}

/// The query, as a type that refuses parameters that it does not know.
pub(super) struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Query(params) = Query::try_from_uri(&parts.uri).map_err(|rejection| {
            let text = rejection.body_text();
            let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            ApiError::new(Code::InvalidQuery, bounded(text))
        })?;
        Ok(Self(params))
    }
}

/// `?wait=5s`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitParams {
    /// Wait at most so long for the receipts of all connected edges, and add them to the answer: `5s`, at
    /// most `60s`.
    wait: Option<String>,
}

impl WaitParams {
    /// How long to wait; `None`: not at all.
    pub(super) fn wait(&self) -> Result<Option<Duration>, ApiError> {
        let Some(text) = &self.wait else { return Ok(None) };
        let wait = parse_duration(text).map_err(|error| ApiError::query("wait", error))?;
        if wait > MAX_WAIT {
            return Err(ApiError::query("wait", "at most 60s"));
        }
        Ok(Some(wait))
    }
}

/// A page of that many items, from there on.
pub(super) fn page(limit: Option<usize>, name: &str, cursor: Option<&str>) -> Result<PageRequest, ApiError> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::query("limit", format!("from 1 to {MAX_LIMIT}")));
    }
    let cursor = match cursor {
        None => None,
        Some(text) => {
            Some(text.parse().map_err(|_| ApiError::query(name, "not one that an answer has given"))?)
        }
    };
    Ok(PageRequest { cursor, limit })
}
