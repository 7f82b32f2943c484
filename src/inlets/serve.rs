//! What every message goes through.

use std::net::IpAddr;

use axum::extract::Request;
use axum::response::Response;

use super::{Cause, Inbound, Inlets, Peer, Protocol, Reading, Refused};
use crate::body;
use crate::control::{Received, RefusedMessage};

/// Most bytes of a message.
const MAX_BYTES: usize = 64 * 1024;

/// Takes a request in and answers it in the protocol's words.
pub(super) async fn serve(protocol: &dyn Protocol, inlets: &Inlets, request: Request) -> Response {
    let address = caller(inlets, &request);
    match inbound(inlets, request, address).await {
        Ok(inbound) => take(protocol, inlets, &inbound, address).await,
        Err(refused) => refuse(protocol, inlets, refused, address).await,
    }
}

/// Takes a bounded request in and answers it in the protocol's words.
pub(super) async fn take(
    protocol: &dyn Protocol,
    inlets: &Inlets,
    inbound: &Inbound,
    address: IpAddr,
) -> Response {
    let received = async {
        let reading = protocol.read(inbound, inlets).await?;
        apply(protocol, inlets, reading, address.to_string()).await
    };
    finish(protocol, inlets, received.await, address).await
}

/// Who sends a request.
pub(super) fn caller(inlets: &Inlets, request: &Request) -> IpAddr {
    let Peer(peer) = request.extensions().get().copied().unwrap_or_default();
    inlets.address(peer, request.headers())
}

/// Counts what has become of a message, writes a refusal down, and gives the protocol's answer.
pub(super) async fn finish(
    protocol: &dyn Protocol,
    inlets: &Inlets,
    received: Result<Received, Refused>,
    address: IpAddr,
) -> Response {
    match received {
        Ok(received) => {
            count(protocol, inlets, &received);
            protocol.accepted(&received)
        }
        Err(refused) => refuse(protocol, inlets, refused, address).await,
    }
}

/// Counts a message that was taken in.
pub(super) fn count(protocol: &dyn Protocol, inlets: &Inlets, received: &Received) {
    let outcome = match received {
        Received::Applied(_) => "applied",
        Received::Repeated => "repeated",
    };
    inlets.control.metrics().inlet_message(protocol.name(), outcome);
}

/// The bounded request of an address, or why there is none.
pub(super) async fn inbound(inlets: &Inlets, request: Request, address: IpAddr) -> Result<Inbound, Refused> {
    if !inlets.limits.admits(address) {
        return Err(Cause::RateLimited.into());
    }
    let (parts, body) = request.into_parts();
    let body = body::read(body, MAX_BYTES).await?;
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
    Ok(Inbound { method: parts.method, headers: parts.headers, path, query, body })
}

/// Writes a refusal down, and gives the protocol's answer to it.
pub(super) async fn refuse(
    protocol: &dyn Protocol,
    inlets: &Inlets,
    refused: Refused,
    address: IpAddr,
) -> Response {
    record(protocol, inlets, &refused, address.to_string()).await;
    answer(protocol, &refused)
}

/// Writes a refusal down.
pub(super) async fn record(protocol: &dyn Protocol, inlets: &Inlets, refused: &Refused, peer: String) {
    let (name, code) = (protocol.name(), refused.cause.code());
    inlets.control.metrics().inlet_message(name, code);
    let message = RefusedMessage {
        inlet: name,
        issuer: refused.issuer.clone(),
        message_id: refused.message_id.clone(),
        peer,
        signal: refused.signal.clone(),
        code,
        detail: refused.cause.to_string(),
    };
    inlets.control.refuse(message).await;
}

/// The protocol's answer to a refusal.
pub(crate) fn answer(protocol: &dyn Protocol, refused: &Refused) -> Response {
    let (status, error) = refused.cause.general().unwrap_or_else(|| protocol.error(&refused.cause));
    protocol.refused(status, error, refused)
}

/// Makes what a message says durable, with all that it causes.
pub(super) async fn apply(
    protocol: &dyn Protocol,
    inlets: &Inlets,
    reading: Reading,
    peer: String,
) -> Result<Received, Refused> {
    let (issuer, signal) = (reading.issuer.clone(), reading.signal.clone());
    let message_id = reading.id.as_ref().map(|id| id.text.clone()).unwrap_or_default();
    let refused = |cause: Cause| Refused { cause, issuer, message_id, signal };
    let (message, caller) = reading.into_message(protocol.name(), peer);
    match inlets.control.receive(message, &caller).await {
        Ok(Received::Repeated) if !protocol.accepts_repetitions() => Err(refused(Cause::Replayed)),
        Ok(received) => Ok(received),
        Err(error) => Err(refused(error.into())),
    }
}
