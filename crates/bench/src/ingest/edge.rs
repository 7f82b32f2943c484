//! A new Envoy at a control plane with a full set.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use portcullis_testbed::{ControlPlane, Envoy, Issuer};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::edge::{Probe, answering, with_portcullis};
use crate::plane::REVOKED;
use crate::stats::quantile;

/// What a start looks like from outside.
pub(super) struct Seen {
    /// From the connection to the control plane until a revoked token is refused.
    pub(super) enforcing_ms: f64,
    /// Of requests that the filter does not check, one after another, on the same worker meanwhile.
    pub(super) p99_ms: f64,
    pub(super) worst_ms: f64,
}

/// Starts an Envoy and sends it a token of a revoked session: the filter holds the request until it has the set,
/// so the answer says when that is.
pub(super) async fn start(plane: &ControlPlane, issuer: &Issuer) -> Result<Seen> {
    let gate = Gate::open(plane.edge_address()).await?;
    let bootstrap = with_portcullis(answering(), plane, gate.address)?
        .plugin("startup", json!({ "hold": "10m", "then": "deny" }))
        .plugin("exempt", json!([Probe::PATH]));
    let envoy = Envoy::start(bootstrap).await?;
    let revoked = issuer.token().sid(&format!("{REVOKED}-0")).sign()?;

    let (done, mut ended) = watch::channel(false);
    let address = envoy.address();
    let probe = tokio::spawn(async move {
        let mut probe = Probe::connect(address, None).await?;
        let mut times = Vec::new();
        while !*ended.borrow_and_update() {
            let start = Instant::now();
            let status = probe.ask().await?;
            ensure!(status == 200, "an exempt request got {status}");
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        anyhow::Ok(times)
    });
    let held = held(address, &revoked).await?;
    done.send_replace(true);
    let times = probe.await??;
    let connected = gate.connected().context("Envoy did not connect to the control plane")?;
    Ok(Seen {
        enforcing_ms: held.saturating_duration_since(connected).as_secs_f64() * 1e3,
        p99_ms: quantile(&times, 0.99).context("no request was answered")?,
        worst_ms: quantile(&times, 1.0).context("no request was answered")?,
    })
}

/// When a request with a revoked token is refused.
async fn held(address: SocketAddr, token: &str) -> Result<Instant> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/")
        .header(header::HOST, "service")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let at = Instant::now();
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&body);
    ensure!(status == 401 && text.contains("session_revoked"), "the held request got {status}: {text}");
    Ok(at)
}

/// Stands between Envoy and the control plane, to see when Envoy connects.
struct Gate {
    address: SocketAddr,
    connected: watch::Receiver<Option<Instant>>,
    _accepting: JoinSet<()>,
}

impl Gate {
    async fn open(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
        let address = listener.local_addr()?;
        let (seen, connected) = watch::channel(None);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut from, _)) = listener.accept().await {
                seen.send_if_modified(|first| first.replace(first.unwrap_or_else(Instant::now)).is_none());
                connections.spawn(async move {
                    let Ok(mut to) = TcpStream::connect(to).await else { return };
                    let _ = (from.set_nodelay(true), to.set_nodelay(true));
                    // Either side may go away.
                    let _ = copy_bidirectional(&mut from, &mut to).await;
                });
            }
        });
        Ok(Self { address, connected, _accepting: accepting })
    }

    fn connected(&self) -> Option<Instant> {
        *self.connected.borrow()
    }
}
