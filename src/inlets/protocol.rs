//! What a protocol is: reading a message, and answering in its own words.

use axum::http::StatusCode;
use axum::response::Response;
use futures_util::future::BoxFuture;

use super::{Cause, Inbound, Inlets, Refused};
use crate::auth::Caller;
use crate::control::{Effect, Message, MessageId, Received};

/// A protocol in which messages arrive.
pub trait Protocol: Sync {
    /// Its name in the audit trail, the metrics and on the command line.
    fn name(&self) -> &'static str;

    /// Its path, where that has no variable part.
    fn path(&self) -> &'static str;

    /// The media type of its messages: taken for a captured one that names none.
    fn media_type(&self) -> &'static str;

    /// The field of its form that a captured JWT without anything around it belongs to.
    fn bare_field(&self) -> Option<&'static str> {
        None
    }

    /// Verifies a message and says what follows from it. Changes nothing.
    fn read<'a>(
        &'a self,
        inbound: &'a Inbound,
        inlets: &'a Inlets,
    ) -> BoxFuture<'a, Result<Reading, Refused>>;

    /// Whether a message that has been received before gets the answer of the first time; else it is refused
    /// ([`Cause::Replayed`]). Either way nothing is done again.
    fn accepts_repetitions(&self) -> bool;

    /// The answer to a message that is durable and in force.
    fn accepted(&self, received: &Received) -> Response;

    /// The same, where it depends on what was asked.
    fn answer(&self, _: &Inbound, received: &Received) -> Response {
        self.accepted(received)
    }

    /// The status and the protocol's own error code for a cause. Those of [`Cause::general`] need not be looked
    /// at.
    fn error(&self, cause: &Cause) -> (StatusCode, &'static str);

    /// The answer to a refused message. By default that of OAuth 2.0 (RFC 6749 section 5.2).
    fn refused(&self, status: StatusCode, error: &'static str, refused: &Refused) -> Response {
        super::oauth::refused(status, error, &refused.cause)
    }
}

/// What a verified message says.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The configured issuer that it speaks for; empty where there is none.
    pub issuer: String,
    /// What tells it from the issuer's other messages; `None`: it may come again.
    pub id: Option<MessageId>,
    /// What it says, in a word or two.
    pub signal: String,
    /// What follows from it.
    pub effects: Vec<Effect>,
    /// Who asks for that: the issuer that signed it ([`Caller::issuer`]), or the holder of an API key.
    pub caller: Caller,
}

impl Reading {
    /// The message for the front door, and who sends it.
    pub(crate) fn into_message(self, inlet: &'static str, peer: String) -> (Message, Caller) {
        let Self { issuer, id, signal, effects, caller } = self;
        (Message { inlet, issuer, id, peer, signal, effects }, caller)
    }
}
