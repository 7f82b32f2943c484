//! `/v1/issuers`: who issues tokens.

use axum::Json;
use axum::extract::State;

use super::auth::Authenticated;
use super::error::ApiError;
use super::model::{Issuer, IssuerKey, Issuers, Moment};
use super::openapi::PlainProblems;
use crate::control::Control;

/// List issuers
///
/// As they are configured, with their signing keys as last fetched. Scope `read`.
#[utoipa::path(
    get, path = "/v1/issuers", operation_id = "list_issuers", tag = "operation",
    responses((status = 200, description = "The issuers", body = Issuers), PlainProblems),
)]
pub(super) async fn list(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
) -> Result<Json<Issuers>, ApiError> {
    let issuers = control.issuers(&caller)?.configured;
    let told = issuers.iter().map(|issuer| {
        let status = control.directory().status(&issuer.issuer);
        Issuer {
            keys: status.keys.ids().map(|kid| IssuerKey { kid: kid.to_owned() }).collect(),
            keys_fetched_at: status.fetched_at_ms.map(Moment::from_millis),
            keys_failure: status.failure,
            clock_ahead_ms: status.clock_ahead_ms,
            ..Issuer::from(issuer)
        }
    });
    Ok(Json(Issuers { issuers: told.collect() }))
}
