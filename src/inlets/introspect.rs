//! OAuth 2.0 Token Introspection (RFC 7662), so that services behind no edge can ask: is this JWT one of a
//! configured issuer, in its time, and not revoked?

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use portcullis_core::json::Json;
use serde::Serialize;
use serde_json::{Map, Number, Value};

use super::credential::client;
use super::form::Form;
use super::oauth::{self, ClientProblems};
use super::serve::inbound;
use super::{Cause, Inbound, Inlets, Peer, Refused, Scheme};
use crate::auth::{Caller, Scope};
use crate::control::{CheckSubject, ControlError};
use crate::issuers::{Jws, JwtError};

const NAME: &str = "introspect";
/// The members of an answer that are claims of the token (section 2.2).
const CLAIMS: [&str; 10] =
    ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "username"];

/// A token in a form, as a document.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "described, not read: it is read field by field")]
pub(super) struct IntrospectionForm {
    /// The token.
    token: String,
    /// Not needed.
    token_type_hint: Option<String>,
}

/// What is known of a token.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Introspection {
    /// Whether a configured issuer has signed it, its time is now, and nothing revokes it.
    active: bool,
    /// Of an active token: `iss`, `sub`, `aud`, `exp`, `iat`, `nbf`, `jti`, `client_id`, `scope`, `username`, as
    /// far as it has them.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    claims: Map<String, Value>,
}

/// OAuth token introspection (RFC 7662)
///
/// The caller authenticates with an API key of scope `read`: as a bearer, or as the password of Basic. Only JWTs
/// of configured issuers can be active; of anything else nothing is known here.
#[utoipa::path(
    post, path = "/inlets/introspect", operation_id = "introspect_token", tag = "inlets",
    request_body(content = IntrospectionForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "What is known of the token", body = Introspection), ClientProblems),
)]
pub(super) async fn receive(State(inlets): State<Inlets>, request: Request) -> Response {
    let Peer(peer) = request.extensions().get().copied().unwrap_or_default();
    let address = inlets.address(peer, request.headers());
    let introspected = async {
        let inbound = inbound(&inlets, request, address).await?;
        introspect(&inbound, &inlets).await.map_err(Refused::unread)
    };
    match introspected.await {
        Ok(introspection) => {
            let outcome = if introspection.active { "active" } else { "inactive" };
            inlets.control().metrics().inlet_message(NAME, outcome);
            oauth::json(StatusCode::OK, &introspection)
        }
        // Nothing was to change: a counter is enough, the audit trail is for what changes something.
        Err(refused) => {
            inlets.control().metrics().inlet_message(NAME, refused.cause.code());
            let (status, error) = refused.cause.general().unwrap_or_else(|| error(&refused.cause));
            oauth::refused(status, error, &refused.cause)
        }
    }
}

fn error(cause: &Cause) -> (StatusCode, &'static str) {
    match cause {
        // Section 2.3: a bearer token as RFC 6750 section 3.1 has it, client credentials as RFC 6749 section 5.2.
        Cause::Client { tried: Scheme::Bearer, .. } => (StatusCode::UNAUTHORIZED, "invalid_token"),
        Cause::Client { .. } => (StatusCode::UNAUTHORIZED, "invalid_client"),
        Cause::Scope { tried: Scheme::Bearer, .. } => (StatusCode::FORBIDDEN, "insufficient_scope"),
        Cause::Scope { .. } | Cause::Control(ControlError::Scope(_)) => {
            (StatusCode::FORBIDDEN, "unauthorized_client")
        }
        _ => (StatusCode::BAD_REQUEST, "invalid_request"),
    }
}

async fn introspect(inbound: &Inbound, inlets: &Inlets) -> Result<Introspection, Cause> {
    let caller = client(inbound, inlets, NAME, Scope::Read)?;
    let form = Form::of(inbound)?;
    let raw = form.required("token")?;
    form.optional("token_type_hint")?;
    match active(raw, inlets, &caller).await {
        Ok(claims) => Ok(Introspection { active: claims.is_some(), claims: claims.unwrap_or_default() }),
        // Section 2.2: whatever is wrong with a token, it is inactive, and nothing is said of it.
        Err(Cause::Jwt(error)) if !error.is_temporary() => {
            Ok(Introspection { active: false, claims: Map::new() })
        }
        Err(cause) => Err(cause),
    }
}

/// What an active token says; `None` where it is revoked.
async fn active(raw: &str, inlets: &Inlets, caller: &Caller) -> Result<Option<Map<String, Value>>, Cause> {
    let jws = Jws::parse(raw)?;
    jws.expect_access_token()?;
    let claims = jws.claims();
    let name = claims.issuer()?;
    // A limited key learns nothing of other issuers' tokens.
    let known = inlets.directory().find(name).filter(|_| caller.principal.may_act_on(Some(name)));
    let issuer = known.ok_or_else(|| JwtError::UnknownIssuer(name.into()))?;
    inlets.directory().verify(&jws, &issuer.issuer).await?;
    claims.required_seconds("exp")?;
    let now_ms = inlets.control().time_ms();
    // A token that is new by a clock that is ahead is one all the same; one that has expired is not for a minute more.
    claims.expect_valid_at(now_ms, issuer.messages.message_skew)?;
    claims.expect_unexpired(now_ms, issuer.settings.clock_skew)?;
    let unlimited = Caller {
        // What is revoked for reasons that the caller may not see is revoked all the same.
        principal: crate::auth::Principal { issuers: Default::default(), ..caller.principal.clone() },
        via: caller.via.clone(),
    };
    let checked = inlets.control().check(&CheckSubject::Token(raw.to_owned()), &unlimited).await?;
    if checked.kind.is_some() || checked.malformed.is_some() {
        return Ok(None);
    }
    let told = CLAIMS.into_iter().filter_map(|name| Some((name.to_owned(), value(claims.get(name)?))));
    Ok(Some(told.collect()))
}

fn value(json: &Json<'_>) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number_value(*number),
        // No claim that is told has a meaning beyond 64 bits.
        Json::Whole(number) => i64::try_from(*number).map_or(Value::Null, Value::from),
        Json::Text(text) => Value::String(text.to_string()),
        Json::List(list) => Value::Array(list.iter().map(value).collect()),
        Json::Object(members) => {
            Value::Object(members.iter().map(|(name, member)| (name.to_owned(), value(member))).collect())
        }
    }
}

/// Whole numbers without a fraction, as times must be.
fn number_value(number: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within 2^53")]
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
        return Value::Number((number as i64).into());
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
