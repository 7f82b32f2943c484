//! `/v1/ssf/{name}`: streams of security events, which their transmitters keep.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::auth::Authenticated;
use super::body::Payload;
use super::error::{ApiError, Code, bounded};
use super::model::{Moment, NewStreamStatus, Stream, Verification};
use super::openapi::{TransmitterBodyProblems, TransmitterProblems};
use super::query::Id;
use crate::auth::{Caller, Scope};
use crate::config::Delivery;
use crate::control::ControlError;
use crate::inlets::Inlets;
use crate::inlets::ssf::{self, Told, manage};

/// Read a stream
///
/// Asks the transmitter for it. Scope `admin`.
#[utoipa::path(
    get, path = "/v1/ssf/{id}", operation_id = "read_stream", tag = "operation",
    params(("id" = String, Path, description = "The stream's name in the configuration")),
    responses((status = 200, description = "The stream, as its transmitter has it", body = Stream), TransmitterProblems),
)]
pub(super) async fn read(
    State(inlets): State<Inlets>,
    Authenticated(caller): Authenticated,
    Id(name): Id,
) -> Result<Json<Stream>, ApiError> {
    let stream = permitted(&inlets, &caller, &name)?;
    Ok(Json(shown(stream, manage::find(&inlets, stream).await?)))
}

/// Create a stream
///
/// At its transmitter, as it is configured. One that is there is brought in line. Scope `admin`.
#[utoipa::path(
    post, path = "/v1/ssf/{id}", operation_id = "add_stream", tag = "operation",
    params(("id" = String, Path, description = "The stream's name in the configuration")),
    responses((status = 200, description = "The stream, as its transmitter has it", body = Stream), TransmitterProblems),
)]
pub(super) async fn add(
    State(inlets): State<Inlets>,
    Authenticated(caller): Authenticated,
    Id(name): Id,
) -> Result<Json<Stream>, ApiError> {
    let stream = permitted(&inlets, &caller, &name)?;
    Ok(Json(shown(stream, manage::add(&inlets, stream).await?)))
}

/// Verify a stream
///
/// Has the transmitter send a verification event, and waits some seconds for it. Scope `admin`.
#[utoipa::path(
    post, path = "/v1/ssf/{id}/verify", operation_id = "verify_stream", tag = "operation",
    params(("id" = String, Path, description = "The stream's name in the configuration")),
    responses((status = 200, description = "Whether the event has arrived", body = Verification), TransmitterProblems),
)]
pub(super) async fn verify(
    State(inlets): State<Inlets>,
    Authenticated(caller): Authenticated,
    Id(name): Id,
) -> Result<Json<Verification>, ApiError> {
    let stream = permitted(&inlets, &caller, &name)?;
    let verified_at = manage::verify(&inlets, stream).await?.map(Moment::from_millis);
    Ok(Json(Verification { verified: verified_at.is_some(), verified_at }))
}

/// Enable, pause or disable a stream
///
/// At its transmitter. Scope `admin`.
#[utoipa::path(
    post, path = "/v1/ssf/{id}/status", operation_id = "set_stream_status", tag = "operation",
    params(("id" = String, Path, description = "The stream's name in the configuration")),
    request_body = NewStreamStatus,
    responses((status = 200, description = "The stream, as its transmitter has it", body = Stream), TransmitterBodyProblems),
)]
pub(super) async fn set_status(
    State(inlets): State<Inlets>,
    Authenticated(caller): Authenticated,
    Id(name): Id,
    Payload(request): Payload<NewStreamStatus>,
) -> Result<Json<Stream>, ApiError> {
    let stream = permitted(&inlets, &caller, &name)?;
    let told = manage::set_status(&inlets, stream, request.status.name(), &request.reason).await?;
    Ok(Json(shown(stream, told)))
}

/// Delete a stream
///
/// At its transmitter; the configuration stays. Scope `admin`.
#[utoipa::path(
    delete, path = "/v1/ssf/{id}", operation_id = "remove_stream", tag = "operation",
    params(("id" = String, Path, description = "The stream's name in the configuration")),
    responses((status = 204, description = "The transmitter has it no more"), TransmitterProblems),
)]
pub(super) async fn remove(
    State(inlets): State<Inlets>,
    Authenticated(caller): Authenticated,
    Id(name): Id,
) -> Result<StatusCode, ApiError> {
    let stream = permitted(&inlets, &caller, &name)?;
    manage::remove(&inlets, stream).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn permitted<'a>(inlets: &'a Inlets, caller: &Caller, name: &str) -> Result<&'a ssf::Stream, ApiError> {
    if !caller.principal.may(Scope::Admin) {
        return Err(ControlError::Scope(Scope::Admin).into());
    }
    let none = || {
        let detail = format!("no stream `{}` is configured: [[ssf]] has the streams", bounded(name));
        ApiError::new(Code::NoStream, detail)
    };
    inlets.streams().find(name).ok_or_else(none)
}

fn shown(stream: &ssf::Stream, told: Told) -> Stream {
    let live = stream.live();
    let delivery = match stream.settings.delivery {
        Delivery::Push(_) => "push",
        Delivery::Poll { .. } => "poll",
    };
    // What it has pushed counts where it cannot be asked.
    let (said, why) = live.said.unzip();
    Stream {
        name: stream.settings.name.clone(),
        transmitter: stream.settings.transmitter.clone(),
        delivery: delivery.into(),
        stream_id: told.stream_id,
        endpoint: told.endpoint,
        reason: told.reason.or(why.filter(|why| told.status.is_none() && !why.is_empty())),
        status: told.status.or(said),
        events_delivered: told.events_delivered,
        verified_at: stream.verified_at_ms().map(Moment::from_millis),
        received_at: live.received_at_ms.map(Moment::from_millis),
        polled_at: live.polled_at_ms.map(Moment::from_millis),
        failure: live.failure,
    }
}
