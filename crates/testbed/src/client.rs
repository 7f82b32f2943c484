//! An HTTP client for tests: one connection per request, and streams whose end is an event.

mod reply;
mod socket;
mod stream;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use reply::Reply;
pub use socket::WebSocket;
pub use stream::{End, How, Stream};

/// Long enough for a busy machine, short enough for a person who waits for the failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// Talks to one address, in one version of HTTP, always over a new connection: with several workers in an
/// Envoy, requests meet all of them.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    address: SocketAddr,
    version: Version,
}

#[derive(Clone, Copy, Debug)]
enum Version {
    Http1,
    Http2,
}

impl Client {
    /// Speaks HTTP/1.1.
    #[must_use]
    pub fn http1(address: SocketAddr) -> Self {
        Self { address, version: Version::Http1 }
    }

    /// Speaks HTTP/2 without TLS or upgrade (h2c with prior knowledge).
    #[must_use]
    pub fn http2(address: SocketAddr) -> Self {
        Self { address, version: Version::Http2 }
    }

    /// Where it speaks to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A GET request.
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// A POST request.
    pub fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    /// A request with another method.
    pub fn call(&self, method: Method, path: &str) -> Call {
        Call { client: *self, method, path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }
}

/// A request to be sent.
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Call {
    client: Client,
    method: Method,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
}

impl Call {
    /// Adds a header; one that is there already is sent twice.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Presents a token as `Authorization: Bearer`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// What the request carries.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Carries JSON.
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Sends it and takes the whole answer.
    ///
    /// # Errors
    ///
    /// If there is no answer, or no end of it.
    pub async fn send(self) -> Result<Reply> {
        let what = format!("{} {}", self.method, self.path);
        let answer = async {
            let (response, _connection) = self.start().await?;
            Reply::collect(response).await
        };
        let answer = timeout(PATIENCE, answer).await;
        answer.unwrap_or_else(|_| bail!("no answer within {PATIENCE:?}")).with_context(|| what)
    }

    /// Sends it and gives the answer as soon as its headers are there; the body is read as it comes.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn open(self) -> Result<Stream> {
        let what = format!("{} {}", self.method, self.path);
        let (response, connection) = timeout(PATIENCE, self.start())
            .await
            .unwrap_or_else(|_| bail!("no answer within {PATIENCE:?}"))
            .with_context(|| what)?;
        Ok(Stream::read(response, connection))
    }

    /// Opens a WebSocket; the inner result is the answer of a server that refuses.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn websocket(self) -> Result<std::result::Result<WebSocket, Reply>> {
        let what = format!("WebSocket {}", self.path);
        let opened = timeout(PATIENCE, socket::open(self)).await;
        opened.unwrap_or_else(|_| bail!("no answer within {PATIENCE:?}")).with_context(|| what)
    }

    async fn start(self) -> Result<(Response<Incoming>, Connection)> {
        let io = TokioIo::new(self.connect().await?);
        let version = self.client.version;
        let request = self.request(version)?;
        match version {
            Version::Http1 => {
                let (mut sender, connection) = http1::handshake(io).await?;
                let connection = Connection(tokio::spawn(async move {
                    // Errors arrive at the request as well.
                    let _ = connection.await;
                }));
                Ok((sender.send_request(request).await?, connection))
            }
            Version::Http2 => {
                let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                let connection = Connection(tokio::spawn(async move {
                    let _ = connection.await;
                }));
                Ok((sender.send_request(request).await?, connection))
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream> {
        let address = self.client.address;
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// HTTP/1.1 sends the path and a `host` header, HTTP/2 puts both into pseudo-headers.
    fn request(self, version: Version) -> Result<Request<Full<Bytes>>> {
        let authority = self.client.address.to_string();
        let mut request = match version {
            Version::Http1 => Request::builder().uri(self.path).header(header::HOST, authority),
            Version::Http2 => Request::builder().uri(format!("http://{authority}{}", self.path)),
        };
        for (name, value) in self.headers {
            let value = HeaderValue::from_bytes(&value).with_context(|| format!("the value of `{name}`"))?;
            request = request.header(HeaderName::try_from(name)?, value);
        }
        Ok(request.method(self.method).body(Full::new(self.body))?)
    }
}

/// The task that moves a connection's bytes; the connection closes when this is dropped.
#[derive(Debug)]
pub(crate) struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}
