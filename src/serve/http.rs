//! The HTTP port: connections with bounds on their number and on the time that a request may take to arrive.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::accept::{Acceptor, Connection, FIRST_BYTES};
use crate::inlets::Peer;

/// Most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1_024;
/// Most calls at a time on an HTTP/2 connection.
const MAX_STREAMS: u32 = 128;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Most connections at a time; more wait to be accepted.
    pub(super) connections: usize,
    /// A connection must show which protocol it speaks within this time.
    pub(super) first_bytes: Duration,
    /// The head of a request must have arrived after so long; also the longest idle time between requests of
    /// HTTP/1, and the time between pings of HTTP/2.
    pub(super) head: Duration,
    /// A connection on which no request has begun for so long is asked to end.
    pub(super) idle: Duration,
    /// What is still being answered then gets so long.
    pub(super) grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            first_bytes: FIRST_BYTES,
            head: Duration::from_secs(30),
            idle: Duration::from_secs(120),
            grace: Duration::from_secs(300),
        }
    }
}

impl Limits {
    /// The port at that listener within these bounds.
    pub(super) fn acceptor(&self, listener: TcpListener) -> Acceptor {
        Acceptor::new(listener, self.connections, self.first_bytes)
    }
}

/// Serves until `stop`, then lets what is being answered finish. A request goes to the routes of its time.
pub(super) async fn serve(
    acceptor: Acceptor,
    routes: watch::Receiver<Router>,
    limits: Limits,
    stop: CancellationToken,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.head)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX));
    let builder = Arc::new(builder);
    let open = TaskTracker::new();
    while let Some(arrival) = stop.run_until_cancelled(acceptor.accept()).await {
        let (builder, routes, stop) = (Arc::clone(&builder), routes.clone(), stop.clone());
        open.spawn(async move {
            if let Some(Some(connection)) = stop.run_until_cancelled(arrival.establish()).await {
                answer(builder, connection, routes, limits, stop).await;
            }
        });
    }
    drop(acceptor);
    open.close();
    open.wait().await;
}

/// Answers what comes on one connection.
async fn answer(
    builder: Arc<Builder<TokioExecutor>>,
    connection: Connection,
    routes: watch::Receiver<Router>,
    limits: Limits,
    stop: CancellationToken,
) {
    // Looked at when the time may be up, so that a request costs no timer and wakes nobody.
    let opened = Instant::now();
    let begun_ms = AtomicU64::new(0);
    let peer = connection.peer_address().map(Peer).unwrap_or_default();
    let service = service_fn(|mut request: Request<Incoming>| {
        begun_ms.store(millis(opened.elapsed()), Ordering::Relaxed);
        request.extensions_mut().insert(peer);
        let router = routes.borrow().clone();
        TowerToHyperService::new(router).call(request)
    });
    let idle = async {
        let due = || opened + Duration::from_millis(begun_ms.load(Ordering::Relaxed)) + limits.idle;
        while Instant::now() < due() {
            sleep_until(due()).await;
        }
    };
    let mut connection = pin!(builder.serve_connection(TokioIo::new(connection), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { tokio::select! { () = stop.cancelled() => {}, () = idle => {} } } => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.grace, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(error, "a connection ended early");
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
