//! What a peer does about a call-out, or the network in its place.

use crate::header_map::{HeaderMap, Of};
use crate::state::Cx;

use super::{Kind, Response, http, stream, unary};

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A whole HTTP response, to an HTTP call or in place of gRPC.
    Response(Response),
    InitialMetadata(HeaderMap),
    Message(Vec<u8>),
    /// A message with the mark of a compressed one.
    Compressed,
    /// The trailers of a gRPC answer; if nothing else has come, there is nothing else.
    Close(u32, String),
    /// The end, without the trailers that belong there.
    EndWithoutTrailers,
    /// The peer resets the stream.
    Reset,
    /// The peer resets the stream once it has begun its response.
    BreakOff,
    /// Nobody takes the connection.
    Refuse,
    TimeOut,
}

impl Step {
    pub(super) fn response(
        status: u32,
        headers: &HeaderMap,
        body: &[u8],
        trailers: Option<HeaderMap>,
    ) -> Self {
        let mut map = HeaderMap::from([(":status", status.to_string())]);
        for (name, value) in headers.pairs() {
            map.merge(Of::Response, name, value);
        }
        Self::Response(Response { headers: map, body: body.to_vec(), trailers })
    }
}

/// Does it, if the call-out is still open.
pub(crate) fn perform(cx: &mut Cx<'_>, token: u32, step: Step) {
    match Kind::of(token) {
        Some(Kind::Http) => http::perform(cx, token, step),
        Some(Kind::Unary) => unary::perform(cx, token, step),
        Some(Kind::Stream) => stream::perform(cx, token, step),
        None => {}
    }
}
