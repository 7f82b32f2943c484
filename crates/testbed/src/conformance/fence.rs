//! Waiting until every thread of an Envoy has done what it had to do.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use axum::http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// One connection to each worker, by a listener that balances them and has no filter.
pub(super) struct Fence {
    workers: Vec<SendRequest<Empty<Bytes>>>,
    connections: Vec<JoinHandle<()>>,
}

impl Fence {
    pub(super) async fn new(address: SocketAddr, workers: usize) -> Result<Self> {
        let mut fence = Self { workers: Vec::new(), connections: Vec::new() };
        for _ in 0..workers {
            let stream = TcpStream::connect(address).await.context("cannot reach the fence")?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            fence.connections.push(tokio::spawn(async { drop(connection.await) }));
            // The next connection goes to another worker only if this one is known to be there.
            ask(&mut sender).await?;
            fence.workers.push(sender);
        }
        Ok(fence)
    }

    /// Comes back when every worker has dealt with what has reached it before.
    pub(super) async fn pass(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            ask(worker).await?;
        }
        Ok(())
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.connections.iter().for_each(JoinHandle::abort);
    }
}

async fn ask(worker: &mut SendRequest<Empty<Bytes>>) -> Result<()> {
    let request = Request::builder().uri("/").header("host", "fence").body(Empty::new())?;
    let response = worker.send_request(request).await.context("the fence does not answer")?;
    response.into_body().collect().await.context("the fence does not answer")?;
    Ok(())
}
