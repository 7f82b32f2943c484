//! `/v1/check`: would a token be rejected?

use axum::Json;
use axum::extract::State;
use portcullis_core::json::Json as CoreJson;

use super::auth::Authenticated;
use super::body::Payload;
use super::error::{ApiError, Code};
use super::model::{CheckAnswer, CheckRequest, FieldProblem, Moment, Revocation};
use super::openapi::BodyProblems;
use crate::control::{CheckSubject, Control};

/// Check a token
///
/// Says what an edge that is up to date decides: revoked or not, by what, and since when. The token is not
/// verified, and not kept. Scope `read`.
#[utoipa::path(
    post, path = "/v1/check", operation_id = "check_token", tag = "revocations",
    request_body = CheckRequest,
    responses((status = 200, description = "The decision", body = CheckAnswer), BodyProblems),
)]
pub(super) async fn check(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
    Payload(request): Payload<CheckRequest>,
) -> Result<Json<CheckAnswer>, ApiError> {
    let checked = control.check(&subject(request)?, &caller).await?;
    Ok(Json(CheckAnswer {
        revoked: checked.kind.is_some(),
        code: checked.kind.map(|kind| format!("{}_revoked", kind.name())),
        kind: checked.kind.map(Into::into),
        revocations: checked.revocations.into_iter().map(Revocation::from).collect(),
        since: checked.since_ms.map(Moment::from_millis),
        malformed: checked.malformed.map(|why| why.to_string()),
        warnings: checked.warnings.iter().map(ToString::to_string).collect(),
    }))
}

fn subject(request: CheckRequest) -> Result<CheckSubject, ApiError> {
    match (request.token, request.claims) {
        (Some(token), None) => Ok(CheckSubject::Token(token.0)),
        (None, Some(claims)) => match CoreJson::parse(claims.get().as_bytes()) {
            Ok(claims @ CoreJson::Object(_)) => Ok(CheckSubject::Claims(claims.into_owned())),
            _ => Err(ApiError::new(Code::InvalidField, "`claims` is not an object without duplicates")
                .field(FieldProblem::at("/claims", "expected an object that has each claim once"))),
        },
        (Some(_), Some(_)) => {
            Err(ApiError::new(Code::FieldNotApplicable, "`token` and `claims` exclude each other")
                .field(FieldProblem::at("/claims", "leave it out")))
        }
        (None, None) => Err(ApiError::new(Code::InvalidField, "`token` or `claims` is needed")
            .field(FieldProblem::at("/token", "missing"))),
    }
}
