//! What host calls leave for the time after the callback, in order.

use crate::callout;
use crate::http;
use crate::http::Direction;
use crate::network::{self, By};
use crate::reply::Reply;
use crate::root;
use crate::state::Cx;
use crate::violation::Rule;

#[derive(Debug)]
pub(crate) enum Action {
    /// `proxy_continue_stream`.
    Continue(u32, Direction),
    /// `proxy_send_local_response`.
    Reply(u32, Reply),
    /// `proxy_close_stream`.
    Reset(u32),
    /// `proxy_close_stream`, of a connection.
    CloseConnection(u32),
    /// `proxy_continue_stream`, of a connection.
    ContinueConnection(u32),
    /// `proxy_done`, by a root context that was waited for.
    DeleteRoot(u32),
    /// The end of a call-out that failed while it was being made: token, gRPC status, message.
    CalloutFailed(u32, u32, String),
}

/// Ends a callback as Envoy does: runs what the host calls have left, and what that leaves in turn.
///
/// This also runs in the middle of a callback, if the host was re-entered in it.
pub(crate) fn finish(cx: &mut Cx<'_>) {
    cx.data_mut().stop_iteration = false;
    loop {
        let nested = !cx.data().frames.is_empty();
        if !nested {
            let state = cx.data_mut();
            let parked = std::mem::take(&mut state.parked);
            state.after_call.extend(parked);
        }
        let Some(action) = cx.data_mut().after_call.pop_front() else { return };
        match action {
            // Envoy puts this one back as long as a callback runs, and here waits for it to be gone.
            Action::CalloutFailed(..) if nested => {
                cx.data().violate(Rule::CalloutAfterFailedCallout);
                cx.data_mut().parked.push(action);
            }
            Action::CalloutFailed(token, status, message) => callout::failed(cx, token, status, &message),
            Action::Continue(stream, direction) => http::resume(cx, stream, direction),
            Action::Reply(stream, reply) => http::reply(cx, stream, reply),
            Action::CloseConnection(connection) => network::close(cx, connection, By::Local),
            Action::ContinueConnection(connection) => network::resume(cx, connection),
            Action::Reset(stream) => http::reset(cx, stream),
            Action::DeleteRoot(id) => root::delete(cx, id),
        }
    }
}
