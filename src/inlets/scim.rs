//! SCIM 2.0 (RFC 7643, RFC 7644): an identity provider keeps its users here, and whoever is not active or deleted
//! does not get in.
//!
//! Of a user no more is kept than subjects are found by. `filter` and `patch` read what outsiders write, and are
//! functions of their input alone.

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

mod change;
mod document;
mod endpoint;
mod error;
pub mod filter;
pub(super) mod mapping;
pub mod patch;
pub mod path;
mod read;
pub(super) mod routes;
mod selection;
mod user;

pub use error::{ErrorKind, ScimError};

use self::selection::Selection;
use super::{Cause, Inbound, Inlets, Peer, Protocol, Reading, Refused};
use crate::control::{ControlError, Received, printable};

const ROOT: &str = "/inlets/scim/v2";
const PREFIX: &str = "/inlets/scim/v2/";
const USERS: &str = "/inlets/scim/v2/Users";
const MEDIA_TYPE: &str = "application/scim+json";
const ERROR_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// The protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scim;

/// An error as RFC 7644 section 3.12 has it.
#[derive(utoipa::ToSchema)]
#[schema(as = ScimError)]
#[expect(dead_code, reason = "described, not made: the answer is written member by member")]
pub(crate) struct ScimErrorBody {
    schemas: Vec<String>,
    /// The HTTP status, as a text.
    status: String,
    /// Which kind of wrong it is, where SCIM has a word for it.
    #[schema(rename = "scimType")]
    scim_type: Option<String>,
    /// For people.
    detail: String,
}

/// Takes a request in and answers it.
async fn serve(inlets: &Inlets, request: Request) -> Response {
    let Peer(peer) = request.extensions().get().copied().unwrap_or_default();
    let address = inlets.address(peer, request.headers());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let handled = async {
        let inbound = super::serve::inbound(inlets, request, address).await?;
        match reads {
            true => Ok(resource(StatusCode::OK, &read::answer(&inbound, inlets)?)),
            false => change(&inbound, inlets, address.to_string()).await,
        }
    };
    match handled.await {
        Ok(response) => {
            let outcome = if reads { "read" } else { "applied" };
            inlets.control.metrics().inlet_message(Scim.name(), outcome);
            response
        }
        // Who asks for what is not there has sent no message.
        Err(refused) if reads && matches!(refused.cause, Cause::Rule { .. }) => {
            super::serve::answer(&Scim, &refused)
        }
        Err(refused) => super::serve::refuse(&Scim, inlets, refused, address).await,
    }
}

/// Makes a change durable, and answers with the user as it is then.
async fn change(inbound: &Inbound, inlets: &Inlets, peer: String) -> Result<Response, Refused> {
    let control = inlets.control();
    let selection = Selection::of(inbound)?;
    // What is decided by how the users are must find them so when it is appended.
    let _turn = control.users_turn().await;
    let change::Change { reading, id } = change::understand(inbound, inlets)?;
    let (issuer, signal) = (reading.issuer.clone(), reading.signal.clone());
    if !reading.effects.is_empty() {
        let refused = Refused { issuer: issuer.clone(), signal, ..Refused::unread(Cause::Replayed) };
        let (message, caller) = reading.into_message(Scim.name(), peer);
        let received = control.receive(message, &caller).await;
        received.map_err(|error| Refused { cause: error.into(), ..refused })?;
    }
    let status = status(inbound);
    let Some(kept) = control.users(|users| users.get(&issuer, &id)) else {
        return Ok(status.into_response());
    };
    let users = read::location(inlets);
    let mut response = resource(status, &selection.of_user(user::write(&kept, &users)));
    if status == StatusCode::CREATED
        && let Ok(location) = HeaderValue::from_str(&user::location(&kept, &users))
    {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn status(inbound: &Inbound) -> StatusCode {
    match inbound.method.as_str() {
        "POST" => StatusCode::CREATED,
        "DELETE" => StatusCode::NO_CONTENT,
        _ => StatusCode::OK,
    }
}

fn resource(status: StatusCode, value: &Value) -> Response {
    (status, [(CONTENT_TYPE, MEDIA_TYPE)], value.to_string()).into_response()
}

impl Protocol for Scim {
    fn name(&self) -> &'static str {
        "scim"
    }

    fn path(&self) -> &'static str {
        USERS
    }

    fn media_type(&self) -> &'static str {
        MEDIA_TYPE
    }

    fn read<'a>(
        &'a self,
        inbound: &'a Inbound,
        inlets: &'a Inlets,
    ) -> BoxFuture<'a, Result<Reading, Refused>> {
        std::future::ready(change::understand(inbound, inlets).map(|change| change.reading)).boxed()
    }

    fn accepts_repetitions(&self) -> bool {
        true
    }

    fn accepted(&self, _: &Received) -> Response {
        StatusCode::OK.into_response()
    }

    fn answer(&self, inbound: &Inbound, _: &Received) -> Response {
        status(inbound).into_response()
    }

    fn error(&self, cause: &Cause) -> (StatusCode, &'static str) {
        let bad = |scim_type| (StatusCode::BAD_REQUEST, scim_type);
        match cause {
            Cause::Credential(_) => (StatusCode::UNAUTHORIZED, ""),
            Cause::Scope { .. }
            | Cause::Rule { code: "issuer_of_key" | "filter_forbidden", .. }
            | Cause::Control(ControlError::Scope(_) | ControlError::Issuer(_)) => (StatusCode::FORBIDDEN, ""),
            Cause::Rule { code: "not_found", .. } => (StatusCode::NOT_FOUND, ""),
            Cause::Rule { code: "method_not_allowed", .. } => (StatusCode::METHOD_NOT_ALLOWED, ""),
            Cause::Rule { code: "not_implemented", .. } => (StatusCode::NOT_IMPLEMENTED, ""),
            Cause::Rule { code: "uniqueness", .. } => (StatusCode::CONFLICT, "uniqueness"),
            Cause::Rule { code, .. } => {
                let kind = ErrorKind::ALL.into_iter().find(|kind| kind.code() == *code);
                bad(kind.map_or("", ErrorKind::scim_type))
            }
            Cause::Syntax(_) => bad("invalidSyntax"),
            Cause::Control(ControlError::Refused(_)) => bad("invalidValue"),
            _ => bad(""),
        }
    }

    fn refused(&self, status: StatusCode, error: &'static str, refused: &Refused) -> Response {
        let is_known = ErrorKind::ALL.into_iter().any(|kind| kind.scim_type() == error);
        let body = user::without_nulls(json!({
            "schemas": [ERROR_SCHEMA],
            "status": status.as_u16().to_string(),
            "scimType": Some(error).filter(|_| is_known),
            "detail": printable(&refused.cause.to_string(), 300),
        }));
        let mut response = (status, [(CONTENT_TYPE, MEDIA_TYPE)], body.to_string()).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"portcullis\""));
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// What can be wrong with a request.
pub(super) struct ScimProblems;

impl IntoResponses for ScimProblems {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let of = |(status, meaning): (u16, &str)| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ScimError"))).build();
            let response = ResponseBuilder::new().description(meaning).content(MEDIA_TYPE, content).build();
            (status.to_string(), RefOr::T(response))
        };
        let statuses = [
            (400, "It makes no sense; `scimType` and `detail` say why"),
            (401, "No API key, or an unknown one"),
            (403, "The key lacks the scope `revoke`, or is not limited to one issuer"),
            (404, "Nothing has that id"),
            (408, "The body did not arrive in time"),
            (409, "Another user has that name, or stands for the same tokens"),
            (413, "The body is too large"),
            (415, "The content type is wrong"),
            (429, "Too many requests of this address"),
            (503, "Not now: the log cannot be had. Send it again"),
        ];
        statuses.into_iter().map(of).collect()
    }
}
