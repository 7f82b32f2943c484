//! Envoy's network filter chain with one filter in it, and a TCP proxy behind it.

use crate::action;
use crate::callback::{self, Callback, Outcome};
use crate::http;
use crate::plugin::FailurePolicy;
use crate::state::Cx;
use crate::stream::{Ending, Stream};
use crate::vm;

/// A connection.
#[derive(Debug, Default)]
pub(crate) struct Network {
    /// Whether the filter has let the connection be. Nothing is read from it before.
    pub(crate) is_started: bool,
    /// From the client to the upstream.
    pub(crate) downstream: Flow,
    /// From the upstream to the client.
    pub(crate) upstream: Flow,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// What has come and not gone on.
    pub(crate) held: Vec<u8>,
    /// Whether the filter can read what is held: in its callback, and after that for as long as it holds it.
    pub(crate) is_readable: bool,
    /// What went on.
    pub(crate) passed: Vec<u8>,
    /// Whether the end has come, and whether it went on.
    pub(crate) end_seen: bool,
    pub(crate) ended: bool,
}

/// The side from which something comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Client,
    Upstream,
}

/// Who has closed, in the ABI's numbering.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum By {
    Unknown = 0,
    Local = 1,
    Remote = 2,
}

impl Side {
    fn of(self, network: &mut Network) -> &mut Flow {
        match self {
            Self::Client => &mut network.downstream,
            Self::Upstream => &mut network.upstream,
        }
    }
}

impl Flow {
    fn pass(&mut self) {
        self.passed.append(&mut self.held);
        self.ended = self.end_seen;
    }
}

/// Shows the filter a new connection.
pub(crate) fn open(cx: &mut Cx<'_>, id: u32) {
    http::create(cx, id);
    if ask(cx, id, callback::NEW_CONNECTION, &[id]) {
        start(cx, id);
    }
}

/// Shows the filter what has come, and all that it holds with it.
pub(crate) fn data(cx: &mut Cx<'_>, id: u32, from: Side, bytes: &[u8], end: bool) {
    let Some(network) = network(cx, id) else { return };
    let is_started = network.is_started;
    let flow = from.of(network);
    if flow.end_seen {
        return;
    }
    flow.held.extend(bytes);
    flow.end_seen = end;
    if is_started {
        show(cx, id, from);
    }
}

fn show(cx: &mut Cx<'_>, id: u32, from: Side) {
    let Some(network) = network(cx, id) else { return };
    let flow = from.of(network);
    flow.is_readable = true;
    let size = u32::try_from(flow.held.len()).unwrap_or(u32::MAX);
    let end = flow.end_seen;
    let callback = match from {
        Side::Client => callback::DOWNSTREAM_DATA,
        Side::Upstream => callback::UPSTREAM_DATA,
    };
    let goes_on = ask(cx, id, callback, &[id, size, u32::from(end)]);
    let Some(network) = self::network(cx, id) else { return };
    let flow = from.of(network);
    if goes_on {
        flow.is_readable = false;
        flow.pass();
    }
    if from == Side::Upstream && end {
        // Envoy tells the filter so whether or not it holds what came before, and does not know who closed.
        vm::call(cx, callback::UPSTREAM_CLOSE, id, &[id, By::Unknown as u32]);
        action::finish(cx);
    }
    close_if_over(cx, id);
}

/// `proxy_continue_stream`, after the callback: what the filter has seen goes on.
pub(crate) fn resume(cx: &mut Cx<'_>, id: u32) {
    let Some(network) = network(cx, id) else { return };
    if network.is_started {
        network.downstream.pass();
        close_if_over(cx, id);
    } else {
        start(cx, id);
    }
}

fn start(cx: &mut Cx<'_>, id: u32) {
    let Some(network) = network(cx, id) else { return };
    network.is_started = true;
    for from in [Side::Client, Side::Upstream] {
        let Some(network) = self::network(cx, id) else { return };
        let flow = from.of(network);
        if !flow.held.is_empty() || flow.end_seen {
            show(cx, id, from);
        }
    }
}

/// The TCP proxy closes the connection once both directions have ended.
fn close_if_over(cx: &mut Cx<'_>, id: u32) {
    if network(cx, id).is_some_and(|network| network.downstream.ended && network.upstream.ended) {
        close(cx, id, By::Local);
    }
}

/// Closes the connection, and ends its context: the filter logs it when it is done with it, other than in HTTP.
pub(crate) fn close(cx: &mut Cx<'_>, id: u32, by: By) {
    let Some(stream) = open_stream(cx, id) else { return };
    stream.end = Some(if by == By::Remote { Ending::Disconnected } else { Ending::Finished });
    if stream.created {
        vm::call(cx, callback::DOWNSTREAM_CLOSE, id, &[id, by as u32]);
        action::finish(cx);
        for callback in [callback::DONE, callback::LOG, callback::DELETE] {
            vm::call(cx, callback, id, &[id]);
            action::finish(cx);
        }
    }
    http::forget(cx, id);
}

/// Asks the filter whether something goes on.
fn ask(cx: &mut Cx<'_>, id: u32, callback: &'static Callback, arguments: &[u32]) -> bool {
    let was_dead = cx.data().failed();
    let Some(stream) = open_stream(cx, id) else { return false };
    let is_new = was_dead && stream.is_unseen;
    let outcome = vm::call(cx, callback, id, arguments);
    let is_dead = cx.data().failed();
    let goes_on = match http::policy(cx, id) {
        Some(FailurePolicy::LegacyOpen) if is_dead => true,
        Some(FailurePolicy::Open) if is_dead && is_new => true,
        _ if is_dead => {
            close(cx, id, By::Local);
            false
        }
        _ => matches!(outcome, Outcome::NotCalled | Outcome::Returned(0)),
    };
    action::finish(cx);
    goes_on && open_stream(cx, id).is_some()
}

fn network<'a>(cx: &'a mut Cx<'_>, id: u32) -> Option<&'a mut Network> {
    open_stream(cx, id)?.network.as_mut()
}

fn open_stream<'a>(cx: &'a mut Cx<'_>, id: u32) -> Option<&'a mut Stream> {
    cx.data_mut().streams.get_mut(&id).filter(|stream| stream.end.is_none())
}
