//! The paths of SCIM, with their part of the OpenAPI document.

use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{ScimPatch, ScimUser};
use super::{PREFIX, ROOT, ScimProblems, serve};
use crate::inlets::Inlets;

/// All of them, and SCIM's own errors for every other path and method below its root.
pub(in crate::inlets) fn all() -> OpenApiRouter<Inlets> {
    let (routes, document) = documented().split_for_parts();
    let routes = routes
        .method_not_allowed_fallback(refuse)
        .route(ROOT, any(refuse))
        .route(PREFIX, any(refuse))
        .route(&format!("{PREFIX}{{*path}}"), any(refuse));
    OpenApiRouter::with_openapi(document).merge(OpenApiRouter::from(routes))
}

fn documented() -> OpenApiRouter<Inlets> {
    OpenApiRouter::new()
        .routes(routes!(list_users, create_user))
        .routes(routes!(read_user, replace_user, patch_user, delete_user))
        .routes(routes!(read_config))
        .routes(routes!(list_resource_types))
        .routes(routes!(read_resource_type))
        .routes(routes!(list_schemas))
        .routes(routes!(read_schema))
}

/// What is no call: only the path and the method say why, and only to who may call.
async fn refuse(State(inlets): State<Inlets>, request: Request) -> Response {
    serve(&inlets, request).await
}

/// SCIM: find users
#[utoipa::path(
    get, path = "/inlets/scim/v2/Users", operation_id = "list_scim_users", tag = "inlets",
    params(
        ("filter" = Option<String>, Query, description = "Such as `userName eq \"alice\"`"),
        ("startIndex" = Option<i64>, Query, description = "The first user of the page, from 1"),
        ("count" = Option<i64>, Query, description = "Most users of the page"),
        ("attributes" = Option<String>, Query, description = "These alone are answered, by their names with commas between"),
        ("excludedAttributes" = Option<String>, Query, description = "All but these are answered"),
    ),
    responses((status = 200, description = "A page of users", body = Object, content_type = "application/scim+json"), ScimProblems),
)]
async fn list_users(State(inlets): State<Inlets>, request: Request) -> Response {
    serve(&inlets, request).await
}

/// SCIM: create a user
#[utoipa::path(
    post, path = "/inlets/scim/v2/Users", operation_id = "create_scim_user", tag = "inlets",
    params(
        ("attributes" = Option<String>, Query, description = "These alone are answered, by their names with commas between"),
        ("excludedAttributes" = Option<String>, Query, description = "All but these are answered"),
    ),
    request_body(content = ScimPatch, content_type = "application/scim+json"),
    responses(
        (status = 201, description = "The user", body = Object, content_type = "application/scim+json", links(
            ("read" = (operation_id = "read_scim_user", parameters(("id" = "$response.body#/id")))),
            ("replace" = (operation_id = "replace_scim_user", parameters(("id" = "$response.body#/id")))),
            ("change" = (operation_id = "patch_scim_user", parameters(("id" = "$response.body#/id")))),
            ("delete" = (operation_id = "delete_scim_user", parameters(("id" = "$response.body#/id")))),
        )),
        ScimProblems,
    ),
)]
async fn create_user(State(inlets): State<Inlets>, request: Request) -> Response {
    serve(&inlets, request).await
}

/// SCIM: read a user
#[utoipa::path(
    get, path = "/inlets/scim/v2/Users/{id}", operation_id = "read_scim_user", tag = "inlets",
    params(
        ("id" = String, Path, description = "The id that the user was given"),
        ("attributes" = Option<String>, Query, description = "These alone are answered, by their names with commas between"),
        ("excludedAttributes" = Option<String>, Query, description = "All but these are answered"),
    ),
    responses((status = 200, description = "The user", body = Object, content_type = "application/scim+json"), ScimProblems),
)]
async fn read_user(State(inlets): State<Inlets>, request: Request) -> Response {
    serve(&inlets, request).await
}

/// SCIM: replace a user
#[utoipa::path(
    put, path = "/inlets/scim/v2/Users/{id}", operation_id = "replace_scim_user", tag = "inlets",
    params(("id" = String, Path, description = "The id that the user was given")),
    request_body(content = ScimUser, content_type = "application/scim+json"),
    responses((status = 200, description = "The user as it is now", body = Object, content_type = "application/scim+json"), ScimProblems),
)]
async fn replace_user(State(inlets): State<Inlets>, request: Request) -> Response {
    serve(&inlets, request).await
}

/// SCIM: change a user; `active: false` revokes it, `active: true` reinstates it
#[utoipa::path(
    patch, path = "/inlets/scim/v2/Users/{id}", operation_id = "patch_scim_user", tag = "inlets",
    params(("id" = String, Path, description = "The id that the user was given")),
    request_body(content = ScimPatch, content_type = "application/scim+json"),
    responses((status = 200, description = "The user as it is now", body = Object, content_type = "application/scim+json"), ScimProblems),
)]
async fn patch_user(State(inlets): State<Inlets>, request: Request) -> Response {
    serve(&inlets, request).await
}

/// SCIM: delete a user, which revokes it
#[utoipa::path(
    delete, path = "/inlets/scim/v2/Users/{id}", operation_id = "delete_scim_user", tag = "inlets",
    params(("id" = String, Path, description = "The id that the user was given")),
    responses((status = 204, description = "It is gone and revoked"), ScimProblems),
)]
async fn delete_user(State(inlets): State<Inlets>, request: Request) -> Response {
    serve(&inlets, request).await
}

/// SCIM: what this service can do
#[utoipa::path(
    get, path = "/inlets/scim/v2/ServiceProviderConfig", operation_id = "read_scim_config", tag = "inlets",
    responses((status = 200, description = "The configuration", body = Object, content_type = "application/scim+json"), ScimProblems),
)]
async fn read_config(State(inlets): State<Inlets>, request: Request) -> Response {
    serve(&inlets, request).await
}

/// SCIM: the types of resources
#[utoipa::path(
    get, path = "/inlets/scim/v2/ResourceTypes", operation_id = "list_scim_resource_types", tag = "inlets",
    responses((status = 200, description = "The list", body = Object, content_type = "application/scim+json"), ScimProblems),
)]
async fn list_resource_types(State(inlets): State<Inlets>, request: Request) -> Response {
    serve(&inlets, request).await
}

/// SCIM: a type of resources
#[utoipa::path(
    get, path = "/inlets/scim/v2/ResourceTypes/{id}", operation_id = "read_scim_resource_type", tag = "inlets",
    params(("id" = String, Path, description = "`User`")),
    responses((status = 200, description = "The type", body = Object, content_type = "application/scim+json"), ScimProblems),
)]
async fn read_resource_type(State(inlets): State<Inlets>, request: Request) -> Response {
    serve(&inlets, request).await
}

/// SCIM: the schemas
#[utoipa::path(
    get, path = "/inlets/scim/v2/Schemas", operation_id = "list_scim_schemas", tag = "inlets",
    responses((status = 200, description = "The list", body = Object, content_type = "application/scim+json"), ScimProblems),
)]
async fn list_schemas(State(inlets): State<Inlets>, request: Request) -> Response {
    serve(&inlets, request).await
}

/// SCIM: a schema
#[utoipa::path(
    get, path = "/inlets/scim/v2/Schemas/{id}", operation_id = "read_scim_schema", tag = "inlets",
    params(("id" = String, Path, description = "The URN")),
    responses((status = 200, description = "The schema", body = Object, content_type = "application/scim+json"), ScimProblems),
)]
async fn read_schema(State(inlets): State<Inlets>, request: Request) -> Response {
    serve(&inlets, request).await
}
