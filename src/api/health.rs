//! Is it alive, can it work, what has it done: for probes and scrapers, without a key.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;

use super::error::ApiError;
use super::openapi::NotReadyProblem;
use crate::control::Control;

/// An answer to a probe.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Health {
    /// `live` or `ready`.
    status: &'static str,
    /// The version that is in force here.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

/// Is the process alive
#[utoipa::path(
    get, path = "/livez", operation_id = "read_liveness", tag = "health", security(()),
    responses((status = 200, description = "It is", body = Health)),
)]
pub(super) async fn live() -> Json<Health> {
    Json(Health { status: "live", version: None })
}

/// Can it answer calls
#[utoipa::path(
    get, path = "/readyz", operation_id = "read_readiness", tag = "health", security(()),
    responses((status = 200, description = "It can", body = Health), NotReadyProblem),
)]
pub(super) async fn ready(State(control): State<Control>) -> Result<Json<Health>, ApiError> {
    Ok(Json(Health { status: "ready", version: Some(control.ready()?) }))
}

/// Counters, in the OpenMetrics text format
#[utoipa::path(
    get, path = "/metrics", operation_id = "read_metrics", tag = "health", security(()),
    responses((status = 200, description = "The counters", body = String, content_type = OPENMETRICS)),
)]
pub(super) async fn metrics(State(control): State<Control>) -> impl IntoResponse {
    ([(CONTENT_TYPE, OPENMETRICS)], control.metrics().render())
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
