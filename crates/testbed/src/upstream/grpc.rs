//! As much of gRPC as a proxy looks at: content type, length-prefixed messages, trailers.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;

use super::every_tick;

/// An endless server stream.
pub(super) async fn stream() -> Response {
    let messages = every_tick(|n| message(format!("tick {n}").as_bytes()));
    respond(Body::new(StreamBody::new(messages.map(|message| message.map(Frame::data)))))
}

/// One message and the end.
pub(super) async fn once() -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(message(b"once")), Frame::trailers(trailers)];
    respond(Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)))))
}

fn respond(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/grpc")], body).into_response()
}

/// A frame: not compressed, four bytes of length, the message.
fn message(payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    frame.put_slice(payload);
    frame.freeze()
}
