//! `/v1/keys`: API keys.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;

use super::auth::Authenticated;
use super::body::Payload;
use super::error::ApiError;
use super::model::{Key, Keys, Moment, NewKey, NewKeyAnswer, Scope, Secret};
use super::openapi::{CreateProblems, DeleteProblems, PlainProblems};
use super::query::Id;
use crate::control::{self, Control, KeyInfo};

/// Make an API key
///
/// The answer is the only place where its text ever is: only a hash is kept. Scope `admin`.
#[utoipa::path(
    post, path = "/v1/keys", operation_id = "create_key", tag = "keys",
    request_body = NewKey,
    responses(
        (status = 201, description = "The key, with its text", body = NewKeyAnswer,
         headers(("Location" = String, description = "The key's path"))),
        CreateProblems,
    ),
)]
pub(super) async fn create(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
    Payload(request): Payload<NewKey>,
) -> Result<impl IntoResponse, ApiError> {
    let request = control::NewKey {
        name: request.name,
        scopes: request.scopes.into_iter().map(Into::into).collect(),
        issuers: request.issuers.into_iter().collect(),
    };
    let created = control.create_key(request, &caller).await?;
    let location = format!("/v1/keys/{}", created.key.id);
    let key = Secret(created.text.reveal().to_owned());
    let warnings = created.warnings.iter().map(ToString::to_string).collect();
    let answer = NewKeyAnswer { about: created.key.into(), key, warnings };
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(answer)))
}

/// List API keys
///
/// Without their texts, which nobody has but their holders. Scope `admin`.
#[utoipa::path(
    get, path = "/v1/keys", operation_id = "list_keys", tag = "keys",
    responses((status = 200, description = "The keys, oldest first", body = Keys), PlainProblems),
)]
pub(super) async fn list(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
) -> Result<Json<Keys>, ApiError> {
    Ok(Json(Keys { keys: control.list_keys(&caller)?.into_iter().map(Key::from).collect() }))
}

/// Delete an API key
///
/// It is not accepted any more once this answers, and edges that have it are cut off. The last admin key cannot be
/// deleted, unless the control plane has one from its environment. Scope `admin`.
#[utoipa::path(
    delete, path = "/v1/keys/{id}", operation_id = "delete_key", tag = "keys",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 204, description = "It does not work any more"), DeleteProblems),
)]
pub(super) async fn delete(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    control.delete_key(&id, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<KeyInfo> for Key {
    fn from(key: KeyInfo) -> Self {
        Self {
            id: key.id,
            name: key.name,
            scopes: key.scopes.into_iter().map(Scope::from).collect(),
            issuers: key.issuers.into_iter().collect(),
            created_at: Moment::from_millis(key.created_at_ms),
            created_by: key.created_by.into(),
        }
    }
}
