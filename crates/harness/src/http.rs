//! Envoy's HTTP filter chain with one filter in it: what is called when, and what its answers do.

use crate::action;
use crate::callback::{self, Callback, Outcome};
use crate::header_map::HeaderMap;
use crate::plugin::FailurePolicy;
use crate::reply::Reply;
use crate::state::Cx;
use crate::stream::{Part, Path, Stage, Stream};
use crate::violation::Rule;
use crate::vm;

pub(crate) use ending::{end, forget, refused, reply, reset};
use ending::{ended, reply_through_filter};

mod ending;

/// One of the two ways through a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Direction {
    Request,
    Response,
}

impl Direction {
    pub(crate) fn of(self, stream: &mut Stream) -> &mut Path {
        match self {
            Self::Request => &mut stream.request,
            Self::Response => &mut stream.response,
        }
    }

    const fn callbacks(self) -> [&'static Callback; 3] {
        match self {
            Self::Request => [callback::REQUEST_HEADERS, callback::REQUEST_BODY, callback::REQUEST_TRAILERS],
            Self::Response => {
                [callback::RESPONSE_HEADERS, callback::RESPONSE_BODY, callback::RESPONSE_TRAILERS]
            }
        }
    }
}

/// What a filter's answer amounts to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Continue,
    Hold,
    /// Stop, and let the data go to waste.
    Drop,
}

/// Brings headers to the filter.
pub(crate) fn headers(cx: &mut Cx<'_>, id: u32, direction: Direction, headers: HeaderMap, end: bool) {
    let count = size(headers.len());
    let Some(path) = path(cx, id, direction) else { return };
    path.headers = Some(headers);
    path.code = path.status();
    path.end_seen = end;
    if direction == Direction::Request {
        create(cx, id);
    }
    let Some(path) = self::path(cx, id, direction) else { return };
    path.readable.headers = true;
    let [callback, _, _] = direction.callbacks();
    let verdict = ask(cx, id, direction, callback, &[id, count, u32::from(end)]);
    let Some(path) = self::path(cx, id, direction) else { return };
    if path.stage != Stage::Waiting {
        if verdict == Verdict::Continue {
            // The headers of a request without a body do no harm.
            if direction == Direction::Response || !path.end_seen {
                cx.data().violate(Rule::ContinuedTwice { stream: id });
            }
        } else if !path.end_seen {
            // Continued within the callback: the headers have gone on. What follows them waits, if it says so.
            path.stage = Stage::HeldHeaders;
        }
        return;
    }
    match verdict {
        Verdict::Continue => {
            path.readable.headers = false;
            path.release();
            ended(cx, id);
        }
        Verdict::Hold | Verdict::Drop => path.stage = Stage::HeldHeaders,
    }
    feed(cx, id, direction);
}

/// Brings a part of the body, or the trailers, to the filter; it waits if the headers do.
pub(crate) fn part(cx: &mut Cx<'_>, id: u32, direction: Direction, part: Part) {
    let Some(path) = path(cx, id, direction) else { return };
    if let Part::Data { bytes, .. } = &part {
        path.received += bytes.len();
    }
    path.arrived.push_back(part);
    feed(cx, id, direction);
}

fn feed(cx: &mut Cx<'_>, id: u32, direction: Direction) {
    while let Some(path) = path(cx, id, direction) {
        if !matches!(path.stage, Stage::Flowing | Stage::HeldBody) {
            return;
        }
        match path.arrived.pop_front() {
            Some(Part::Data { bytes, end }) => data(cx, id, direction, bytes, end),
            Some(Part::Trailers(map)) => trailers(cx, id, direction, map),
            None => return,
        }
    }
}

fn data(cx: &mut Cx<'_>, id: u32, direction: Direction, mut bytes: Vec<u8>, end: bool) {
    let Some(path) = path(cx, id, direction) else { return };
    path.end_seen |= end;
    path.readable.body = true;
    path.visible_body().append(&mut bytes);
    let count = size(path.visible_body().len());
    let [_, callback, _] = direction.callbacks();
    let verdict = ask(cx, id, direction, callback, &[id, count, u32::from(end)]);
    let Some(path) = self::path(cx, id, direction) else { return };
    let mut chunk = std::mem::take(&mut path.chunk);
    path.body_is_lost = verdict == Verdict::Drop;
    match verdict {
        Verdict::Continue => {
            path.readable.body = false;
            path.held.append(&mut chunk);
            path.release();
            ended(cx, id);
        }
        Verdict::Hold => {
            path.held.append(&mut chunk);
            path.stage = Stage::HeldBody;
        }
        Verdict::Drop => path.stage = Stage::HeldBody,
    }
}

fn trailers(cx: &mut Cx<'_>, id: u32, direction: Direction, map: HeaderMap) {
    let Some(path) = path(cx, id, direction) else { return };
    let count = size(map.len());
    path.trailers = Some(map);
    path.end_seen = true;
    path.readable.trailers = true;
    let [_, _, callback] = direction.callbacks();
    let verdict = ask(cx, id, direction, callback, &[id, count]);
    let Some(path) = self::path(cx, id, direction) else { return };
    if verdict == Verdict::Continue {
        path.readable.trailers = false;
        path.release();
        ended(cx, id);
    } else {
        path.stage = Stage::HeldTrailers;
    }
}

/// Tells the filter of metadata, which goes on whatever it answers.
pub(crate) fn metadata(cx: &mut Cx<'_>, id: u32, direction: Direction, entries: u32) {
    let callback = match direction {
        Direction::Request => callback::REQUEST_METADATA,
        Direction::Response => callback::RESPONSE_METADATA,
    };
    ask(cx, id, direction, callback, &[id, entries]);
}

/// `proxy_continue_stream`, after the callback.
pub(crate) fn resume(cx: &mut Cx<'_>, id: u32, direction: Direction) {
    let Some(path) = path(cx, id, direction) else { return };
    match path.stage {
        Stage::Flowing => return,
        // Within the callback for the headers: they go on, whatever it answers.
        Stage::Waiting if path.headers.is_some() => path.release(),
        Stage::Waiting => return,
        // What has arrived meanwhile is new to the filter, the end included.
        Stage::HeldHeaders => {
            path.join_arrived();
            path.release();
        }
        Stage::HeldBody | Stage::HeldTrailers => path.release(),
    }
    ended(cx, id);
    feed(cx, id, direction);
}

pub(crate) fn create(cx: &mut Cx<'_>, id: u32) {
    let Some(stream) = cx.data_mut().streams.get_mut(&id) else { return };
    if !std::mem::replace(&mut stream.created, true) {
        let root = stream.root;
        vm::call(cx, callback::CONTEXT_CREATE, id, &[id, root]);
        action::finish(cx);
    }
}

/// Asks the filter what to do, and does what it has left to do.
fn ask(
    cx: &mut Cx<'_>,
    id: u32,
    direction: Direction,
    callback: &'static Callback,
    arguments: &[u32],
) -> Verdict {
    let was_dead = cx.data().failed();
    let Some(stream) = open(cx, id) else { return Verdict::Drop };
    // Envoy's answer for a dead VM is not the filter's business.
    if stream.failed {
        return Verdict::Continue;
    }
    stream.is_decoding = direction == Direction::Request;
    let outcome = vm::call(cx, callback, id, arguments);
    let stopped = cx.data().stop_iteration;
    // Envoy first answers for the dead VM, and only then does what the filter has left to do.
    let without = cx.data().failed().then(|| without_vm(cx, id, was_dead));
    if outcome != Outcome::NotCalled {
        action::finish(cx);
    }
    if let Some(stream) = open(cx, id)
        && std::mem::take(&mut stream.is_decoding)
        && let Some(prepared) = stream.prepared.take()
    {
        reply_through_filter(cx, id, prepared);
    }
    if let Some(verdict) = without {
        return verdict;
    }
    match outcome {
        Outcome::NotCalled => Verdict::Continue,
        _ if stopped => Verdict::Drop,
        // Headers know more answers; what Envoy does not know of them, it takes for a pause.
        Outcome::Returned(0) => Verdict::Continue,
        Outcome::Returned(2) if is_headers(callback) => Verdict::Continue,
        Outcome::Returned(2..) if !is_headers(callback) => Verdict::Drop,
        Outcome::Returned(_) | Outcome::Trapped => Verdict::Hold,
    }
}

/// With Envoy's newer policy, only new requests go on without their filter.
fn without_vm(cx: &mut Cx<'_>, id: u32, was_dead: bool) -> Verdict {
    let is_new = was_dead && cx.data().streams.get(&id).is_some_and(|stream| stream.is_unseen);
    match policy(cx, id) {
        Some(FailurePolicy::LegacyOpen) => return Verdict::Continue,
        Some(FailurePolicy::Open) if is_new => return Verdict::Continue,
        _ => {}
    }
    if let Some(stream) = open(cx, id)
        && !std::mem::replace(&mut stream.failed, true)
    {
        // What the filter has asked for before it died does not come to pass.
        stream.replying = None;
        reply(cx, id, Reply::fail_stream());
    }
    Verdict::Drop
}

/// What the plugin of a stream wants to happen once the VM is dead.
pub(crate) fn policy(cx: &Cx<'_>, id: u32) -> Option<FailurePolicy> {
    let state = cx.data();
    Some(state.roots.get(&state.root_of(id))?.plugin.failure_policy)
}

fn is_headers(callback: &Callback) -> bool {
    [callback::REQUEST_HEADERS.name, callback::RESPONSE_HEADERS.name].contains(&callback.name)
}

fn open<'a>(cx: &'a mut Cx<'_>, id: u32) -> Option<&'a mut Stream> {
    cx.data_mut().streams.get_mut(&id).filter(|stream| stream.end.is_none())
}

fn path<'a>(cx: &'a mut Cx<'_>, id: u32, direction: Direction) -> Option<&'a mut Path> {
    open(cx, id).map(|stream| direction.of(stream))
}

fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
