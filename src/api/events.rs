//! `/v1/events`: the audit trail.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::auth::Authenticated;
use super::body::Payload;
use super::convert;
use super::error::{ApiError, Code};
use super::model::{Event, Events, FieldProblem, Moment, VerifyAnswer, VerifyRequest};
use super::openapi::{BodyProblems, QueryProblems};
use super::query::{Params, page};
use crate::control::{AuditEvent, AuditRecord, Control, EventFilter};
use crate::log::{HeadError, Verified};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParams {
    /// Only events after this version: `next_cursor` of the page before, or the last version seen.
    after: Option<String>,
    /// Most items of the page, 1 to 1000; 100 by default.
    limit: Option<usize>,
    /// Only events about this revocation.
    revocation: Option<String>,
}

/// Read the audit trail
///
/// Oldest first. A page may hold fewer items than asked for, even none, and yet not be the last: only a
/// null `next_cursor` says that. Scope `read`.
#[utoipa::path(
    get, path = "/v1/events", operation_id = "list_events", tag = "operation",
    params(EventParams),
    responses((status = 200, description = "A page", body = Events), QueryProblems),
)]
pub(super) async fn list(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
    Params(params): Params<EventParams>,
) -> Result<Json<Events>, ApiError> {
    let page = page(params.limit, "after", params.after.as_deref())?;
    let revocation = match &params.revocation {
        None => None,
        Some(id) => Some(id.parse().map_err(|_| ApiError::no_revocation(id))?),
    };
    let page = control.events(EventFilter { revocation }, page, &caller).await?;
    Ok(Json(Events {
        events: page.items.into_iter().map(Event::from).collect(),
        next_cursor: page.next.map(|version| version.to_string()),
    }))
}

/// Verify the audit trail
///
/// Goes through the hash chain over every event that was ever written. Keep the `head` elsewhere: given again later, it
/// shows that nothing before it was changed or removed since, even by somebody who can write the database. Scope `read`.
#[utoipa::path(
    post, path = "/v1/events/verify", operation_id = "verify_events", tag = "operation",
    request_body = VerifyRequest,
    responses((status = 200, description = "What was found", body = VerifyAnswer), BodyProblems),
)]
pub(super) async fn verify(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
    Payload(request): Payload<VerifyRequest>,
) -> Result<Json<VerifyAnswer>, ApiError> {
    let expected = request.head.map(|head| head.parse()).transpose().map_err(|error: HeadError| {
        ApiError::new(Code::InvalidField, error.to_string())
            .field(FieldProblem::at("/head", error.to_string()))
    })?;
    let Verified { head, events, dropped, problem } = control.verify(expected, &caller).await?;
    Ok(Json(VerifyAnswer { intact: problem.is_none(), head: head.to_string(), events, dropped, problem }))
}

impl From<AuditEvent> for Event {
    fn from(event: AuditEvent) -> Self {
        Self {
            version: event.version,
            at: Moment::from_millis(event.at_ms),
            actor: event.actor.into(),
            event: event.what.name().to_owned(),
            details: details(event.what),
        }
    }
}

fn details(what: AuditRecord) -> Map<String, Value> {
    let details = match what {
        AuditRecord::Revoked { id, selector, cutoff, expires_at, reason } => {
            let (issuer, value, claims) = convert::about(&selector);
            json!({
                "revocation": id.to_string(),
                "kind": selector.kind().name(),
                "issuer": issuer,
                "value": value,
                "claims": claims,
                "cutoff": convert::cutoff(cutoff),
                "expires_at": expires_at.map(Moment::from_seconds),
                "reason": reason,
            })
        }
        AuditRecord::Reinstated { id, cutoff, expires_at, reason } => json!({
            "revocation": id.map(|id| id.to_string()),
            "cutoff": Moment::from_seconds(cutoff),
            "expires_at": Moment::from_seconds(expires_at),
            "reason": reason,
        }),
        AuditRecord::Undone { id, reason } => {
            json!({"revocation": id.map(|id| id.to_string()), "reason": reason})
        }
        AuditRecord::Swept { until } => json!({"until": Moment::from_seconds(until)}),
        AuditRecord::KeyCreated { id, name, scopes, issuers } => {
            let scopes: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
            json!({"key": id, "name": name, "scopes": scopes, "issuers": issuers})
        }
        AuditRecord::KeyDeleted { id } => json!({"key": id}),
        AuditRecord::Received {
            inlet,
            issuer,
            message_id,
            peer,
            signal,
            revocations,
            refusal,
            detail,
            count,
        } => {
            let there = |text: String| Some(text).filter(|text| !text.is_empty());
            json!({
                "inlet": inlet,
                "issuer": there(issuer),
                "message": there(message_id),
                "peer": there(peer),
                "signal": there(signal),
                "revocations": revocations.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "refused": refusal,
                "detail": there(detail),
                "count": count,
            })
        }
        AuditRecord::UserKept { issuer, id, user_name, active } => {
            json!({"issuer": issuer, "user": id, "name": user_name, "active": active})
        }
        AuditRecord::UserDropped { issuer, id } => json!({"issuer": issuer, "user": id}),
    };
    match details {
        Value::Object(details) => details.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    }
}
