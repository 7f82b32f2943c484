//! Who calls.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::error::{ApiError, Code};
use crate::auth::{Caller, bearer};
use crate::control::Control;

/// The caller, by the API key in `Authorization: Bearer`. What it may do is the front door's to say.
pub(super) struct Authenticated(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for Authenticated
where
    Control: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(ApiError::new(Code::Unauthorized, "one `Authorization: Bearer KEY` is needed"));
        };
        let key = value.to_str().ok().and_then(bearer);
        let key = key.ok_or_else(|| ApiError::new(Code::Unauthorized, "the scheme is not `Bearer KEY`"))?;
        let principal = Control::from_ref(state)
            .authenticate(key)
            .map_err(|error| ApiError::new(Code::Unauthorized, error.to_string()))?;
        Ok(Self(Caller::api(principal)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        let check = |value: &str, expect: Option<&str>| assert_eq!(bearer(value), expect, "{value}");
        check("Bearer pk_a_b", Some("pk_a_b"));
        check("bearer  pk_a_b ", Some("pk_a_b"));
        check("Basic pk_a_b", None);
        check("Bearer ", None);
        check("Bearer", None);
        check("pk_a_b", None);
    }
}
