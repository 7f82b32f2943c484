//! Requests one after another over a connection that stays open.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A client with one connection and one token, or none.
pub(crate) struct Probe {
    sender: SendRequest<Empty<Bytes>>,
    authorization: Option<String>,
}

impl Probe {
    /// What it asks for.
    pub(crate) const PATH: &str = "/probe";

    pub(crate) async fn connect(address: SocketAddr, token: Option<&str>) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Errors arrive at the request as well; it ends with the sender.
        tokio::spawn(connection);
        Ok(Self { sender, authorization: token.map(|token| format!("Bearer {token}")) })
    }

    /// The status of the answer, once it is whole.
    pub(crate) async fn ask(&mut self) -> Result<u16> {
        self.get(Self::PATH).await.map(|(status, _)| status)
    }

    /// The answer's status and body.
    pub(crate) async fn get(&mut self, path: &str) -> Result<(u16, Bytes)> {
        self.sender.ready().await?;
        let mut request = Request::get(path).header(header::HOST, "service");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let response = self.sender.send_request(request.body(Empty::new())?).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}
