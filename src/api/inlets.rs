//! `/v1/inlets/{inlet}/try`: what would a message do?

use axum::Json;
use axum::body::to_bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

use super::auth::Authenticated;
use super::body::Payload;
use super::convert;
use super::error::{ApiError, Code, bounded};
use super::model::{CapturedMessage, FieldProblem, InletAnswer, InletRefusal, WouldRevoke};
use super::openapi::ItemBodyProblems;
use super::query::Id;
use crate::auth::{Caller, Scope};
use crate::control::{Applied, Commit, ControlError, Foreseen, Received};
use crate::inlets::{self, Cause, Inbound, Inlets, Protocol, Refused};
use crate::log::cutoff_of;

/// Longest answer of an inlet that is passed on.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Try a message
///
/// Says what a captured message of an identity provider would do, or which check refuses it. Changes nothing.
/// Scope `read` or `revoke`.
#[utoipa::path(
    post, path = "/v1/inlets/{id}/try", operation_id = "try_inlet_message", tag = "operation",
    params(("id" = String, Path, description = "The inlet's name, such as `backchannel-logout` or `webhook:NAME`")),
    request_body = CapturedMessage,
    responses((status = 200, description = "What it would do", body = InletAnswer), ItemBodyProblems),
)]
pub(super) async fn foresee(
    State(inlets): State<Inlets>,
    Authenticated(caller): Authenticated,
    Id(name): Id,
    Payload(captured): Payload<CapturedMessage>,
) -> Result<Json<InletAnswer>, ApiError> {
    if !caller.principal.may(Scope::Read) && !caller.principal.may(Scope::Revoke) {
        return Err(ControlError::Scope(Scope::Read).into());
    }
    let (protocol, path) = inlets::protocol(&name).ok_or_else(|| no_such_inlet(&name))?;
    let inbound = inbound(protocol, path, captured)?;
    let answer = match protocol.read(&inbound, &inlets).await {
        Err(refused) => refusal(protocol, refused).await,
        Ok(reading) => {
            let about = Refused {
                cause: Cause::Replayed,
                issuer: reading.issuer.clone(),
                message_id: reading.id.as_ref().map(|id| id.text.clone()).unwrap_or_default(),
                signal: reading.signal.clone(),
            };
            let (message, sender) = reading.into_message(protocol.name(), String::new());
            match inlets.control().foresee(message, &sender).await {
                Err(error) => refusal(protocol, Refused { cause: error.into(), ..about }).await,
                Ok(foreseen) if foreseen.repeated && !protocol.accepts_repetitions() => {
                    InletAnswer { repeated: true, ..refusal(protocol, about).await }
                }
                Ok(foreseen) => acceptance(protocol, &inbound, foreseen, about).await,
            }
        }
    };
    permit(&caller, answer.issuer.as_deref())?;
    Ok(Json(answer))
}

/// A limited key learns nothing of other issuers' messages.
fn permit(caller: &Caller, issuer: Option<&str>) -> Result<(), ApiError> {
    match issuer {
        Some(issuer) if !caller.principal.may_act_on(Some(issuer)) => {
            Err(ControlError::Issuer(Some(issuer.to_owned())).into())
        }
        _ => Ok(()),
    }
}

fn no_such_inlet(name: &str) -> ApiError {
    let known: Vec<&str> = inlets::PROTOCOLS.iter().map(|protocol| protocol.name()).collect();
    let detail = format!("there is no inlet `{}` to try: {}", bounded(name), known.join(", "));
    ApiError::new(Code::NotFound, detail)
}

fn inbound(protocol: &dyn Protocol, path: String, captured: CapturedMessage) -> Result<Inbound, ApiError> {
    let path = captured.path.unwrap_or(path);
    let method = captured.method.as_deref().unwrap_or("POST").parse();
    let method = method.map_err(|_| {
        ApiError::new(Code::InvalidField, "the method is none")
            .field(FieldProblem::at("/method", "not a method"))
    })?;
    let mut inbound = Inbound { method, path, ..Inbound::default() };
    for (name, value) in &captured.headers {
        let header = (HeaderName::try_from(name), HeaderValue::try_from(value));
        let (Ok(name), Ok(value)) = header else {
            let field = FieldProblem::at("/headers", "a name or a value that no header can have");
            return Err(ApiError::new(Code::InvalidField, "a header is none").field(field));
        };
        inbound.headers.append(name, value);
    }
    let media_type = HeaderValue::from_static(protocol.media_type());
    inbound.headers.entry(CONTENT_TYPE).or_insert(media_type);
    let body = captured.body.trim();
    inbound.body = match protocol.bare_field() {
        Some(field) if !body.contains('=') => format!("{field}={body}").into(),
        _ => body.to_owned().into(),
    };
    Ok(inbound)
}

async fn refusal(protocol: &dyn Protocol, refused: Refused) -> InletAnswer {
    let (status, answer) = taken_apart(inlets::answer(protocol, &refused)).await;
    let (code, detail) = (refused.cause.code().to_owned(), bounded(&refused.cause.to_string()));
    InletAnswer { status, answer, refused: Some(InletRefusal { code, detail }), ..about(refused) }
}

async fn acceptance(
    protocol: &dyn Protocol,
    inbound: &Inbound,
    foreseen: Foreseen,
    refused: Refused,
) -> InletAnswer {
    let Foreseen { repeated, revoke, reinstate, undo, notes } = foreseen;
    let received = if repeated {
        Received::Repeated
    } else {
        let commit = Commit { version: 0, at_ms: 0 };
        Received::Applied(Applied {
            commit,
            revoked: Vec::new(),
            reinstated: Vec::new(),
            undone: Vec::new(),
            notes: Vec::new(),
        })
    };
    let (status, answer) = taken_apart(protocol.answer(inbound, &received)).await;
    let warnings: Vec<String> =
        revoke.iter().flat_map(|intake| &intake.warnings).map(ToString::to_string).collect();
    let revocations = revoke.into_iter().filter(|_| !repeated).map(|intake| {
        let (issuer, value, claims) = convert::about(&intake.selector);
        WouldRevoke {
            kind: intake.selector.kind().into(),
            issuer,
            value,
            claims,
            cutoff: convert::cutoff(cutoff_of(&intake.revoked)),
            expires_at: intake.revoked.expires_at.map(super::model::Moment::from_seconds),
            reason: intake.revoked.reason,
        }
    });
    InletAnswer {
        accepted: true,
        status,
        answer,
        repeated,
        revocations: revocations.collect(),
        reinstated: reinstate.iter().map(ToString::to_string).collect(),
        undone: undo.iter().map(ToString::to_string).collect(),
        notes: [notes, warnings].concat(),
        ..about(refused)
    }
}

fn about(refused: Refused) -> InletAnswer {
    let there = |text: String| Some(text).filter(|text| !text.is_empty());
    InletAnswer {
        issuer: there(refused.issuer),
        message: there(refused.message_id),
        signal: there(refused.signal),
        ..InletAnswer::default()
    }
}

/// The status and the text of an answer.
async fn taken_apart(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), MAX_ANSWER_BYTES).await.unwrap_or_default();
    (status, String::from_utf8_lossy(&body).into_owned())
}
