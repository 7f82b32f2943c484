//! How a stream ends: with the last byte of its response, with a response in the place of that, or without one.

use super::{Direction, create, headers, open, part, path, size};
use crate::action;
use crate::callback;
use crate::header_map::HeaderMap;
use crate::reply::Reply;
use crate::root;
use crate::state::Cx;
use crate::stream::{Ending, Part, Path};
use crate::trace::What;
use crate::vm;

/// `proxy_send_local_response`, after the callback; and Envoy's own answer for a dead VM.
pub(crate) fn reply(cx: &mut Cx<'_>, id: u32, reply: Reply) {
    let Some(stream) = cx.data_mut().streams.get_mut(&id) else { return };
    stream.reply_queued = false;
    // The details of the last one count, even if it comes too late for the rest.
    if stream.end.is_none() || stream.end == Some(Ending::Replied) {
        stream.details = Some(reply.details.clone());
    }
    if stream.end.is_some() {
        return;
    }
    stream.request.arrived.clear();
    if stream.response.passed {
        cx.data().trace(What::Note(format!("stream #{id} is reset: its response has begun")));
        reset(cx, id);
        return;
    }
    if stream.response.headers.is_some() {
        // The filter has a response in its hands; the answer goes straight to the client.
        let request = stream.request.headers.clone().unwrap_or_default();
        let (map, body) = reply.response(&request);
        let own = stream.replying.replace(reply).map(|own| own.response(&request).1);
        stream.response = Path::gone(map, body);
        // The body of a reply of its own still passes the filter, for nothing.
        if let Some(own) = own.filter(|own| !own.is_empty()) {
            show_body(cx, id, own);
        }
        ended(cx, id);
    } else if stream.is_decoding {
        // Not to get in the way of the running callback. Of several, the first counts.
        stream.prepared.get_or_insert(reply);
    } else {
        reply_through_filter(cx, id, reply);
    }
}

/// Shows the filter the whole body of a response that does not go anywhere.
fn show_body(cx: &mut Cx<'_>, id: u32, body: Vec<u8>) {
    let Some(path) = path(cx, id, Direction::Response) else { return };
    let count = size(body.len());
    path.readable.body = true;
    path.chunk = body;
    vm::call(cx, callback::RESPONSE_BODY, id, &[id, count, 1]);
    action::finish(cx);
    if let Some(path) = self::path(cx, id, Direction::Response) {
        path.readable.body = false;
        path.chunk = Vec::new();
    }
}

pub(super) fn reply_through_filter(cx: &mut Cx<'_>, id: u32, reply: Reply) {
    let Some(stream) = open(cx, id) else { return };
    let (map, body) = reply.response(&stream.request.headers.clone().unwrap_or_default());
    stream.replying = Some(reply);
    let is_whole = body.is_empty();
    headers(cx, id, Direction::Response, map, is_whole);
    if !is_whole {
        part(cx, id, Direction::Response, Part::Data { bytes: body, end: true });
    }
}

/// `proxy_close_stream`, after the callback.
pub(crate) fn reset(cx: &mut Cx<'_>, id: u32) {
    end(cx, id, Ending::Reset);
}

/// Ends a stream: the filter may log it, and then forgets it.
pub(crate) fn end(cx: &mut Cx<'_>, id: u32, ending: Ending) {
    let Some(stream) = open(cx, id).filter(|stream| stream.network.is_none()) else { return };
    stream.end = Some(ending);
    if ending == Ending::Replied
        && let Some(reply) = stream.replying.take()
    {
        let request = stream.request.headers.clone().unwrap_or_default();
        let headers = stream.response.headers.clone().unwrap_or_default();
        stream.reply = Some(reply.into_local_reply(&request, headers, stream.response.body.clone()));
    }
    create(cx, id);
    if let Some(stream) = cx.data_mut().streams.get_mut(&id) {
        stream.logging = true;
    }
    vm::call(cx, callback::LOG, id, &[id]);
    action::finish(cx);
    if let Some(stream) = cx.data_mut().streams.get_mut(&id) {
        stream.logging = false;
    }
    for callback in [callback::DONE, callback::DELETE] {
        vm::call(cx, callback, id, &[id]);
        action::finish(cx);
    }
    forget(cx, id);
}

/// The context of a stream that has ended is gone, and its root context may be the next.
pub(crate) fn forget(cx: &mut Cx<'_>, id: u32) {
    if let Some(stream) = cx.data_mut().streams.get_mut(&id) {
        stream.alive = false;
        let root = stream.root;
        root::end_if_unused(cx, root);
    }
}

/// A filter before this one answers the request: this one logs it, and sees nothing else of it.
pub(crate) fn refused(cx: &mut Cx<'_>, id: u32, headers: HeaderMap, reply: Reply) {
    let Some(stream) = open(cx, id) else { return };
    let (map, body) = reply.response(&headers);
    stream.request.headers = Some(headers);
    stream.details = Some(reply.details.clone());
    stream.replying = Some(reply);
    stream.response = Path::gone(map, body);
    end(cx, id, Ending::Replied);
}

/// Ends the stream once its response has gone out to the last byte.
pub(super) fn ended(cx: &mut Cx<'_>, id: u32) {
    let Some(stream) = open(cx, id) else { return };
    if stream.response.ended {
        let ending = if stream.replying.is_some() { Ending::Replied } else { Ending::Finished };
        end(cx, id, ending);
    }
}
