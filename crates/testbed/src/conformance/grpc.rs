//! What the peer of a cluster says and hears.

use anyhow::{Context as _, Result};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use bytes::{BufMut as _, Bytes, BytesMut};
use proxy_wasm_harness::HeaderMap as Headers;
use proxy_wasm_harness::scenario::{CalloutEnd, Close, PeerStep, Seen};

use super::body::Part;
use super::client::header_map;
use super::server::Arrival;

/// Does what a step says about one call-out.
pub(super) fn act(stream: &Arrival, step: &PeerStep) -> Result<()> {
    if let Some(initial) = &step.initial {
        stream.begin(head(header_map(initial)?), false);
    }
    if let Some(message) = &step.message {
        if !stream.has_answer() {
            stream.begin(head(HeaderMap::new()), false);
        }
        stream.send(Part::Data { bytes: frame(&message.0)?, last: false });
    }
    if let Some(close) = &step.close {
        let trailers = trailers(close)?;
        if stream.has_answer() {
            stream.send(Part::Trailers(trailers));
        } else {
            stream.begin(head(trailers), true);
        }
    }
    if let Some(answer) = &step.answer {
        stream.answer(answer)?;
    }
    if step.reset {
        stream.send(Part::Reset);
    }
    Ok(())
}

fn head(headers: HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers_mut().extend(headers);
    response
}

fn trailers(close: &Close) -> Result<HeaderMap> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(close.status));
    if !close.message.is_empty() {
        trailers.insert("grpc-message", HeaderValue::from_str(&close.message)?);
    }
    Ok(trailers)
}

/// Not compressed, four bytes of length, the message.
fn frame(message: &[u8]) -> Result<Bytes> {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(message.len().try_into()?);
    frame.put_slice(message);
    Ok(frame.freeze())
}

/// What the peer has seen of a call-out.
pub(super) fn seen(callout: &Arrival) -> Result<Seen> {
    let got = callout.got();
    let mut seen = Seen::default();
    seen.path = callout.head.uri.path_and_query().map_or("", |path| path.as_str()).to_owned();
    seen.headers = headers(&callout.head.headers);
    let is_grpc = seen.headers.get("content-type").is_some_and(|kind| kind.starts_with("application/grpc"));
    seen.messages = match (is_grpc, got.body.is_empty()) {
        (true, _) => messages(&got.body)?,
        (false, true) => Vec::new(),
        (false, false) => vec![got.body],
    };
    seen.trailers = got.trailers.as_ref().map(headers);
    seen.end = if got.is_reset && !callout.is_answered() {
        CalloutEnd::Cancelled
    } else if callout.is_over() {
        CalloutEnd::Closed
    } else if got.is_whole {
        CalloutEnd::HalfClosed
    } else {
        CalloutEnd::Open
    };
    Ok(seen)
}

fn messages(mut body: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    while let Some((prefix, rest)) = body.split_first_chunk::<5>() {
        let [_, length @ ..] = *prefix;
        let (message, rest) =
            rest.split_at_checked(u32::from_be_bytes(length) as usize).context("a part of a message")?;
        messages.push(message.to_vec());
        body = rest;
    }
    Ok(messages)
}

/// The headers, as scenarios have them.
pub(super) fn headers(map: &HeaderMap) -> Headers {
    map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect()
}
