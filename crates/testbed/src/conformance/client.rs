//! A client of one exchange, over a connection of its own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy_wasm_harness::scenario::{self, End, Header};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::body::{self, Part, Parts, Sender};
use super::server::lock;

/// A request that was sent, and what came back so far.
pub(super) struct Exchange {
    pub(super) local: SocketAddr,
    pub(super) path: String,
    parts: Sender,
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<JoinHandle<()>>,
    /// The same connection once more, to be closed under whoever speaks over it.
    connection: std::net::TcpStream,
}

/// The answer so far.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Seen {
    pub(super) status: Option<u16>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) end: End,
}

impl Exchange {
    /// Sends the request, as far as it goes for now.
    pub(super) async fn send(stream: TcpStream, request: &scenario::Request) -> Result<Self> {
        let local = stream.local_addr()?;
        let stream = stream.into_std()?;
        let connection = stream.try_clone()?;
        let stream = TcpStream::from_std(stream)?;
        let has_more = request.body.is_some() || request.trailers.is_some() || request.open;
        let (parts, body) = body::channel();
        let body = if has_more { body } else { body::none() };
        if let Some(bytes) = &request.body {
            let last = request.trailers.is_none() && !request.open;
            let _ = parts.send(Part::Data { bytes: bytes.0.clone().into(), last });
        }
        if let Some(trailers) = &request.trailers {
            let _ = parts.send(Part::Trailers(header_map(trailers)?));
        }
        let message = message(request, body)?;
        let seen = Arc::<Mutex<Seen>>::default();
        let io = TokioIo::new(stream);
        let mut tasks = Vec::new();
        // Errors of a connection arrive at its request as well.
        if request.http == 1 {
            let (mut sender, connection) = http1::handshake(io).await?;
            tasks.push(tokio::spawn(async { drop(connection.await) }));
            let seen = Arc::clone(&seen);
            tasks.push(tokio::spawn(async move {
                // Dropping the sender would close the connection.
                let response = sender.send_request(message).await;
                read(response, &seen).await;
                drop(sender);
            }));
        } else {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tasks.push(tokio::spawn(async { drop(connection.await) }));
            let seen = Arc::clone(&seen);
            tasks.push(tokio::spawn(async move {
                let response = sender.send_request(message).await;
                read(response, &seen).await;
                drop(sender);
            }));
        }
        Ok(Self { local, path: request.path.clone(), parts, seen, tasks, connection })
    }

    /// Goes on with the request.
    pub(super) fn send_part(&self, part: Part) {
        // The connection may be gone.
        let _ = self.parts.send(part);
    }

    pub(super) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// Closes the connection.
    pub(super) fn disconnect(&self) {
        let mut seen = lock(&self.seen);
        if seen.end == End::Open {
            seen.end = End::Gone;
        }
        // It may be closed already.
        let _ = self.connection.shutdown(std::net::Shutdown::Both);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn read(response: hyper::Result<Response<Incoming>>, seen: &Mutex<Seen>) {
    let Ok(response) = response else {
        let mut seen = lock(seen);
        if seen.end == End::Open {
            seen.end = End::Cut;
        }
        return;
    };
    let (head, mut body) = response.into_parts();
    {
        let mut seen = lock(seen);
        seen.status = Some(head.status.as_u16());
        seen.headers = head.headers;
    }
    loop {
        let frame = body.frame().await;
        let mut seen = lock(seen);
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => seen.body.extend(data),
                Err(frame) => seen.trailers = frame.into_trailers().ok(),
            },
            // A client that has gone away has seen the end.
            _ if seen.end != End::Open => return,
            Some(Err(_)) => seen.end = End::Cut,
            None => seen.end = End::Complete,
        }
    }
}

/// HTTP/1.1 has the authority in a header, HTTP/2 in the address.
fn message(request: &scenario::Request, body: Parts) -> Result<Request<Parts>> {
    let headers = request.all_headers();
    let authority = headers.iter().find(|header| header.name == ":authority").map(|header| &header.value);
    let authority = authority.context("a request has an authority")?;
    let mut builder = Request::builder().method(request.method.as_str());
    builder = if request.http == 1 {
        builder.uri(&request.path).header("host", authority)
    } else {
        builder.uri(format!("http://{authority}{}", request.path))
    };
    for header in headers.iter().filter(|header| !header.name.starts_with(':')) {
        builder = builder.header(&header.name, HeaderValue::from_bytes(header.value.as_bytes())?);
    }
    Ok(builder.body(body)?)
}

pub(super) fn header_map(headers: &[Header]) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for header in headers {
        let name = HeaderName::try_from(&header.name).with_context(|| format!("`{}`", header.name))?;
        map.append(name, HeaderValue::from_bytes(header.value.as_bytes())?);
    }
    Ok(map)
}
