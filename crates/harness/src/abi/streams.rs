//! Ending, holding and releasing streams.

use crate::action::Action;
use crate::header_map::HeaderMap;
use crate::http::Direction;
use crate::memory;
use crate::pairs;
use crate::reply::Reply;
use crate::state::Cx;
use crate::status::Status;
use crate::stream::{Readable, Stream};
use crate::violation::Rule;

use super::quote;

const REQUEST: u32 = 0;
const RESPONSE: u32 = 1;
const DOWNSTREAM: u32 = 2;
const UPSTREAM: u32 = 3;

/// The highest gRPC status; everything above stands for none.
const MAX_GRPC_STATUS: u32 = 16;

pub(super) fn send_local_response(
    cx: &mut Cx<'_>,
    status: u32,
    details: u32,
    details_size: u32,
    body: u32,
    body_size: u32,
    pairs: u32,
    pairs_size: u32,
    grpc_status: u32,
) -> Result<(), Status> {
    let details = memory::read_text(cx, details, details_size)?;
    let body = memory::read(cx, body, body_size)?;
    let headers: HeaderMap = pairs::decode(&memory::read(cx, pairs, pairs_size)?).into_iter().collect();
    // The details end up in a log line whose fields blanks separate.
    let details: String = details.chars().map(|c| if c.is_ascii_whitespace() { '_' } else { c }).collect();
    let state = cx.data_mut();
    state.note(format_args!("{status}, details {}, body {}", quote(details.as_bytes()), quote(&body)));
    let grpc_status = Some(grpc_status).filter(|status| *status <= MAX_GRPC_STATUS);
    let reply = Reply { status, headers, body, details, grpc_status };
    state.stop_iteration = true;
    let id = state.context();
    // The root context and connections have nothing to answer, and are told nothing of it.
    let Some(stream) = state.stream().filter(|stream| stream.network.is_none()) else { return Ok(()) };
    stream.reply_queued = true;
    state.after_call.push_back(Action::Reply(id, reply));
    refuse_both(cx, id);
    Ok(())
}

pub(super) fn close_stream(cx: &mut Cx<'_>, kind: u32) -> Result<(), Status> {
    let state = cx.data_mut();
    state.note(name(kind));
    let id = state.context();
    let is_network = state.stream().is_some_and(|stream| stream.network.is_some());
    match kind {
        REQUEST | RESPONSE if !is_network => {}
        DOWNSTREAM | UPSTREAM if is_network => {
            state.after_call.push_back(Action::CloseConnection(id));
            return Ok(());
        }
        REQUEST | RESPONSE | DOWNSTREAM | UPSTREAM => return Ok(()),
        _ => return Err(Status::BadArgument),
    }
    let Some(stream) = state.stream() else { return Ok(()) };
    stream.details.get_or_insert_with(|| "wasm_close_stream".to_owned());
    if std::mem::replace(&mut stream.reset_queued, true) && stream.end.is_none() {
        state.violate(Rule::ClosedTwice { stream: id });
    }
    state.after_call.push_back(Action::Reset(id));
    refuse_both(cx, id);
    Ok(())
}

pub(super) fn continue_stream(cx: &mut Cx<'_>, kind: u32) -> Result<(), Status> {
    let state = cx.data_mut();
    state.note(name(kind));
    let direction = match kind {
        REQUEST => Direction::Request,
        RESPONSE => Direction::Response,
        DOWNSTREAM => {
            let id = state.context();
            state.after_call.push_back(Action::ContinueConnection(id));
            return Ok(());
        }
        UPSTREAM => return Err(Status::Unimplemented),
        _ => return Err(Status::BadArgument),
    };
    let id = state.context();
    let Some(stream) = state.stream().filter(|stream| stream.network.is_none()) else { return Ok(()) };
    let is_missing = direction == Direction::Response
        && stream.response.headers.is_none()
        && stream.end.is_none()
        && !stream.reply_queued;
    // Envoy takes the request's away in either direction, and never the response's.
    stream.request.readable = Readable::default();
    if is_missing {
        state.violate(Rule::ContinuedMissingResponse { stream: id });
    }
    state.after_call.push_back(Action::Continue(id, direction));
    Ok(())
}

pub(super) fn continue_request(cx: &mut Cx<'_>) -> Result<(), Status> {
    continue_stream(cx, REQUEST)
}

pub(super) fn continue_response(cx: &mut Cx<'_>) -> Result<(), Status> {
    continue_stream(cx, RESPONSE)
}

/// There are no routes here.
pub(super) fn clear_route_cache(_: &mut Cx<'_>) -> Result<(), Status> {
    Ok(())
}

fn refuse_both(cx: &mut Cx<'_>, id: u32) {
    let both = |s: &Stream| s.reply_queued && s.reset_queued && s.end.is_none();
    if cx.data().streams.get(&id).is_some_and(both) {
        cx.data().violate(Rule::RepliedAndClosed { stream: id });
    }
}

fn name(kind: u32) -> &'static str {
    match kind {
        REQUEST => "request",
        RESPONSE => "response",
        DOWNSTREAM => "downstream",
        UPSTREAM => "upstream",
        _ => "unknown stream",
    }
}
