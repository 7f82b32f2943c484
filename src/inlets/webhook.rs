//! Webhooks of anybody: signed, and understood by rules of the configuration.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use portcullis_core::json::Json;

mod proof;
mod rules;

use super::oauth::WebhookProblems;
use super::subject::SubjectError;
use super::{Cause, Inbound, Inlets, Protocol, Reading, Refused, serve};
use crate::auth::{Caller, Principal, Scope};
use crate::config;
use crate::config::webhooks::Scheme;
use crate::control::{ControlError, Received};

const PREFIX: &str = "/inlets/webhook/";

/// The protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Webhook;

/// A webhook of the configuration
///
/// What must prove that the sender knows the secret, and what the JSON means, is in `[[webhooks]]`. Answers once
/// what follows is on disk.
#[utoipa::path(
    post, path = "/inlets/webhook/{name}", operation_id = "receive_webhook", tag = "inlets", security(()),
    params(
        ("name" = String, Path, description = "The webhook's name in the configuration"),
        ("validationToken" = Option<String>, Query, description = "Of Microsoft Graph before the first message: answered as it is, with 200"),
    ),
    request_body(content = Object, content_type = "application/json"),
    responses(
        (status = 200, description = "The validation token", body = String, content_type = "text/plain"),
        (status = 204, description = "It is in force, or changes nothing"),
        WebhookProblems,
    ),
)]
pub(super) async fn receive(State(inlets): State<Inlets>, request: Request) -> Response {
    let address = serve::caller(&inlets, &request);
    let inbound = match serve::inbound(&inlets, request, address).await {
        Ok(inbound) => inbound,
        Err(refused) => return serve::refuse(&Webhook, &inlets, refused, address).await,
    };
    let Some(token) = validation_token(&inbound, &inlets) else {
        return serve::take(&Webhook, &inlets, &inbound, address).await;
    };
    inlets.control().metrics().inlet_message(Webhook.name(), "validated");
    // Whoever sees it in a browser sees text.
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (StatusCode::OK, headers, token).into_response()
}

/// What Microsoft Graph wants to see again before it sends anything: that its messages are expected here.
fn validation_token(inbound: &Inbound, inlets: &Inlets) -> Option<String> {
    let segments = inbound.segments_after(PREFIX).ok()?;
    let [name] = segments.as_slice() else { return None };
    let webhook = inlets.settings.webhooks.iter().find(|webhook| webhook.name == *name)?;
    let mut pairs = form_urlencoded::parse(inbound.query.as_bytes());
    let (_, token) = pairs.find(|(key, _)| key == "validationToken")?;
    (webhook.scheme == Scheme::ClientState).then(|| token.into_owned())
}

impl Protocol for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn path(&self) -> &'static str {
        PREFIX
    }

    fn media_type(&self) -> &'static str {
        "application/json"
    }

    fn read<'a>(
        &'a self,
        inbound: &'a Inbound,
        inlets: &'a Inlets,
    ) -> BoxFuture<'a, Result<Reading, Refused>> {
        std::future::ready(read(inbound, inlets)).boxed()
    }

    // Senders try again when an answer is lost.
    fn accepts_repetitions(&self) -> bool {
        true
    }

    fn accepted(&self, _: &Received) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }

    fn error(&self, cause: &Cause) -> (StatusCode, &'static str) {
        match cause {
            Cause::Credential(_) => (StatusCode::UNAUTHORIZED, "invalid_token"),
            Cause::Rule { code: "webhook_unknown", .. } => (StatusCode::NOT_FOUND, "not_found"),
            Cause::Rule { code: "webhook_id", .. } => (StatusCode::BAD_REQUEST, "invalid_request"),
            Cause::Rule { .. }
            | Cause::Subject(SubjectError::Unknown(_))
            | Cause::Control(ControlError::Refused(_)) => (StatusCode::UNPROCESSABLE_ENTITY, "not_revocable"),
            _ => (StatusCode::BAD_REQUEST, "invalid_request"),
        }
    }
}

fn read(inbound: &Inbound, inlets: &Inlets) -> Result<Reading, Refused> {
    let segments = inbound.segments_after(PREFIX)?;
    let known = match segments.as_slice() {
        [name] => inlets.settings.webhooks.iter().find(|webhook| webhook.name == *name),
        _ => None,
    };
    let Some(webhook) = known else {
        return Err(
            Cause::rule("webhook_unknown", "no [[webhooks]] of the configuration has this name").into()
        );
    };
    let mut refused = Refused { issuer: webhook.issuer.clone(), ..Refused::unread(Cause::Replayed) };
    refused.signal.clone_from(&webhook.name);
    let read = understand(webhook, inbound, inlets);
    read.map_err(|cause| Refused { cause, ..refused })
}

fn understand(webhook: &config::Webhook, inbound: &Inbound, inlets: &Inlets) -> Result<Reading, Cause> {
    let now = inlets.control().time_ms() / 1_000;
    let proven = proof::verify(webhook, inbound, now)?;
    inbound.expect_media_type("application/json")?;
    let body = Json::parse(&inbound.body)
        .map_err(|error| Cause::Syntax(format!("the body is not JSON: {error}")))?;
    let events = rules::events(webhook, &body)?;
    proof::verify_events(webhook, events)?;
    let mut id = proof::id(webhook, proven, inbound, &body, now)?;
    // Two webhooks may speak for one issuer.
    id.text.insert_str(0, &format!("{}:", webhook.name));
    let (effects, summary) = rules::apply(webhook, events, inlets)?;
    Ok(Reading {
        issuer: webhook.issuer.clone(),
        id: Some(id),
        signal: format!("{}: {summary}", webhook.name),
        effects,
        caller: caller(webhook),
    })
}

/// A webhook acts on its issuer's tokens only, and reinstates only what it has revoked itself.
fn caller(webhook: &config::Webhook) -> Caller {
    let principal = Principal {
        key_id: String::new(),
        name: webhook.name.clone(),
        scopes: [Scope::Revoke].into(),
        issuers: [webhook.issuer.clone()].into(),
    };
    Caller { principal, via: format!("webhook:{}", webhook.name) }
}
