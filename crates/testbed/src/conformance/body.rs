//! A body that is sent part by part, each when its time has come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::HeaderMap;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

/// What comes next.
pub(super) enum Part {
    Data {
        bytes: Bytes,
        last: bool,
    },
    Trailers(HeaderMap),
    /// The stream is reset.
    Reset,
}

/// The sending side.
pub(super) type Sender = mpsc::UnboundedSender<Part>;

/// The body.
pub(super) struct Parts {
    parts: Option<mpsc::UnboundedReceiver<Part>>,
}

/// A body with parts to come.
pub(super) fn channel() -> (Sender, Parts) {
    let (sender, parts) = mpsc::unbounded_channel();
    (sender, Parts { parts: Some(parts) })
}

/// No body at all.
pub(super) fn none() -> Parts {
    Parts { parts: None }
}

impl Body for Parts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(parts) = &mut self.parts else { return Poll::Ready(None) };
        let (frame, is_last) = match ready!(parts.poll_recv(context)) {
            Some(Part::Data { bytes, last }) => (Ok(Frame::data(bytes)), last),
            Some(Part::Trailers(trailers)) => (Ok(Frame::trailers(trailers)), true),
            Some(Part::Reset) => (Err(io::Error::other("reset by the scenario")), true),
            None => return Poll::Ready(None),
        };
        if is_last {
            self.parts = None;
        }
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_none()
    }
}
