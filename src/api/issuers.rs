//! `/v1/issuers`: who issues tokens.

use axum::Json;
use axum::extract::State;

use super::auth::Authenticated;
use super::error::ApiError;
use super::model::{Issuer, Issuers};
use super::openapi::PlainProblems;
use crate::control::Control;

/// List issuers
///
/// As they are configured. Scope `read`.
#[utoipa::path(
    get, path = "/v1/issuers", operation_id = "list_issuers", tag = "operation",
    responses((status = 200, description = "The issuers", body = Issuers), PlainProblems),
)]
pub(super) async fn list(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
) -> Result<Json<Issuers>, ApiError> {
    let issuers = control.issuers(&caller)?;
    Ok(Json(Issuers { issuers: issuers.configured.iter().map(Issuer::from).collect() }))
}
