//! The service behind Envoy: answers, streams, and counts what reaches it.

mod grpc;
mod socket;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::server::Server;

/// How often an endless stream says something.
pub const TICK: Duration = Duration::from_millis(100);

/// An HTTP server, HTTP/1.1 and h2c on one port.
///
/// | path | answer |
/// |---|---|
/// | `/sse` | endless `text/event-stream`, an event every [`TICK`] |
/// | `/stream` | endless body, a chunk every [`TICK`] |
/// | `/ws` | WebSocket: echoes, and sends `tick N` every [`TICK`] |
/// | `/grpc.Echo/Stream` | endless gRPC server stream, a message every [`TICK`] |
/// | `/grpc.Echo/Once` | one gRPC message, then trailers with status 0 |
/// | `/slow` | held until [`Upstream::release`] or `POST /release` |
/// | anything else | JSON: method, path, query and headers as they arrived |
#[derive(Debug)]
pub struct Upstream {
    server: Server,
    state: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    requests: AtomicUsize,
    /// How often the held requests have been released.
    released: watch::Sender<usize>,
    /// Requests at `/slow` that wait.
    held: watch::Sender<usize>,
    /// Closed with the server, for what the server has handed over: upgraded connections.
    running: watch::Sender<()>,
}

impl Upstream {
    /// Starts on a free port.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn start() -> Result<Self> {
        let state = Arc::new(Shared {
            requests: AtomicUsize::new(0),
            released: watch::Sender::new(0),
            held: watch::Sender::new(0),
            running: watch::Sender::new(()),
        });
        let router = Router::new()
            .route("/sse", get(events))
            .route("/stream", get(chunks))
            .route("/ws", any(socket::open))
            .route("/grpc.Echo/Stream", post(grpc::stream))
            .route("/grpc.Echo/Once", post(grpc::once))
            .route("/slow", any(slow))
            .route("/release", post(release))
            .fallback(echo)
            .layer(middleware::from_fn_with_state(state.clone(), count))
            .with_state(state.clone());
        Ok(Self { server: Server::start(router).await?, state })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// How many requests have reached it.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Waits until `count` requests are held at `/slow`.
    pub async fn holding(&self, count: usize) {
        // The sender is ours, so this cannot fail.
        let _ = self.state.held.subscribe().wait_for(|held| *held >= count).await;
    }

    /// Answers the requests that are held at `/slow`.
    pub fn release(&self) {
        self.state.released.send_modify(|times| *times += 1);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.running.send_replace(());
    }
}

async fn count(State(state): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    state.requests.fetch_add(1, Ordering::SeqCst);
    next.run(request).await
}

async fn echo(method: Method, uri: Uri, headers: HeaderMap) -> Json<Value> {
    let mut seen = Map::new();
    for (name, value) in &headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        // A header that came several times is a list.
        match seen.get_mut(name.as_str()) {
            Some(Value::Array(values)) => values.push(value.into()),
            Some(first) => *first = json!([first.take(), value]),
            None => {
                seen.insert(name.as_str().to_owned(), value.into());
            }
        }
    }
    Json(json!({ "method": method.as_str(), "path": uri.path(), "query": uri.query(), "headers": seen }))
}

async fn events() -> Response {
    let events = every_tick(|n| Bytes::from(format!("data: {n}\n\n")));
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

async fn chunks() -> Body {
    Body::from_stream(every_tick(|n| Bytes::from(format!("chunk {n}\n"))))
}

async fn slow(State(state): State<Arc<Shared>>) -> &'static str {
    let mut released = state.released.subscribe();
    released.mark_unchanged();
    let _held = Held::new(&state.held);
    let _ = released.changed().await;
    "released\n"
}

/// One more held request, for as long as it exists: a client may go away before the release.
struct Held<'a>(&'a watch::Sender<usize>);

impl<'a> Held<'a> {
    fn new(held: &'a watch::Sender<usize>) -> Self {
        held.send_modify(|count| *count += 1);
        Self(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

async fn release(State(state): State<Arc<Shared>>) {
    state.released.send_modify(|times| *times += 1);
}

fn every_tick(item: impl Fn(u64) -> Bytes) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((ticks(), 0, item), |(mut ticks, n, item)| async move {
        ticks.tick().await;
        Some((Ok(item(n)), (ticks, n + 1, item)))
    })
}

/// The first one at once.
fn ticks() -> Interval {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
