//! OpenID Connect Back-Channel Logout 1.0: the provider says that a session, or all of a user's, have ended.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use portcullis_core::json::Json;

use super::form::{FORM, Form};
use super::oauth::MessageProblems;
use super::{Cause, Inbound, Inlets, Protocol, Reading, Refused};
use crate::auth::Caller;
use crate::clock::UnixMillis;
use crate::config::{Issuer, Leniency, LogoutEnds};
use crate::control::{Effect, MessageId, NewRevocation, Received, Target};
use crate::issuers::{Claims, Jws, JwtError};

const TYPE: &str = "logout+jwt";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Longest time after `iat`, whatever `exp` says: so long a token must be remembered.
const MAX_AGE: Duration = Duration::from_secs(3_600);
/// The same for a token without `exp`: what section 2.4 recommends for `exp`.
const MAX_AGE_WITHOUT_EXP: Duration = Duration::from_secs(120);

/// The protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackchannelLogout;

/// A logout token in a form, as a document.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "described, not read: other fields are ignored, and it is read field by field")]
pub(super) struct LogoutForm {
    /// A signed JWT of type `logout+jwt`.
    logout_token: String,
}

/// OpenID Connect back-channel logout
///
/// The signature of a configured issuer authenticates it. `sid` ends a session; `sub` alone ends everything the
/// user holds, issued until then. Answers once that is on disk.
#[utoipa::path(
    post, path = "/inlets/backchannel-logout", operation_id = "receive_backchannel_logout", tag = "inlets",
    security(()),
    request_body(content = LogoutForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "It is in force"), MessageProblems),
)]
pub(super) async fn receive(State(inlets): State<Inlets>, request: Request) -> Response {
    super::serve::serve(&BackchannelLogout, &inlets, request).await
}

impl Protocol for BackchannelLogout {
    fn name(&self) -> &'static str {
        "backchannel-logout"
    }

    fn path(&self) -> &'static str {
        "/inlets/backchannel-logout"
    }

    fn media_type(&self) -> &'static str {
        FORM
    }

    fn bare_field(&self) -> Option<&'static str> {
        Some("logout_token")
    }

    fn read<'a>(
        &'a self,
        inbound: &'a Inbound,
        inlets: &'a Inlets,
    ) -> BoxFuture<'a, Result<Reading, Refused>> {
        read(inbound, inlets).boxed()
    }

    // Section 2.6, step 8.
    fn accepts_repetitions(&self) -> bool {
        false
    }

    fn accepted(&self, _: &Received) -> Response {
        StatusCode::OK.into_response()
    }

    // Section 2.8.
    fn error(&self, _: &Cause) -> (StatusCode, &'static str) {
        (StatusCode::BAD_REQUEST, "invalid_request")
    }
}

async fn read(inbound: &Inbound, inlets: &Inlets) -> Result<Reading, Refused> {
    let form = Form::of(inbound)?;
    let jws = Jws::parse(form.required("logout_token")?).map_err(Cause::from)?;
    let claims = jws.claims();
    let directory = inlets.directory();
    let name = claims.issuer().map_err(Cause::from)?;
    let issuer = directory.find(name).ok_or_else(|| Cause::from(JwtError::UnknownIssuer(name.into())))?;
    let refused = |cause: Cause| Refused {
        cause,
        issuer: issuer.issuer.clone(),
        message_id: claims.text("jti").ok().flatten().unwrap_or_default().into(),
        signal: "logout".into(),
    };
    let verified = async {
        jws.expect_type(TYPE, issuer.messages.allows(Leniency::GenericTyp))?;
        directory.verify(&jws, &issuer.issuer).await?;
        understand(claims, &issuer, inlets.control().time_ms())
    };
    verified.await.map_err(refused)
}

/// What a token that the issuer has signed says.
fn understand(claims: Claims<'_>, issuer: &Issuer, now_ms: UnixMillis) -> Result<Reading, Cause> {
    let settings = &issuer.messages;
    let skew = settings.message_skew;
    claims.expect_audience(&issuer.audiences)?;
    claims.expect_valid_at(now_ms, skew)?;
    let iat = claims.required_seconds("iat")?;
    let exp = claims.seconds("exp")?;
    let max_age = match exp {
        Some(_) => MAX_AGE,
        None if settings.allows(Leniency::MissingExp) => MAX_AGE_WITHOUT_EXP,
        None => return Err(JwtError::ClaimMissing("exp").into()),
    };
    let last = iat.saturating_add(max_age.as_secs());
    let remember_until = exp.map_or(last, |exp| exp.min(last)).saturating_add(skew.as_secs());
    if now_ms / 1_000 > remember_until {
        return Err(JwtError::TooOld((now_ms / 1_000).saturating_sub(iat)).into());
    }
    let jti = claims.required_text("jti")?;
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    if !matches!(event, Some(Json::Object(_))) {
        return Err(Cause::rule("events_wrong", format!("events has no object `{EVENT}`")));
    }
    if claims.get("nonce").is_some() {
        return Err(JwtError::ClaimForbidden("nonce").into());
    }
    let sid = match claims.get("sid") {
        Some(Json::Null) if settings.allows(Leniency::NullSid) => None,
        _ => claims.text("sid")?,
    };
    let sub = claims.text("sub")?;
    let session =
        |sid: &str| NewRevocation::new(Target::Session { issuer: issuer.issuer.clone(), sid: sid.into() });
    // What the provider has issued until then, by its own clock.
    let subject = |sub: &str| NewRevocation {
        cutoff_ms: Some(iat.saturating_mul(1_000)),
        cutoff_ahead_ms: settings.skew_ms(),
        ..NewRevocation::new(Target::Subject { issuer: issuer.issuer.clone(), sub: sub.into() })
    };
    let revocation = match (sid, sub, settings.logout_ends) {
        (Some(_), Some(sub), LogoutEnds::Subject) | (None, Some(sub), _) => subject(sub),
        (Some(sid), _, _) => session(sid),
        (None, None, _) => return Err(Cause::rule("sub_and_sid_missing", "neither sub nor sid is there")),
    };
    let reason = "logout at the identity provider".into();
    Ok(Reading {
        issuer: issuer.issuer.clone(),
        id: Some(MessageId { text: jti.into(), remember_until }),
        signal: "logout".into(),
        effects: vec![Effect::Revoke(NewRevocation { reason, ..revocation })],
        caller: Caller::issuer(BackchannelLogout.name(), &issuer.issuer),
    })
}
