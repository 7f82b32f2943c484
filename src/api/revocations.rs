//! `/v1/revocations`: putting revocations in force, and finding them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use serde::Deserialize;

use super::auth::Authenticated;
use super::body::Payload;
use super::convert;
use super::error::ApiError;
use super::model::{Kind, NewRevocation, ReportedRevocation, Revocation, RevocationAnswer, Revocations};
use super::openapi::{CreateProblems, ItemProblems, QueryProblems};
use super::query::{Id, Params, WaitParams, page};
use crate::control::{self, Control, ControlError};

/// Revoke
///
/// Answers once the revocation is on disk and on its way to every edge. Scope `revoke`.
#[utoipa::path(
    post, path = "/v1/revocations", operation_id = "create_revocation", tag = "revocations",
    params(WaitParams),
    request_body = NewRevocation,
    responses(
        (status = 201, description = "It is in force", body = RevocationAnswer,
         headers(("Location" = String, description = "The revocation's path"))),
        CreateProblems,
    ),
)]
pub(super) async fn create(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
    Params(params): Params<WaitParams>,
    Payload(request): Payload<NewRevocation>,
) -> Result<impl IntoResponse, ApiError> {
    let (wait, kind) = (params.wait()?, request.kind);
    let request = convert::new_revocation(request, || control.issuer_by_default(&caller))?;
    // One request has one answer.
    let answer = control.revoke(vec![request], &caller).await?.pop().unwrap_or(Err(ControlError::NotReady));
    let accepted = answer.map_err(|error| ApiError::of_revocation(kind, error))?;
    let location = format!("/v1/revocations/{}", accepted.revocation.id);
    let answer = convert::accepted(&control, accepted, wait).await;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(answer)))
}

/// Find one revocation
///
/// With which edges enforce it, and what was tried with it afterwards. Scope `read`.
#[utoipa::path(
    get, path = "/v1/revocations/{id}", operation_id = "read_revocation", tag = "revocations",
    params(("id" = String, Path, description = "The revocation's id")),
    responses((status = 200, description = "The revocation", body = ReportedRevocation), ItemProblems),
)]
pub(super) async fn read(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<Json<ReportedRevocation>, ApiError> {
    let id = id.parse().map_err(|_| ApiError::no_revocation(&id))?;
    Ok(Json(control.get_reported(id, &caller).await?.into()))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Only of this kind.
    kind: Option<Kind>,
    /// Only of this issuer.
    issuer: Option<String>,
    /// Only with this value.
    value: Option<String>,
    /// In force, reinstated ones included (`active`, the default); undone or expired (`ended`); or `all`.
    #[param(inline)]
    status: Option<StatusFilter>,
    /// Most items of the page, 1 to 1000; 100 by default.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum StatusFilter {
    Active,
    Ended,
    All,
}

/// List revocations
///
/// Newest first. A page is full unless it is the last, or looking for more would take longer than two seconds:
/// only a null `next_cursor` says that it is the last. Scope `read`.
#[utoipa::path(
    get, path = "/v1/revocations", operation_id = "list_revocations", tag = "revocations",
    params(ListParams),
    responses((status = 200, description = "A page", body = Revocations), QueryProblems),
)]
pub(super) async fn list(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
    Params(params): Params<ListParams>,
) -> Result<Json<Revocations>, ApiError> {
    let page = page(params.limit, "cursor", params.cursor.as_deref())?;
    let filter = control::Filter {
        kind: params.kind.map(Kind::core),
        issuer: params.issuer,
        value: params.value,
        status: match params.status {
            None | Some(StatusFilter::Active) => control::StatusFilter::Active,
            Some(StatusFilter::Ended) => control::StatusFilter::Ended,
            Some(StatusFilter::All) => control::StatusFilter::All,
        },
    };
    let page = control.list(&filter, page, &caller).await?;
    Ok(Json(Revocations {
        revocations: page.items.into_iter().map(Revocation::from).collect(),
        next_cursor: page.next.map(|version| version.to_string()),
    }))
}
