//! The OpenAPI document: what the handlers say of themselves, in a frame.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi};

use super::model::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Portcullis",
        description = "Cuts a user's, a session's or a token's access at every Envoy while the JWT is still \
            valid.\n\nErrors are problem documents (RFC 9457); `code` tells them apart. Unknown paths answer \
            404 and unknown methods 405, with problem documents as well. Calls that change something answer \
            once the change is on disk.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "revocations", description = "Putting revocations in force, finding them, taking them back"),
        (name = "operation", description = "Edges, audit trail, issuers"),
        (name = "keys", description = "API keys"),
        (name = "inlets", description = "Identity providers' protocols; errors are as each protocol has them"),
        (name = "health", description = "Probes and counters, without a key"),
    ),
    components(schemas(
        Problem,
        crate::inlets::OauthError,
        crate::inlets::ssf::SetError,
        crate::inlets::scim::ScimErrorBody
    )),
    security(("key" = [])),
    modifiers(&KeyScheme),
)]
struct Frame;

struct KeyScheme;

impl Modify for KeyScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some("An API key: `Authorization: Bearer KEY`".to_owned());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// The document without the paths.
pub(super) fn frame() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

/// This document
#[utoipa::path(
    get, path = "/v1/openapi.json", operation_id = "read_openapi_document", tag = "operation", security(()),
    responses((status = 200, description = "The OpenAPI document", body = Object)),
)]
pub(super) async fn document() -> impl IntoResponse {
    static DOCUMENT: LazyLock<String> =
        LazyLock::new(|| super::routes().into_openapi().to_json().unwrap_or_default());
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

/// Problems of calls that take nothing but a key.
pub(super) struct PlainProblems;
/// Problems of calls with query parameters.
pub(super) struct QueryProblems;
/// Problems of calls on one thing by its id.
pub(super) struct ItemProblems;
/// Problems of calls that delete something.
pub(super) struct DeleteProblems;
/// Problems of calls with a body.
pub(super) struct BodyProblems;
/// Problems of calls on one thing by its name, with a body.
pub(super) struct ItemBodyProblems;
/// Problems of calls that put something new in the log.
pub(super) struct CreateProblems;
/// Problems of calls that take a revocation back.
pub(super) struct TakeBackProblems;
/// Problems of calls that a transmitter of security events has a part in.
pub(super) struct TransmitterProblems;
/// The same with a body.
pub(super) struct TransmitterBodyProblems;
/// The problem of a probe.
pub(super) struct NotReadyProblem;
/// The problem of a file that is not there.
pub(super) struct NoSuchItem;

impl IntoResponses for TransmitterProblems {
    fn responses() -> Responses {
        problems(&[401, 403, 404, 409, 429, 502, 503])
    }
}

impl IntoResponses for TransmitterBodyProblems {
    fn responses() -> Responses {
        problems(&[400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 502, 503])
    }
}

impl IntoResponses for PlainProblems {
    fn responses() -> Responses {
        problems(&[401, 403, 503])
    }
}

impl IntoResponses for QueryProblems {
    fn responses() -> Responses {
        problems(&[400, 401, 403, 404, 503])
    }
}

impl IntoResponses for ItemProblems {
    fn responses() -> Responses {
        problems(&[401, 403, 404, 503, 507])
    }
}

impl IntoResponses for DeleteProblems {
    fn responses() -> Responses {
        problems(&[401, 403, 404, 409, 503, 507])
    }
}

impl IntoResponses for BodyProblems {
    fn responses() -> Responses {
        problems(&[400, 401, 403, 408, 413, 415, 422, 503])
    }
}

impl IntoResponses for ItemBodyProblems {
    fn responses() -> Responses {
        problems(&[400, 401, 403, 404, 408, 413, 415, 422, 503])
    }
}

impl IntoResponses for CreateProblems {
    fn responses() -> Responses {
        problems(&[400, 401, 403, 408, 413, 415, 422, 503, 507])
    }
}

impl IntoResponses for TakeBackProblems {
    fn responses() -> Responses {
        problems(&[400, 401, 403, 404, 408, 409, 413, 415, 422, 503, 507])
    }
}

impl IntoResponses for NotReadyProblem {
    fn responses() -> Responses {
        problems(&[503])
    }
}

impl IntoResponses for NoSuchItem {
    fn responses() -> Responses {
        problems(&[404])
    }
}

type Responses = BTreeMap<String, RefOr<Response>>;

fn problems(statuses: &[u16]) -> Responses {
    let of = |status: &u16| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description(meaning(*status))
            .content("application/problem+json", content)
            .build();
        (status.to_string(), RefOr::T(response))
    };
    statuses.iter().map(of).collect()
}

const fn meaning(status: u16) -> &'static str {
    match status {
        400 => "A query parameter is wrong, or the body is not JSON",
        401 => "No key, or an unknown one",
        403 => "The key lacks the scope, or is limited to other issuers",
        404 => "Nothing has that id",
        408 => "The body did not arrive in time",
        409 => {
            "It is no longer in force, has been reinstated before, is the last admin key, or something must be \
             configured first"
        }
        413 => "The body is too large",
        415 => "The content type is wrong",
        422 => {
            "A field is unknown, missing or wrong, or the request makes no sense; `errors` names the field"
        }
        429 => "The transmitter wants to be asked less often",
        502 => "The transmitter cannot be reached, or refuses; `detail` says what it answered",
        507 => "No space is left for the log; nothing was changed",
        _ => "Starting, shutting down, or the log cannot be used",
    }
}
