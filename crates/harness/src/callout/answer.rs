//! What a peer that answers by itself is asked, and what it says.

use std::time::Duration;

use crate::header_map::HeaderMap;
use crate::thread::Thread;

use super::step::Step;

/// No peer answers in no time, which also keeps two that always answer each other from stopping the clock.
const AT_LEAST: Duration = Duration::from_millis(1);

/// A call-out, or a message on a stream, as the peer sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Callout {
    /// The thread whose VM makes it.
    pub vm: Thread,
    /// The cluster that it goes to.
    pub cluster: String,
    /// What it is.
    pub kind: CalloutKind,
    /// The gRPC service, with its package; empty for HTTP.
    pub service: String,
    /// The gRPC method; empty for HTTP.
    pub method: String,
    /// The request headers, or the initial metadata.
    pub headers: HeaderMap,
    /// The request body, or the message; empty when a stream is opened.
    pub body: Vec<u8>,
}

/// What a peer is asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CalloutKind {
    /// The answer to an HTTP call.
    Http,
    /// The answer to a unary gRPC call.
    GrpcCall,
    /// What it does about a new gRPC stream.
    GrpcStream,
    /// What it does about a message on a gRPC stream.
    GrpcMessage,
}

/// What a peer does about a call-out: some steps, each a while after the one before, the first at least a
/// millisecond after the call-out. They happen as [`Envoy::advance`](crate::Envoy::advance) lets time pass,
/// unless the call-out has ended by then.
///
/// ```
/// use std::time::Duration;
///
/// use proxy_wasm_harness::Answer;
///
/// // Two messages, a pause, and a connection that breaks.
/// let answer = Answer::nothing().message("one").message("two").after(Duration::from_secs(30)).break_off();
/// # let _ = answer;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "an answer says nothing before a cluster gives it"]
pub struct Answer {
    refusal: Option<Refusal>,
    now: Duration,
    steps: Vec<(Duration, Step)>,
}

/// What keeps a call-out from being made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    NoHost,
    NoCluster,
}

impl Answer {
    /// Silence, with steps to be added. Without any, the test plays the peer, or the timeout ends the call.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// There is no host for it: the call-out fails while it is being made.
    pub fn no_host() -> Self {
        Self { refusal: Some(Refusal::NoHost), ..Self::default() }
    }

    /// The cluster is not there, for this call-out.
    pub fn no_cluster() -> Self {
        Self { refusal: Some(Refusal::NoCluster), ..Self::default() }
    }

    /// The next step comes this much later.
    pub fn after(mut self, delay: Duration) -> Self {
        self.now = self.now.saturating_add(delay);
        self
    }

    /// An HTTP response, to an HTTP call or in place of gRPC.
    pub fn respond(self, status: u32, headers: impl Into<HeaderMap>, body: impl AsRef<[u8]>) -> Self {
        self.step(Step::response(status, &headers.into(), body.as_ref(), None))
    }

    /// The initial metadata of a gRPC answer.
    pub fn initial_metadata(self, metadata: impl Into<HeaderMap>) -> Self {
        self.step(Step::InitialMetadata(metadata.into()))
    }

    /// A gRPC message, which may be empty. A unary call is answered once its status has come as well.
    pub fn message(self, message: impl AsRef<[u8]>) -> Self {
        self.step(Step::Message(message.as_ref().to_vec()))
    }

    /// A compressed gRPC message, which Envoy does not take.
    pub fn compressed(self) -> Self {
        self.step(Step::Compressed)
    }

    /// A gRPC status; if nothing has come before, in an answer of nothing but trailers.
    pub fn close(self, status: u32, message: &str) -> Self {
        self.step(Step::Close(status, message.to_owned()))
    }

    /// The end of a gRPC answer, without a status.
    pub fn end_without_trailers(self) -> Self {
        self.step(Step::EndWithoutTrailers)
    }

    /// The peer resets the call or stream.
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    /// The response begins, and breaks off.
    pub fn break_off(self) -> Self {
        self.step(Step::BreakOff)
    }

    /// Nobody takes the connection.
    pub fn refuse(self) -> Self {
        self.step(Step::Refuse)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push((self.now.max(AT_LEAST), step));
        self
    }

    pub(super) const fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    pub(super) fn into_steps(self) -> impl Iterator<Item = (Duration, Step)> {
        self.steps.into_iter()
    }
}
