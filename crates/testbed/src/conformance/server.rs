//! An HTTP server that does what the scenario says: Envoy's upstream, and the peers of its gRPC streams.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::http::{HeaderMap, Request, Response, request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use proxy_wasm_harness::scenario;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::body::{self, Part, Parts, Sender};
use super::client::header_map;

/// A server on a free port, HTTP/1.1 and HTTP/2, gone when dropped.
pub(super) struct Server {
    address: SocketAddr,
    arrivals: Arc<Mutex<Vec<Arc<Arrival>>>>,
    accepting: JoinHandle<()>,
}

/// A request that has arrived.
pub(super) struct Arrival {
    pub(super) head: request::Parts,
    got: Mutex<Got>,
    answer: Mutex<Answer>,
}

/// What has come after the head.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Got {
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
    /// The client has ended its side.
    pub(super) is_whole: bool,
    /// The client has reset the stream, or is gone.
    pub(super) is_reset: bool,
}

/// How far the answer is.
enum Answer {
    None(oneshot::Sender<Response<Parts>>),
    Begun(Sender),
    Ended,
}

impl Server {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
        let address = listener.local_addr()?;
        let arrivals = Arc::default();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&arrivals)));
        Ok(Self { address, arrivals, accepting })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far.
    pub(super) fn arrivals(&self) -> Vec<Arc<Arrival>> {
        lock(&self.arrivals).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Arrival {
    pub(super) fn got(&self) -> Got {
        lock(&self.got).clone()
    }

    pub(super) fn has_answer(&self) -> bool {
        !matches!(*lock(&self.answer), Answer::None(_))
    }

    /// Whether either side has ended the stream.
    pub(super) fn is_over(&self) -> bool {
        matches!(*lock(&self.answer), Answer::Ended) || lock(&self.got).is_reset
    }

    /// Whether this side has ended its answer.
    pub(super) fn is_answered(&self) -> bool {
        matches!(*lock(&self.answer), Answer::Ended)
    }

    /// Begins the answer; `whole` if the head is all of it.
    pub(super) fn begin(&self, head: Response<()>, whole: bool) {
        let mut answer = lock(&self.answer);
        let (next, parts) = if whole {
            (Answer::Ended, body::none())
        } else {
            let (sender, parts) = body::channel();
            (Answer::Begun(sender), parts)
        };
        match std::mem::replace(&mut *answer, next) {
            // The connection may be gone.
            Answer::None(head_sender) => drop(head_sender.send(head.map(|()| parts))),
            other => *answer = other,
        }
    }

    /// Answers, or begins to.
    pub(super) fn answer(&self, answer: &scenario::Answer) -> Result<()> {
        let mut head = Response::builder().status(answer.status).body(())?;
        *head.headers_mut() = header_map(&answer.headers)?;
        self.begin(head, !answer.open && answer.body.is_none() && answer.trailers.is_none());
        if let Some(body) = &answer.body {
            let last = !answer.open && answer.trailers.is_none();
            self.send(Part::Data { bytes: body.0.clone().into(), last });
        }
        if let Some(trailers) = &answer.trailers {
            self.send(Part::Trailers(header_map(trailers)?));
        }
        Ok(())
    }

    /// Goes on with the answer, once it has begun.
    pub(super) fn send(&self, part: Part) {
        let mut answer = lock(&self.answer);
        let is_last = !matches!(part, Part::Data { last: false, .. });
        if let Answer::Begun(sender) = &*answer {
            // The connection may be gone.
            let _ = sender.send(part);
        }
        // Without a head, dropping the sender resets the stream.
        if is_last {
            *answer = Answer::Ended;
        }
    }
}

async fn accept(listener: TcpListener, arrivals: Arc<Mutex<Vec<Arc<Arrival>>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let arrivals = Arc::clone(&arrivals);
        connections.spawn(async move {
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http1().auto_date_header(false);
            server.http2().auto_date_header(false);
            let service = service_fn(move |request| arrive(request, Arc::clone(&arrivals)));
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn arrive(
    request: Request<Incoming>,
    arrivals: Arc<Mutex<Vec<Arc<Arrival>>>>,
) -> Result<Response<Parts>, io::Error> {
    let (head, body) = request.into_parts();
    let (sender, answer) = oneshot::channel();
    let arrival = Arrival { head, got: Mutex::default(), answer: Mutex::new(Answer::None(sender)) };
    let arrival = Arc::new(arrival);
    lock(&arrivals).push(Arc::clone(&arrival));
    tokio::spawn(read(body, arrival));
    answer.await.map_err(|_| io::Error::other("reset by the scenario"))
}

async fn read(mut body: Incoming, arrival: Arc<Arrival>) -> Result<(), Infallible> {
    loop {
        let frame = body.frame().await;
        let mut got = lock(&arrival.got);
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => got.body.extend(data),
                Err(frame) => got.trailers = frame.into_trailers().ok(),
            },
            Some(Err(_)) => {
                got.is_reset = true;
                return Ok(());
            }
            None => {
                got.is_whole = true;
                return Ok(());
            }
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
