//! Keycloak's own messages to applications ("admin URL"): a not-before time is pushed, sessions are logged out.
//!
//! The body is a JWS whose payload is an admin action, not a JWT: it has `id`, `expiration`, `resource` (the
//! client) and `action`, and no `iss` and `aud`. The realm's key has signed it, so the issuer of the path is who
//! speaks. Read in Keycloak's `ResourceAdminManager`, `OIDCLoginProtocol` and `PreAuthActionsHandler`.
//!
//! With the admin URL `…/inlets/keycloak/{issuer}` of a client, its not-before stops the client's tokens. With
//! `…/inlets/keycloak/{issuer}/realm`, that of a client which is an audience of the issuer stops all tokens of
//! the realm: Keycloak pushes a realm's not-before to each client as the client's.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use portcullis_core::json::Json;

use super::oauth::PathProblems;
use super::{Cause, Inbound, Inlets, Protocol, Reading, Refused};
use crate::auth::Caller;
use crate::config::Issuer;
use crate::control::{Effect, MessageId, NewRevocation, Received, Target};
use crate::issuers::{Claims, Jws, JwtError};

const PREFIX: &str = "/inlets/keycloak/";
/// Longest time that an action may be ahead of its expiration, which Keycloak sets to 30 s; so long it is
/// remembered.
const MAX_AHEAD: u64 = 3_600;

/// The protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keycloak;

/// An admin action of Keycloak for one client
///
/// `action` is `k_push_not_before`, `k_logout` or `k_test_available`; the body is what Keycloak signs with the
/// realm's key. `issuer` is the issuer's `name` in the configuration, or its `iss`, escaped.
#[utoipa::path(
    post, path = "/inlets/keycloak/{issuer}/{action}", operation_id = "receive_keycloak_client_action",
    tag = "inlets", security(()),
    params(
        ("issuer" = String, Path, description = "Name of the issuer"),
        ("action" = String, Path, description = "`k_push_not_before`, `k_logout` or `k_test_available`"),
    ),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 204, description = "It is in force"), PathProblems),
)]
pub(super) async fn receive(State(inlets): State<Inlets>, request: Request) -> Response {
    super::serve::serve(&Keycloak, &inlets, request).await
}

/// An admin action of Keycloak for the whole realm
///
/// As for one client; `resource` must be one of the issuer's `audiences`.
#[utoipa::path(
    post, path = "/inlets/keycloak/{issuer}/realm/{action}", operation_id = "receive_keycloak_realm_action",
    tag = "inlets", security(()),
    params(
        ("issuer" = String, Path, description = "Name of the issuer"),
        ("action" = String, Path, description = "`k_push_not_before`, `k_logout` or `k_test_available`"),
    ),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 204, description = "It is in force"), PathProblems),
)]
pub(super) async fn receive_realm(State(inlets): State<Inlets>, request: Request) -> Response {
    super::serve::serve(&Keycloak, &inlets, request).await
}

impl Protocol for Keycloak {
    fn name(&self) -> &'static str {
        "keycloak"
    }

    fn path(&self) -> &'static str {
        PREFIX
    }

    fn media_type(&self) -> &'static str {
        "text/plain"
    }

    fn read<'a>(
        &'a self,
        inbound: &'a Inbound,
        inlets: &'a Inlets,
    ) -> BoxFuture<'a, Result<Reading, Refused>> {
        read(inbound, inlets).boxed()
    }

    fn accepts_repetitions(&self) -> bool {
        false
    }

    fn accepted(&self, _: &Received) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }

    // As Keycloak's adapters answer: 403 to what is not authentic, 400 to what makes no sense.
    fn error(&self, cause: &Cause) -> (StatusCode, &'static str) {
        match cause {
            Cause::Jwt(JwtError::UnknownIssuer(_)) | Cause::Rule { code: "action_unknown", .. } => {
                (StatusCode::NOT_FOUND, "not_found")
            }
            // As Keycloak's own adapters answer: 403 to what is not believed, 400 to what is and cannot be followed.
            Cause::Jwt(error) if !error.is_of_claims() => (StatusCode::FORBIDDEN, "access_denied"),
            Cause::Replayed => (StatusCode::FORBIDDEN, "access_denied"),
            _ => (StatusCode::BAD_REQUEST, "invalid_request"),
        }
    }
}

/// What of a realm an action is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reach {
    Client,
    Realm,
}

async fn read(inbound: &Inbound, inlets: &Inlets) -> Result<Reading, Refused> {
    let segments = inbound.segments_after(PREFIX)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (name, reach, action) = match segments.as_slice() {
        [name, action] => (*name, Reach::Client, *action),
        [name, "realm", action] => (*name, Reach::Realm, *action),
        _ => return Err(Cause::rule("action_unknown", "the path names no issuer and action").into()),
    };
    let directory = inlets.directory();
    let issuer =
        directory.find_by_path(name).ok_or_else(|| Cause::from(JwtError::UnknownIssuer(name.into())))?;
    let mut refused =
        Refused { issuer: issuer.issuer.clone(), signal: action.into(), ..Refused::unread(Cause::Replayed) };
    let verified = async {
        let jws = Jws::parse(inbound.text()?.trim())?;
        if let Ok(Some(id)) = jws.claims().text("id") {
            refused.message_id = id.into();
        }
        directory.verify(&jws, &issuer.issuer).await?;
        understand(jws.claims(), &issuer, (reach, action), inlets.control().time_ms())
    };
    let read = verified.await;
    read.map_err(|cause| Refused { cause, ..refused })
}

fn understand(
    claims: Claims<'_>,
    issuer: &Issuer,
    (reach, action): (Reach, &str),
    now_ms: u64,
) -> Result<Reading, Cause> {
    let (now, skew) = (now_ms / 1_000, issuer.messages.message_skew.as_secs());
    let expiration = claims.required_seconds("expiration")?;
    if now > expiration.saturating_add(skew) {
        return Err(JwtError::Expired(now.saturating_sub(expiration)).into());
    }
    if expiration > now.saturating_add(MAX_AHEAD) {
        return Err(Cause::rule("expiration_too_late", "expiration is more than an hour ahead"));
    }
    let id = claims.required_text("id")?;
    let resource = claims.required_text("resource")?;
    if reach == Reach::Realm && !issuer.audiences.iter().any(|audience| audience == resource) {
        return Err(Cause::rule("resource_wrong", "resource is none of the audiences of the issuer"));
    }
    let says = claims.required_text("action")?;
    let effects = match (action, says) {
        ("k_test_available", "TEST_AVAILABILITY") => Vec::new(),
        ("k_push_not_before", "PUSH_NOT_BEFORE") => {
            not_before(claims, issuer, reach, resource)?.into_iter().collect()
        }
        ("k_logout", "LOGOUT") => logout(claims, issuer, reach, resource)?,
        ("k_test_available" | "k_push_not_before" | "k_logout", _) => {
            return Err(Cause::rule("action_wrong", "action is not that of the path"));
        }
        _ => return Err(Cause::rule("action_unknown", "there is no such action")),
    };
    Ok(Reading {
        issuer: issuer.issuer.clone(),
        id: Some(MessageId { text: id.into(), remember_until: expiration.saturating_add(skew) }),
        signal: says.to_ascii_lowercase().replace('_', "-"),
        effects,
        caller: Caller::issuer(Keycloak.name(), &issuer.issuer),
    })
}

/// Tokens issued before the time are stopped; 0 stands for a not-before that was cleared, which changes nothing.
fn not_before(
    claims: Claims<'_>,
    issuer: &Issuer,
    reach: Reach,
    resource: &str,
) -> Result<Option<Effect>, Cause> {
    let at = claims.required_seconds("notBefore")?;
    if at == 0 {
        return Ok(None);
    }
    let iss = issuer.issuer.clone();
    let target = match reach {
        Reach::Client => Target::Client { issuer: iss, client_id: resource.into() },
        Reach::Realm => Target::Issuer { issuer: iss },
    };
    Ok(Some(Effect::Revoke(NewRevocation {
        cutoff_ms: Some(at.saturating_mul(1_000)),
        cutoff_ahead_ms: issuer.messages.skew_ms(),
        reason: "not-before pushed by Keycloak".into(),
        ..NewRevocation::new(target)
    })))
}

/// The sessions that are named; without any, everything before a time.
fn logout(claims: Claims<'_>, issuer: &Issuer, reach: Reach, resource: &str) -> Result<Vec<Effect>, Cause> {
    let named = |name| match claims.get(name) {
        Some(Json::List(ids)) if !ids.is_empty() => Some(ids),
        _ => None,
    };
    let Some(sessions) = named("keycloakSessionIds") else {
        if named("adapterSessionIds").is_some() {
            let why = "only the application's own session ids are named, which no token carries";
            return Err(Cause::rule("sessions_unknown", why));
        }
        return Ok(not_before(claims, issuer, reach, resource)?.into_iter().collect());
    };
    let session = |id: &Json<'_>| {
        let sid = id.as_text().ok_or(JwtError::ClaimType("keycloakSessionIds", "a list of texts"))?;
        Ok(Effect::Revoke(NewRevocation {
            reason: "logout at Keycloak".into(),
            ..NewRevocation::new(Target::Session { issuer: issuer.issuer.clone(), sid: sid.into() })
        }))
    };
    sessions.iter().map(session).collect()
}
