//! An answer that goes on, and how it ends.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use axum::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::Connection;

/// How a stream ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum How {
    /// As its protocol says that a stream ends.
    Complete,
    /// HTTP/2: this stream was reset, with this code; the connection may live on.
    Reset(u32),
    /// The connection closed in the middle.
    Closed,
}

/// The end of a stream.
#[derive(Clone, Debug)]
pub struct End {
    /// In which way.
    pub how: How,
    /// When it was seen, whoever was waiting for it or not.
    pub at: Instant,
    /// HTTP trailers, if there were any.
    pub trailers: HeaderMap,
}

/// An open answer: SSE, chunks, an HTTP/2 or a gRPC stream. It is read in the background, and closed when
/// dropped.
#[derive(Debug)]
pub struct Stream {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    incoming: Incomings,
    _connection: Connection,
    _reader: Connection,
}

impl Stream {
    pub(super) fn read(response: Response<Incoming>, connection: Connection) -> Self {
        let (head, body) = response.into_parts();
        let (sink, incoming) = Incomings::new();
        let reader = Connection(tokio::spawn(read(body, sink)));
        Self {
            status: head.status,
            headers: head.headers,
            incoming,
            _connection: connection,
            _reader: reader,
        }
    }

    /// The next piece, `None` after the end.
    ///
    /// # Errors
    ///
    /// If neither comes in a long while.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        self.incoming.next().await
    }

    /// Waits for the end; pieces that came before it stay to be read.
    ///
    /// # Errors
    ///
    /// If it does not end `within` that time.
    pub async fn ended(&self, within: Duration) -> Result<End> {
        self.incoming.ended(within).await
    }

    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.incoming.is_open()
    }
}

async fn read(mut body: Incoming, sink: Sink) {
    let mut trailers = HeaderMap::new();
    let how = loop {
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => sink.put(data),
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            },
            Some(Err(error)) => break reset(&error).map_or(How::Closed, How::Reset),
            None => break How::Complete,
        }
    };
    sink.end(how, trailers);
}

/// The code of the RST_STREAM frame, if that is what happened.
fn reset(error: &hyper::Error) -> Option<u32> {
    let cause: &h2::Error = std::error::Error::source(error)?.downcast_ref()?;
    if cause.is_reset() { cause.reason().map(Into::into) } else { None }
}

/// The reader's side: what it has read, and the end.
pub(super) struct Sink {
    pieces: mpsc::UnboundedSender<Bytes>,
    end: watch::Sender<Option<End>>,
}

impl Sink {
    pub(super) fn put(&self, piece: Bytes) {
        // Nobody may be interested any more.
        let _ = self.pieces.send(piece);
    }

    pub(super) fn end(self, how: How, trailers: HeaderMap) {
        self.end.send_replace(Some(End { how, at: Instant::now(), trailers }));
    }
}

/// The test's side.
#[derive(Debug)]
pub(super) struct Incomings {
    pieces: mpsc::UnboundedReceiver<Bytes>,
    end: watch::Receiver<Option<End>>,
}

impl Incomings {
    pub(super) fn new() -> (Sink, Self) {
        let (pieces, received) = mpsc::unbounded_channel();
        let (end, ended) = watch::channel(None);
        (Sink { pieces, end }, Self { pieces: received, end: ended })
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        timeout(super::PATIENCE, self.pieces.recv()).await.context("the stream is open but silent")
    }

    pub(super) async fn ended(&self, within: Duration) -> Result<End> {
        let mut end = self.end.clone();
        let ended = timeout(within, end.wait_for(Option::is_some)).await;
        let ended = ended.with_context(|| format!("the stream did not end within {within:?}"))?;
        ended?.clone().ok_or_else(|| anyhow!("the stream's reader is gone"))
    }

    pub(super) fn is_open(&self) -> bool {
        self.end.borrow().is_none()
    }
}
