//! Global Token Revocation (draft-parecki-oauth-global-token-revocation), as Okta's Universal Logout sends it:
//! everything that a user holds is to end.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use portcullis_core::UnixSeconds;
use portcullis_core::json::Json;

use super::oauth::SubjectProblems;
use super::subject::{self, Speaker, SubjectError};
use super::{Cause, Inbound, Inlets, Protocol, Reading, Refused};
use crate::auth::{Caller, bearer};
use crate::config::Issuer;
use crate::control::{ControlError, Effect, MessageId, NewRevocation, Received, Target};
use crate::issuers::{Claims, Jws, JwtError};

const PATH: &str = "/inlets/global-token-revocation";
const TYPE: &str = "global-token-revocation+jwt";
/// Longest time from `iat` to `exp` that is needed; Okta's is five minutes.
const MAX_AGE: Duration = Duration::from_secs(3_600);

/// The protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct GlobalTokenRevocation;

/// Whom it is about, as a document.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "described, not read: it is read member by member")]
pub(super) struct GlobalRevocation {
    /// A Subject Identifier (RFC 9493) of format `iss_sub`, `email` or `aliases`.
    #[schema(value_type = Object, example = json!({"format": "iss_sub", "iss": "https://idp.example", "sub": "alice"}))]
    sub_id: String,
}

/// Global token revocation (Okta Universal Logout)
///
/// A bearer JWT of type `global-token-revocation+jwt`, signed by a configured issuer for this address,
/// authenticates it. Everything that the subject holds is rejected, until now issued. Answers once that is on disk.
#[utoipa::path(
    post, path = "/inlets/global-token-revocation", operation_id = "receive_global_token_revocation",
    tag = "inlets", security(()),
    request_body(content = GlobalRevocation, content_type = "application/json"),
    responses((status = 204, description = "It is in force"), SubjectProblems),
)]
pub(super) async fn receive(State(inlets): State<Inlets>, request: Request) -> Response {
    super::serve::serve(&GlobalTokenRevocation, &inlets, request).await
}

impl Protocol for GlobalTokenRevocation {
    fn name(&self) -> &'static str {
        "global-token-revocation"
    }

    fn path(&self) -> &'static str {
        PATH
    }

    fn media_type(&self) -> &'static str {
        "application/json"
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

    fn error(&self, cause: &Cause) -> (StatusCode, &'static str) {
        match cause {
            Cause::Jwt(_) | Cause::Credential(_) | Cause::Replayed => {
                (StatusCode::UNAUTHORIZED, "invalid_token")
            }
            Cause::Subject(SubjectError::Issuer(_)) => (StatusCode::FORBIDDEN, "access_denied"),
            Cause::Subject(SubjectError::Unknown(_)) => (StatusCode::NOT_FOUND, "unknown_subject"),
            // The subject is understood, and cannot be revoked.
            Cause::Control(ControlError::Refused(_)) => (StatusCode::UNPROCESSABLE_ENTITY, "not_revocable"),
            _ => (StatusCode::BAD_REQUEST, "invalid_request"),
        }
    }
}

async fn read(inbound: &Inbound, inlets: &Inlets) -> Result<Reading, Refused> {
    let credential = inbound.header(AUTHORIZATION.as_str()).and_then(bearer);
    let credential = credential.ok_or(Cause::Credential("one `Authorization: Bearer JWT` is needed"))?;
    let jws = Jws::parse(credential).map_err(Cause::from)?;
    let claims = jws.claims();
    let directory = inlets.directory();
    let name = claims.issuer().map_err(Cause::from)?;
    let issuer = directory.find(name).ok_or_else(|| Cause::from(JwtError::UnknownIssuer(name.into())))?;
    let refused = |cause: Cause| Refused {
        cause,
        issuer: issuer.issuer.clone(),
        message_id: claims.text("jti").ok().flatten().unwrap_or_default().into(),
        signal: "global-token-revocation".into(),
    };
    let verified = async {
        jws.expect_type(TYPE, false)?;
        directory.verify(&jws, &issuer.issuer).await?;
        let (id, iat) = authenticate(claims, &issuer, inlets)?;
        understand(inbound, &issuer, inlets, (id, iat))
    };
    verified.await.map_err(refused)
}

/// Whether the credential is meant for this call; what tells it from others, and when it was issued.
fn authenticate(
    claims: Claims<'_>,
    issuer: &Issuer,
    inlets: &Inlets,
) -> Result<(MessageId, UnixSeconds), Cause> {
    let (now_ms, skew) = (inlets.control().time_ms(), issuer.messages.message_skew);
    // The draft's audience is this address; a provider may be configured to name another.
    let mut audiences = issuer.audiences.clone();
    audiences.extend(inlets.public_url(PATH));
    claims.expect_audience(&audiences)?;
    claims.expect_valid_at(now_ms, skew)?;
    let (iat, exp) = (claims.required_seconds("iat")?, claims.required_seconds("exp")?);
    let remember_until = exp.min(iat.saturating_add(MAX_AGE.as_secs())).saturating_add(skew.as_secs());
    if now_ms / 1_000 > remember_until {
        return Err(JwtError::TooOld((now_ms / 1_000).saturating_sub(iat)).into());
    }
    // The application at the provider for which it is sent.
    claims.required_text("sub")?;
    Ok((MessageId { text: claims.required_text("jti")?.into(), remember_until }, iat))
}

fn understand(
    inbound: &Inbound,
    issuer: &Issuer,
    inlets: &Inlets,
    (id, iat): (MessageId, UnixSeconds),
) -> Result<Reading, Cause> {
    inbound.expect_media_type("application/json")?;
    let tokens_of = tokens_of(issuer, inlets)?;
    let body = Json::parse(&inbound.body)
        .map_err(|error| Cause::Syntax(format!("the body is not JSON: {error}")))?;
    // `subject` is what early drafts called it.
    let identifier = body.get("sub_id").or_else(|| body.get("subject"));
    let identifier = identifier.ok_or_else(|| Cause::Syntax("`sub_id` is missing".into()))?;
    let targets = targets(identifier, issuer, &tokens_of, inlets)?;
    let revoke = |target| {
        let revocation = NewRevocation {
            // By the provider's clock, as its tokens are; also where the claim is another than `sub`, so that who
            // logs in again gets in.
            cutoff_ms: Some(iat.saturating_mul(1_000)),
            cutoff_ahead_ms: issuer.messages.skew_ms(),
            reason: "global token revocation by the identity provider".into(),
            ..NewRevocation::new(target)
        };
        Effect::Revoke(revocation)
    };
    Ok(Reading {
        issuer: issuer.issuer.clone(),
        id: Some(id),
        signal: "global-token-revocation".into(),
        effects: targets.into_iter().map(revoke).collect(),
        caller: Caller::speaker(
            GlobalTokenRevocation.name(),
            &issuer.issuer,
            tokens_of.iter().map(|issuer| issuer.issuer.clone()),
        ),
    })
}

/// The issuers whose tokens it ends.
fn tokens_of(issuer: &Issuer, inlets: &Inlets) -> Result<Vec<Arc<Issuer>>, JwtError> {
    let named = match issuer.messages.tokens_of.as_slice() {
        [] => std::slice::from_ref(&issuer.issuer),
        named => named,
    };
    let known =
        |name: &String| inlets.directory().find(name).ok_or_else(|| JwtError::UnknownIssuer(name.clone()));
    named.iter().map(known).collect()
}

/// Whom it means to each of them; an error only if that is nobody anywhere.
fn targets(
    identifier: &Json<'_>,
    signer: &Issuer,
    tokens_of: &[Arc<Issuer>],
    inlets: &Inlets,
) -> Result<Vec<Target>, SubjectError> {
    let mut targets = Vec::new();
    let mut failed = None;
    for issuer in tokens_of {
        let speaker = Speaker { signer: &signer.issuer, tokens_of: issuer };
        match subject::resolve(identifier, speaker, inlets.control()) {
            Ok(found) => targets.extend(found),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if targets.is_empty() => Err(error),
        _ => Ok(targets),
    }
}
