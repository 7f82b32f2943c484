//! What a filter asks of other services: HTTP calls, unary gRPC calls and gRPC streams. All of them belong to
//! the root context, whichever context makes them.

use std::time::Duration;

use crate::action::{self, Action};
use crate::callback::{self, Callback};
use crate::header_map::HeaderMap;
use crate::state::{Cx, VmState};
use crate::status::Status;
use crate::thread::Thread;
use crate::trace::What;
use crate::violation::Rule;
use crate::vm;

mod agenda;
mod answer;
mod cluster;
mod ending;
mod grpc_call;
mod grpc_stream;
pub(crate) mod http;
mod http_call;
pub(crate) mod service;
mod step;
pub(crate) mod stream;
mod target;
pub(crate) mod unary;

pub use answer::{Answer, Callout, CalloutKind};
pub use cluster::Cluster;
pub use grpc_call::GrpcCall;
pub use grpc_stream::GrpcStream;
pub use http_call::HttpCall;

use agenda::Agenda;
use step::Step;

/// The call-outs of one VM, those that are over included.
#[derive(Debug, Default)]
pub(crate) struct Callouts {
    http: http::Calls,
    unary: unary::Calls,
    streams: stream::Streams,
    agenda: Agenda,
    pub(crate) readable: Readable,
}

/// What the filter can read of an answer while the callback for it runs.
#[derive(Debug, Default)]
pub(crate) struct Readable {
    pub(crate) initial_metadata: Option<HeaderMap>,
    pub(crate) trailing_metadata: Option<HeaderMap>,
    pub(crate) message: Option<Vec<u8>>,
    pub(crate) response: Option<Response>,
}

/// The answer to an HTTP call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

/// What a token stands for: call-outs are told apart by their token modulo four.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Http = 0,
    Unary = 1,
    Stream = 2,
}

impl Kind {
    const fn of(token: u32) -> Option<Self> {
        match token % 4 {
            0 => Some(Self::Http),
            1 => Some(Self::Unary),
            2 => Some(Self::Stream),
            _ => None,
        }
    }

    /// The token after `count` others of this kind. Those that failed while they were being made count as well.
    fn token(self, count: usize) -> u32 {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        count.wrapping_add(1).wrapping_mul(4).wrapping_add(self as u32)
    }
}

impl Callouts {
    /// Ends what is open without telling the filter: its root context is gone, or the whole VM. Gives the tokens.
    pub(crate) fn drop_open(&mut self, root: Option<u32>) -> Vec<u32> {
        [self.http.drop_open(root), self.unary.drop_open(root), self.streams.drop_open(root)].concat()
    }

    /// The root context of a call-out.
    fn root(&self, token: u32) -> u32 {
        let root = match Kind::of(token) {
            Some(Kind::Http) => self.http.by_token.get(&token).map(|call| call.root),
            Some(Kind::Unary) => self.unary.by_token.get(&token).map(|call| call.root),
            Some(Kind::Stream) => self.streams.by_token.get(&token).map(|stream| stream.root),
            None => None,
        };
        root.unwrap_or(0)
    }

    /// When the next thing happens to a call-out, and how that compares with other VMs at the same time.
    pub(crate) fn next(&self) -> Option<(Duration, u64)> {
        self.agenda.next()
    }
}

/// `proxy_grpc_close`: the filter says no more on a stream, and gives a unary call up.
pub(crate) fn close(cx: &mut Cx<'_>, token: u32) -> Result<(), Status> {
    match Kind::of(token) {
        Some(Kind::Unary) => unary::cancel(cx, token),
        Some(Kind::Stream) => stream::close(cx, token),
        _ => Err(Status::BadArgument),
    }
}

/// `proxy_grpc_cancel`.
pub(crate) fn cancel(cx: &mut Cx<'_>, token: u32) -> Result<(), Status> {
    match Kind::of(token) {
        Some(Kind::Unary) => unary::cancel(cx, token),
        Some(Kind::Stream) => stream::cancel(cx, token),
        _ => Err(Status::BadArgument),
    }
}

/// Does what is next on the agenda.
pub(crate) fn run_next(cx: &mut Cx<'_>) {
    if let Some((token, step)) = cx.data_mut().callouts.agenda.pop() {
        step::perform(cx, token, step);
    }
}

/// A call-out that failed while it was being made, after the callback in which it was: what gRPC calls hear of
/// it. Envoy forgets HTTP calls before their answer comes round.
pub(crate) fn failed(cx: &mut Cx<'_>, token: u32, status: u32, message: &str) {
    match Kind::of(token) {
        Some(Kind::Unary) => unary::closed(cx, token, status, message),
        Some(Kind::Stream) => stream::closed(cx, token, status, message),
        _ => {}
    }
}

fn fail_later(state: &mut VmState, token: u32, status: u32, message: String) -> Status {
    state.after_call.push_back(Action::CalloutFailed(token, status, message));
    Status::InternalFailure
}

/// Puts what a peer is going to do on the agenda.
fn plan(state: &mut VmState, token: u32, answer: Answer) {
    for (delay, step) in answer.into_steps() {
        schedule(state, token, delay, step);
    }
}

fn schedule(state: &mut VmState, token: u32, delay: Duration, step: Step) {
    let (at, order) = {
        let mut world = state.world();
        (world.elapsed.saturating_add(delay), world.next_order())
    };
    state.callouts.agenda.add(at, order, token, step);
}

/// Calls the root context about a call-out, with what can be read meanwhile in place.
///
/// Envoy takes it away before it does what the callback has left to do.
fn tell(cx: &mut Cx<'_>, callback: &'static Callback, token: u32, arguments: &[u32]) {
    let root = cx.data().callouts.root(token);
    let arguments = [&[root, token], arguments].concat();
    vm::call(cx, callback, root, &arguments);
    let state = cx.data_mut();
    if let Some(Kind::Unary) = Kind::of(token) {
        state.callouts.unary.forget(token);
    }
    state.callouts.readable.message = None;
    state.callouts.readable.response = None;
    if let Some(root) = state.roots.get_mut(&root) {
        root.status.1.clear();
    }
    action::finish(cx);
}

/// Like [`tell`], with a status to be read.
fn tell_status(
    cx: &mut Cx<'_>,
    callback: &'static Callback,
    token: u32,
    arguments: &[u32],
    status: (u32, &str),
) {
    let (code, message) = status;
    let state = cx.data_mut();
    let root = state.callouts.root(token);
    if let Some(root) = state.roots.get_mut(&root) {
        root.status = (code, message.to_owned());
    }
    cx.data().trace(What::Note(format!("call-out {token} ends with status {code} {message:?}")));
    tell(cx, callback, token, arguments);
}

/// Clusters may not be there yet while a filter starts.
fn check_time(state: &VmState) {
    let starting = [callback::VM_START.name, callback::CONFIGURE.name];
    let is_starting = state.frames.iter().any(|frame| starting.contains(&frame.callback));
    if state.thread == Thread::Canary || is_starting {
        state.violate(Rule::CalloutDuringStart);
    }
}

fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
