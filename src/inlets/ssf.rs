//! Shared Signals (SSF 1.0, CAEP 1.0, RISC 1.0): a transmitter says what has happened to sessions and accounts.
//!
//! `set` verifies and understands a security event token, `subject` says of whom it speaks, and both ways in end
//! in `take`: the transmitter pushes (RFC 8935, here) or is asked (RFC 8936, `poll`). `transmitter` makes the calls to
//! it: `upkeep` those that are due, `manage` those that an operator wants. `streams` holds what is known of each stream.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

mod answer;
pub(crate) mod manage;
mod poll;
mod set;
mod streams;
mod subject;
mod transmitter;
mod upkeep;

pub(crate) use answer::SetError;
pub(crate) use streams::{Stream, Streams};
pub(crate) use transmitter::{Told, TransmitterError};

use self::answer::SetProblems;
use super::{Cause, Inbound, Inlets, Protocol, Reading, Refused, serve};
use crate::auth::SecretHash;
use crate::config::Delivery;
use crate::control::Received;
use crate::issuers::Jws;

const PREFIX: &str = "/inlets/ssf/push/";
const MEDIA_TYPE: &str = "application/secevent+jwt";

/// The protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ssf;

/// A security event that a transmitter pushes
///
/// RFC 8935: the body is a security event token, signed by the stream's transmitter. What is not a valid one is
/// answered 400. A valid one whose subject is not known here is accepted and does nothing; the audit trail says
/// why.
#[utoipa::path(
    post, path = "/inlets/ssf/push/{stream}", operation_id = "receive_security_event", tag = "inlets",
    security(()),
    params(("stream" = String, Path, description = "Name of a stream that is delivered by push")),
    request_body(content = String, content_type = "application/secevent+jwt"),
    responses((status = 202, description = "It is in force"), SetProblems),
)]
pub(super) async fn receive(State(inlets): State<Inlets>, request: Request) -> Response {
    let address = serve::caller(&inlets, &request);
    let received = async {
        let inbound = serve::inbound(&inlets, request, address).await?;
        let stream = pushed_to(&inbound, &inlets)?;
        let raw = inbound.text()?;
        take(&inlets, stream, raw.trim(), None, address.to_string()).await
    };
    serve::finish(&Ssf, &inlets, received.await, address).await
}

/// Keeps up with all streams until `stop`.
pub(crate) async fn keep_up(inlets: Inlets, stop: CancellationToken) {
    let streams = inlets.streams().iter().map(|stream| upkeep::keep_up(&inlets, stream, &stop));
    futures_util::future::join_all(streams).await;
}

/// Makes a security event of a stream durable, with what follows from it. `named` is what its `jti` must be.
async fn take(
    inlets: &Inlets,
    stream: &Stream,
    raw: &str,
    named: Option<&str>,
    peer: String,
) -> Result<Received, Refused> {
    let heard = set::read(inlets, stream, raw).await?;
    let id = heard.reading.id.as_ref().map(|id| id.text.clone());
    if named.is_some_and(|jti| id != Some(stream.message_id(jti))) {
        let cause = Cause::rule("jti_wrong", "it was delivered under another jti than it has");
        return Err(Refused { issuer: stream.settings.transmitter.clone(), ..Refused::unread(cause) });
    }
    let received = serve::apply(&Ssf, inlets, heard.reading, peer).await?;
    stream.note(heard.news, inlets.control().time_ms());
    Ok(received)
}

/// The stream of the path, if the request may push to it.
fn pushed_to<'a>(inbound: &Inbound, inlets: &'a Inlets) -> Result<&'a Stream, Refused> {
    let segments = inbound.segments_after(PREFIX)?;
    let [name] = segments.as_slice() else { return Err(unknown().into()) };
    let stream = inlets.streams().find(name).ok_or_else(unknown)?;
    let Delivery::Push(authorization) = &stream.settings.delivery else { return Err(unknown().into()) };
    let of_stream =
        |cause: Cause| Refused { issuer: stream.settings.transmitter.clone(), ..Refused::unread(cause) };
    if let Some(secret) = authorization {
        // Nobody learns what is wrong here, and it is worth sending again.
        let expected = secret.read().map_err(|error| {
            tracing::error!(stream = stream.settings.name, %error, "security events cannot be authenticated");
            of_stream(Cause::later("authorization_unavailable", "the credential cannot be checked now"))
        })?;
        let given = inbound.header(AUTHORIZATION.as_str()).unwrap_or_default();
        // Hashes, compared in constant time.
        if !SecretHash::of(given).matches(&SecretHash::of(&expected)) {
            return Err(of_stream(Cause::Credential("`Authorization` is not what the stream has")));
        }
    }
    inbound.expect_media_type(MEDIA_TYPE).map_err(of_stream)?;
    Ok(stream)
}

fn unknown() -> Cause {
    Cause::rule("stream_unknown", "no stream of that name is delivered by push")
}

impl Protocol for Ssf {
    fn name(&self) -> &'static str {
        "ssf"
    }

    fn path(&self) -> &'static str {
        PREFIX
    }

    fn media_type(&self) -> &'static str {
        MEDIA_TYPE
    }

    // A trial; a token by itself belongs to the stream of its transmitter.
    fn read<'a>(
        &'a self,
        inbound: &'a Inbound,
        inlets: &'a Inlets,
    ) -> BoxFuture<'a, Result<Reading, Refused>> {
        async {
            let raw = inbound.text()?.trim();
            let stream = if inbound.path == PREFIX {
                let jws = Jws::parse(raw).map_err(Cause::from)?;
                let issuer = jws.claims().issuer().map_err(Cause::from)?;
                inlets.streams().of_transmitter(issuer).ok_or_else(unknown)?
            } else {
                pushed_to(inbound, inlets)?
            };
            Ok(set::read(inlets, stream, raw).await?.reading)
        }
        .boxed()
    }

    // RFC 8936 section 2.4, and a transmitter that has not got the answer pushes again.
    fn accepts_repetitions(&self) -> bool {
        true
    }

    fn accepted(&self, _: &Received) -> Response {
        StatusCode::ACCEPTED.into_response()
    }

    fn error(&self, cause: &Cause) -> (StatusCode, &'static str) {
        answer::error(cause)
    }

    fn refused(&self, status: StatusCode, error: &'static str, refused: &Refused) -> Response {
        answer::refused(status, error, &refused.cause)
    }
}
