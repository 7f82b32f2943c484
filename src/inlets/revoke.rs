//! OAuth 2.0 Token Revocation (RFC 7009): a client says that a token is not to be used any more.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use portcullis_core::json::Json;
use portcullis_core::selector::MAX_VALUE_BYTES;
use portcullis_core::token::{Decoded, Jwt, Token, sha256_hex};

use super::credential::client;
use super::form::{FORM, Form};
use super::oauth::ClientProblems;
use super::{Cause, Inbound, Inlets, Protocol, Reading, Refused};
use crate::auth::Scope;
use crate::control::{ControlError, Effect, NewRevocation, Received, Target};
use crate::issuers::{Jws, JwtError};

/// What a message says.
const SIGNAL: &str = "token-revocation";

/// The protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Revoke;

/// A token in a form, as a document.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "described, not read: it is read field by field")]
pub(super) struct RevocationForm {
    /// The token.
    token: String,
    /// `access_token` or `refresh_token`: not needed.
    token_type_hint: Option<String>,
}

/// OAuth token revocation (RFC 7009)
///
/// The client authenticates with an API key of scope `revoke`: as a bearer, or as the password of Basic. A JWT
/// that a configured issuer has signed is revoked by its `jti`, or by its hash where it has none; any other token
/// by its hash. A JWT that no configured issuer has signed is no valid token: the answer is 200, and nothing is done.
#[utoipa::path(
    post, path = "/inlets/revoke", operation_id = "revoke_token", tag = "inlets",
    request_body(content = RevocationForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The token is not, or no longer, accepted"), ClientProblems),
)]
pub(super) async fn receive(State(inlets): State<Inlets>, request: Request) -> Response {
    super::serve::serve(&Revoke, &inlets, request).await
}

impl Protocol for Revoke {
    fn name(&self) -> &'static str {
        "revoke"
    }

    fn path(&self) -> &'static str {
        "/inlets/revoke"
    }

    fn media_type(&self) -> &'static str {
        FORM
    }

    fn bare_field(&self) -> Option<&'static str> {
        Some("token")
    }

    fn read<'a>(
        &'a self,
        inbound: &'a Inbound,
        inlets: &'a Inlets,
    ) -> BoxFuture<'a, Result<Reading, Refused>> {
        read(inbound, inlets).boxed()
    }

    // Section 2.2: revoking twice is no error.
    fn accepts_repetitions(&self) -> bool {
        true
    }

    fn accepted(&self, _: &Received) -> Response {
        StatusCode::OK.into_response()
    }

    fn refused(&self, status: StatusCode, error: &'static str, refused: &Refused) -> Response {
        match status {
            StatusCode::OK => status.into_response(),
            _ => super::oauth::refused(status, error, &refused.cause),
        }
    }

    fn error(&self, cause: &Cause) -> (StatusCode, &'static str) {
        match cause {
            // Section 2.2: an invalid token is no error, for the client could do nothing about it.
            Cause::Jwt(_) => (StatusCode::OK, ""),
            // Section 2.2.1 has the errors of RFC 6749 section 5.2, whatever the client has tried.
            Cause::Client { .. } => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Cause::Scope { .. } | Cause::Control(ControlError::Scope(_) | ControlError::Issuer(_)) => {
                (StatusCode::FORBIDDEN, "unauthorized_client")
            }
            _ => (StatusCode::BAD_REQUEST, "invalid_request"),
        }
    }
}

async fn read(inbound: &Inbound, inlets: &Inlets) -> Result<Reading, Refused> {
    let caller = client(inbound, inlets, Revoke.name(), Scope::Revoke)?;
    let form = Form::of(inbound)?;
    let raw = form.required("token")?;
    form.optional("token_type_hint")?;
    let hash = sha256_hex(raw);
    let mut reading = Reading {
        issuer: String::new(),
        // It may well come again; what is revoked already is not revoked twice.
        id: None,
        signal: SIGNAL.into(),
        effects: Vec::new(),
        caller,
    };
    let mut decoded = Decoded::default();
    let revocation = match Token::read(raw, &mut decoded) {
        Err(_) => return Err(invalid(JwtError::Malformed("it is neither a JWT nor an opaque token").into())),
        Ok(Token::Opaque(_)) => NewRevocation::new(Target::TokenSha256 { hex: hash }),
        Ok(Token::Jwt(jwt)) => {
            let signed = Jws::parse(raw).map_err(Cause::from);
            match believed(inlets, signed).await {
                Ok(issuer) => {
                    let principal = &mut reading.caller.principal;
                    if !principal.may_act_on(Some(&issuer)) {
                        return Err(Cause::from(ControlError::Issuer(Some(issuer))).into());
                    }
                    // A hash names no issuer; the signature has shown whose token it is, and the key may act on it.
                    principal.issuers.clear();
                    let revocation = of_jwt(&jwt, &issuer, hash);
                    reading.issuer = issuer;
                    revocation
                }
                Err(cause) => return Err(invalid(cause)),
            }
        }
    };
    let reason = "revoked by its client".into();
    reading.effects.push(Effect::RevokeOnce(NewRevocation { reason, ..revocation }));
    Ok(reading)
}

/// A token that is none: the client is answered as if it were revoked, and the audit trail has why it is not.
fn invalid(cause: Cause) -> Refused {
    Refused { signal: SIGNAL.into(), ..Refused::unread(cause) }
}

/// The configured issuer that has signed a JWT.
async fn believed(inlets: &Inlets, signed: Result<Jws<'_>, Cause>) -> Result<String, Cause> {
    let jws = signed?;
    let name = jws.claims().issuer()?;
    let issuer = inlets.directory().find(name).ok_or_else(|| JwtError::UnknownIssuer(name.into()))?;
    inlets.directory().verify(&jws, &issuer.issuer).await?;
    Ok(issuer.issuer.clone())
}

/// By its `jti`; without one that a selector can have by its hash, until it expires.
fn of_jwt(jwt: &Jwt<'_>, issuer: &str, hash: String) -> NewRevocation {
    let selects =
        |jti: &&str| (1..=MAX_VALUE_BYTES).contains(&jti.len()) && !jti.chars().any(char::is_control);
    match jwt.claims.get("jti").and_then(Json::as_text).filter(selects) {
        Some(jti) => NewRevocation::new(Target::Token { issuer: issuer.into(), jti: jti.into() }),
        None => NewRevocation::new(Target::TokenSha256 { hex: hash }),
    }
}
