//! `/v1/revocations/{id}/reinstate` and `…/undo`: taking revocations back.

use axum::Json;
use axum::extract::State;

use super::auth::Authenticated;
use super::body::OptionalPayload;
use super::convert;
use super::error::ApiError;
use super::model::{RevocationAnswer, TakeBack};
use super::openapi::TakeBackProblems;
use super::query::{Id, Params, WaitParams};
use crate::control::Control;

/// Accept tokens issued from now on
///
/// Older ones stay rejected: for an account that is enabled again. Scope `revoke`.
#[utoipa::path(
    post, path = "/v1/revocations/{id}/reinstate", operation_id = "reinstate_revocation", tag = "revocations",
    params(("id" = String, Path, description = "The revocation's id"), WaitParams),
    request_body(content = Option<TakeBack>, description = "May be left out"),
    responses(
        (status = 200, description = "The revocation as it now is", body = RevocationAnswer),
        TakeBackProblems,
    ),
)]
pub(super) async fn reinstate(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Params(params): Params<WaitParams>,
    OptionalPayload(why): OptionalPayload<TakeBack>,
) -> Result<Json<RevocationAnswer>, ApiError> {
    let wait = params.wait()?;
    let id = id.parse().map_err(|_| ApiError::no_revocation(&id))?;
    let accepted = control.reinstate(id, &why.reason, &caller).await?;
    Ok(Json(convert::accepted(&control, accepted, wait).await))
}

/// Take a mistake back
///
/// As if the revocation had never been: the old tokens work again. Scope `revoke`.
#[utoipa::path(
    post, path = "/v1/revocations/{id}/undo", operation_id = "undo_revocation", tag = "revocations",
    params(("id" = String, Path, description = "The revocation's id"), WaitParams),
    request_body(content = Option<TakeBack>, description = "May be left out"),
    responses(
        (status = 200, description = "The revocation as it now is", body = RevocationAnswer),
        TakeBackProblems,
    ),
)]
pub(super) async fn undo(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Params(params): Params<WaitParams>,
    OptionalPayload(why): OptionalPayload<TakeBack>,
) -> Result<Json<RevocationAnswer>, ApiError> {
    let wait = params.wait()?;
    let id = id.parse().map_err(|_| ApiError::no_revocation(&id))?;
    let accepted = control.undo(id, &why.reason, &caller).await?;
    Ok(Json(convert::accepted(&control, accepted, wait).await))
}
