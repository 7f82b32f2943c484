//! gRPC streams between the root context and a peer.

use std::collections::BTreeMap;

use crate::callback;
use crate::header_map::HeaderMap;
use crate::state::Cx;
use crate::status::Status;
use crate::thread::Thread;
use crate::violation::Rule;

use super::answer::{Callout, CalloutKind, Refusal};
use super::cluster::Cluster;
use super::ending::{self, Ending, NO_HOSTS, UNAVAILABLE};
use super::step::Step;
use super::{Kind, check_time, fail_later, plan, size, target, tell, tell_status};

/// The streams of one VM.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) by_token: BTreeMap<u32, Stream>,
}

/// A stream that was opened, or that failed to.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The root context that it belongs to.
    pub(crate) root: u32,
    pub(crate) cluster: String,
    pub(crate) service: String,
    pub(crate) method: String,
    pub(crate) metadata: HeaderMap,
    pub(crate) max_message: Option<usize>,
    /// Who is asked for answers to messages.
    pub(crate) peer: Option<Cluster>,
    pub(crate) sent: Vec<Vec<u8>>,
    /// Whether the host still knows the token.
    pub(crate) known: bool,
    /// Whether the filter has said that it sends no more.
    pub(crate) half_closed: bool,
    /// Whether it has said so with `proxy_grpc_close`.
    pub(crate) closed: bool,
    /// Whether the filter has cancelled.
    pub(crate) cancelled: bool,
    /// Whether the peer has closed, and whether the callback for that is running.
    pub(crate) remote_closed: bool,
    pub(crate) closing: bool,
    pub(crate) has_begun: bool,
}

impl Streams {
    pub(super) fn drop_open(&mut self, root: Option<u32>) -> Vec<u32> {
        let mut open = Vec::new();
        let all = self.by_token.iter_mut();
        for (token, stream) in all.filter(|(_, stream)| root.is_none_or(|root| stream.root == root)) {
            if stream.is_open() {
                stream.cancelled = true;
                open.push(*token);
            }
            stream.known = false;
        }
        open
    }
}

impl Stream {
    pub(crate) fn is_open(&self) -> bool {
        self.known && !self.remote_closed
    }

    /// Whether Envoy's own stream object is gone although the token is not.
    fn dangles(&self) -> bool {
        self.known && self.remote_closed && !self.closing
    }
}

impl Stream {
    fn asked(&self, vm: Thread, kind: CalloutKind, message: &[u8]) -> Callout {
        Callout {
            vm,
            cluster: self.cluster.clone(),
            kind,
            service: self.service.clone(),
            method: self.method.clone(),
            headers: self.metadata.clone(),
            body: message.to_vec(),
        }
    }
}

/// `proxy_grpc_stream`.
pub(crate) fn open(cx: &mut Cx<'_>, target: &[u8], mut stream: Stream) -> Result<u32, Status> {
    let state = cx.data_mut();
    check_time(state);
    stream.root = state.root_of(state.context());
    let target = target::resolve(state, target)?;
    stream.metadata = target.metadata_with(&stream.metadata);
    stream.cluster.clone_from(&target.cluster);
    stream.max_message = target.max_message;
    let answer = target.ask(&stream.asked(state.thread, CalloutKind::GrpcStream, &[]))?;
    stream.known = answer.refusal().is_none();
    stream.peer = target.found;
    let streams = &mut state.callouts.streams.by_token;
    let token = Kind::Stream.token(streams.len());
    streams.insert(token, stream);
    match answer.refusal() {
        None => {
            plan(state, token, answer);
            return Ok(token);
        }
        Some(Refusal::NoCluster) => {
            return Err(fail_later(state, token, UNAVAILABLE, target::NOT_AVAILABLE.to_owned()));
        }
        Some(Refusal::NoHost) => {}
    }
    // The filter has not got the token yet, and is called with it nonetheless.
    let ending = NO_HOSTS.ending();
    initial_metadata(cx, token, ending.initial);
    trailing_metadata(cx, token, ending.trailing);
    Err(fail_later(cx.data_mut(), token, ending.status, ending.message))
}

/// `proxy_grpc_send`.
pub(crate) fn send(cx: &mut Cx<'_>, token: u32, message: Vec<u8>, end: bool) -> Result<(), Status> {
    if Kind::of(token) != Some(Kind::Stream) {
        return Err(Status::BadArgument);
    }
    let vm = cx.data().thread;
    let stream = known(cx, token)?;
    let is_misuse = stream.dangles();
    // After its last word, Envoy takes what the filter says, and sends nothing.
    let mut answer = None;
    if !stream.half_closed {
        let asked = stream.asked(vm, CalloutKind::GrpcMessage, &message);
        answer = stream.peer.as_ref().map(|peer| peer.answer(&asked));
        stream.sent.push(message);
    }
    stream.half_closed |= end;
    if let Some(answer) = answer {
        plan(cx.data_mut(), token, answer);
    }
    if is_misuse {
        cx.data().violate(Rule::UsedClosedGrpcStream { token });
    }
    Ok(())
}

/// `proxy_grpc_close`: the filter sends no more, the peer may.
pub(super) fn close(cx: &mut Cx<'_>, token: u32) -> Result<(), Status> {
    let stream = known(cx, token)?;
    let is_misuse = stream.dangles();
    stream.half_closed = true;
    stream.closed = true;
    stream.known = !stream.remote_closed;
    if is_misuse {
        cx.data().violate(Rule::UsedClosedGrpcStream { token });
    }
    Ok(())
}

/// `proxy_grpc_cancel`.
pub(super) fn cancel(cx: &mut Cx<'_>, token: u32) -> Result<(), Status> {
    let stream = known(cx, token)?;
    let is_misuse = stream.dangles();
    stream.cancelled = !stream.remote_closed;
    stream.known = false;
    if is_misuse {
        cx.data().violate(Rule::UsedClosedGrpcStream { token });
    }
    Ok(())
}

fn known<'a>(cx: &'a mut Cx<'_>, token: u32) -> Result<&'a mut Stream, Status> {
    let streams = &mut cx.data_mut().callouts.streams.by_token;
    streams.get_mut(&token).filter(|stream| stream.known).ok_or(Status::NotFound)
}

fn open_stream<'a>(cx: &'a mut Cx<'_>, token: u32) -> Option<&'a mut Stream> {
    known(cx, token).ok().filter(|stream| stream.is_open())
}

/// What happens to an open stream; in each callback the filter may cancel it.
pub(super) fn perform(cx: &mut Cx<'_>, token: u32, step: Step) {
    let Some(stream) = open_stream(cx, token) else { return };
    if let Some(ending) = Ending::of(&step, stream.has_begun) {
        return end(cx, token, ending);
    }
    match step {
        Step::Message(message) => {
            if stream.max_message.is_some_and(|max| message.len() > max) {
                return end(cx, token, Ending::too_large());
            }
            begin(cx, token, ending::begun());
            if open_stream(cx, token).is_some() {
                received(cx, token, message);
            }
        }
        Step::InitialMetadata(metadata) => begin(cx, token, metadata),
        _ => {}
    }
}

fn begin(cx: &mut Cx<'_>, token: u32, metadata: HeaderMap) {
    if open_stream(cx, token).is_some_and(|stream| !stream.has_begun) {
        initial_metadata(cx, token, metadata);
    }
}

fn end(cx: &mut Cx<'_>, token: u32, ending: Ending) {
    begin(cx, token, ending.initial);
    if open_stream(cx, token).is_some() {
        trailing_metadata(cx, token, ending.trailing);
    }
    if open_stream(cx, token).is_some() {
        closed(cx, token, ending.status, &ending.message);
    }
}

/// The peer's response headers have come.
fn initial_metadata(cx: &mut Cx<'_>, token: u32, metadata: HeaderMap) {
    let count = size(metadata.len());
    let callouts = &mut cx.data_mut().callouts;
    if let Some(stream) = callouts.streams.by_token.get_mut(&token) {
        stream.has_begun = true;
    }
    callouts.readable.initial_metadata = Some(metadata);
    tell(cx, callback::GRPC_INITIAL_METADATA, token, &[count]);
    cx.data_mut().callouts.readable.initial_metadata = None;
}

fn received(cx: &mut Cx<'_>, token: u32, message: Vec<u8>) {
    let length = size(message.len());
    cx.data_mut().callouts.readable.message = Some(message);
    tell(cx, callback::GRPC_MESSAGE, token, &[length]);
}

/// The peer's trailers have come.
fn trailing_metadata(cx: &mut Cx<'_>, token: u32, metadata: HeaderMap) {
    let count = size(metadata.len());
    cx.data_mut().callouts.readable.trailing_metadata = Some(metadata);
    tell(cx, callback::GRPC_TRAILING_METADATA, token, &[count]);
    cx.data_mut().callouts.readable.trailing_metadata = None;
}

/// The stream is over.
pub(super) fn closed(cx: &mut Cx<'_>, token: u32, status: u32, message: &str) {
    if let Some(stream) = cx.data_mut().callouts.streams.by_token.get_mut(&token) {
        stream.remote_closed = true;
        stream.closing = true;
    }
    tell_status(cx, callback::GRPC_CLOSE, token, &[status], (status, message));
    let state = cx.data_mut();
    let is_dead = state.failed();
    let Some(stream) = state.callouts.streams.by_token.get_mut(&token) else { return };
    stream.closing = false;
    if stream.closed {
        stream.known = false;
    }
    if stream.known && !is_dead {
        state.violate(Rule::KeptClosedGrpcStream { token });
    }
}
