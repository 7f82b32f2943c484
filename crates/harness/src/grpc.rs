//! gRPC streams between the root context and a peer that the test plays.

use std::collections::BTreeMap;

use crate::action::{self, Action};
use crate::callback;
use crate::header_map::HeaderMap;
use crate::service::{self, Target};
use crate::state::{Cx, ROOT};
use crate::status::Status;
use crate::thread::Thread;
use crate::trace::What;
use crate::violation::Rule;
use crate::vm;

/// Streams are told from other call-outs by their token modulo four.
const KIND: u32 = 2;

/// How Envoy says that a cluster has no host to offer.
const NO_HOSTS: &str = "no healthy upstream{no_healthy_upstream}";

/// gRPC's `UNAVAILABLE`.
const UNAVAILABLE: u32 = 14;

/// The streams of one VM.
#[derive(Debug, Default)]
pub(crate) struct GrpcStreams {
    pub(crate) by_token: BTreeMap<u32, Stream>,
    opened: u32,
    /// What the filter can read while the callback for it runs.
    pub(crate) initial_metadata: Option<HeaderMap>,
    pub(crate) trailing_metadata: Option<HeaderMap>,
    pub(crate) message: Option<Vec<u8>>,
}

/// A stream that was opened, or that failed to.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) cluster: String,
    pub(crate) service: String,
    pub(crate) method: String,
    pub(crate) metadata: HeaderMap,
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
    pub(crate) has_initial_metadata: bool,
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

/// `proxy_grpc_stream`.
pub(crate) fn open(
    cx: &mut Cx<'_>,
    target: &[u8],
    service: String,
    method: String,
    metadata: &HeaderMap,
) -> Result<u32, Status> {
    let state = cx.data_mut();
    let is_starting = state
        .frames
        .iter()
        .any(|f| [callback::VM_START.name, callback::CONFIGURE.name].contains(&f.callback));
    if state.thread == Thread::Canary || is_starting {
        state.violate(Rule::GrpcStreamDuringStart);
    }
    let (cluster, mut all_metadata, by_name) = match service::parse(target) {
        Target::Service { cluster: Some(cluster), metadata } => (cluster, metadata, false),
        Target::Service { cluster: None, .. } => {
            state.violate(Rule::AmbiguousGrpcTarget { target: String::from_utf8_lossy(target).into_owned() });
            return Err(Status::BadArgument);
        }
        Target::Name(name) => (name, HeaderMap::new(), true),
    };
    for (name, value) in metadata.pairs() {
        all_metadata.add(name, value);
    }
    let found = state.world().clusters.get(&cluster).copied();
    if found.is_none() && by_name {
        return Err(Status::ParseFailure);
    }

    state.grpc.opened += 1;
    let token = KIND + 4 * state.grpc.opened;
    let has_hosts = found.is_some_and(|cluster| cluster.has_hosts);
    let stream =
        Stream { cluster, service, method, metadata: all_metadata, known: has_hosts, ..Stream::default() };
    state.grpc.by_token.insert(token, stream);
    if has_hosts {
        return Ok(token);
    }
    let message = if found.is_none() {
        "Cluster not available"
    } else {
        // The filter has not got the token yet, and is called with it nonetheless.
        initial_metadata(cx, token, HeaderMap::new());
        trailing_metadata(
            cx,
            token,
            HeaderMap::from([
                (":status", "200"),
                ("content-type", "application/grpc"),
                ("grpc-status", "14"),
                ("grpc-message", NO_HOSTS),
            ]),
        );
        NO_HOSTS
    };
    cx.data_mut().after_call.push_back(Action::GrpcClosed(token, UNAVAILABLE, message.to_owned()));
    Err(Status::InternalFailure)
}

/// `proxy_grpc_send`.
pub(crate) fn send(cx: &mut Cx<'_>, token: u32, message: Vec<u8>, end: bool) -> Result<(), Status> {
    if token % 4 != KIND {
        return Err(Status::BadArgument);
    }
    let stream = known(cx, token)?;
    let is_misuse = stream.dangles();
    // After its last word, Envoy takes what the filter says, and sends nothing.
    if !stream.half_closed {
        stream.sent.push(message);
    }
    stream.half_closed |= end;
    if is_misuse {
        cx.data().violate(Rule::UsedClosedGrpcStream { token });
    }
    Ok(())
}

/// `proxy_grpc_close`: the filter sends no more, the peer may.
pub(crate) fn close(cx: &mut Cx<'_>, token: u32) -> Result<(), Status> {
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
pub(crate) fn cancel(cx: &mut Cx<'_>, token: u32) -> Result<(), Status> {
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
    /// Unary calls, of which there are none.
    const CALL: u32 = 1;
    if token % 4 != KIND && token % 4 != CALL {
        return Err(Status::BadArgument);
    }
    cx.data_mut().grpc.by_token.get_mut(&token).filter(|stream| stream.known).ok_or(Status::NotFound)
}

/// The peer's response headers have come.
pub(crate) fn initial_metadata(cx: &mut Cx<'_>, token: u32, metadata: HeaderMap) {
    let count = u32::try_from(metadata.len()).unwrap_or(u32::MAX);
    let grpc = &mut cx.data_mut().grpc;
    if let Some(stream) = grpc.by_token.get_mut(&token) {
        stream.has_initial_metadata = true;
    }
    grpc.initial_metadata = Some(metadata);
    vm::call(cx, callback::GRPC_INITIAL_METADATA, ROOT, &[ROOT, token, count]);
    action::finish(cx);
    cx.data_mut().grpc.initial_metadata = None;
}

/// A message has come.
pub(crate) fn message(cx: &mut Cx<'_>, token: u32, message: Vec<u8>) {
    let size = u32::try_from(message.len()).unwrap_or(u32::MAX);
    cx.data_mut().grpc.message = Some(message);
    vm::call(cx, callback::GRPC_MESSAGE, ROOT, &[ROOT, token, size]);
    action::finish(cx);
    cx.data_mut().grpc.message = None;
}

/// The peer's trailers have come.
pub(crate) fn trailing_metadata(cx: &mut Cx<'_>, token: u32, metadata: HeaderMap) {
    let count = u32::try_from(metadata.len()).unwrap_or(u32::MAX);
    cx.data_mut().grpc.trailing_metadata = Some(metadata);
    vm::call(cx, callback::GRPC_TRAILING_METADATA, ROOT, &[ROOT, token, count]);
    action::finish(cx);
    cx.data_mut().grpc.trailing_metadata = None;
}

/// The stream is over.
pub(crate) fn closed(cx: &mut Cx<'_>, token: u32, status: u32, message: &str) {
    let state = cx.data_mut();
    if let Some(stream) = state.grpc.by_token.get_mut(&token) {
        stream.remote_closed = true;
        stream.closing = true;
    }
    state.root.status = (status, message.to_owned());
    state.trace(What::Note(format!("gRPC stream {token} ends with status {status} {message:?}")));
    vm::call(cx, callback::GRPC_CLOSE, ROOT, &[ROOT, token, status]);
    action::finish(cx);
    let state = cx.data_mut();
    state.root.status.1.clear();
    let is_dead = state.failed();
    let Some(stream) = state.grpc.by_token.get_mut(&token) else { return };
    stream.closing = false;
    if stream.closed {
        stream.known = false;
    }
    if stream.known && !is_dead {
        state.violate(Rule::KeptClosedGrpcStream { token });
    }
}
