//! A new Envoy at a control plane with a full set.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use portcullis_testbed::{ControlPlane, Envoy, Issuer};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::edge::{Probe, answering, with_portcullis};
use crate::plane::REVOKED;
use crate::stats::quantile;
use crate::system;

/// What a start looks like from outside.
pub(super) struct Seen {
    /// From getting through to the control plane until a revoked token is refused.
    pub(super) enforcing_ms: f64,
    /// Of requests that the filter does not check, one after another, on the same worker meanwhile.
    pub(super) p99_ms: f64,
    pub(super) worst_ms: f64,
    /// The longest turn of the worker's event loop meanwhile: what it was blocked for. The upper bound of Envoy's
    /// histogram's bucket, which is a tenth of its value wide at most.
    pub(super) block_ms: f64,
    /// What Envoy's memory has grown by, for each VM: the worker's, and that of the main thread.
    pub(super) bytes: f64,
}

/// VMs that hold the set in an Envoy with one worker.
const VMS: f64 = 2.0;
/// Envoy brings its histograms up to date so often.
const FLUSH: Duration = Duration::from_millis(500);
/// Until both VMs have the set, and what was used for loading is given back.
const SETTLED: Duration = Duration::from_secs(2);

/// Starts an Envoy and sends it a token of a revoked session: the filter holds the request until it has the set,
/// so the answer says when that is.
pub(super) async fn start(plane: &ControlPlane, issuer: &Issuer) -> Result<Seen> {
    let gate = Gate::open(plane.edge_address()).await?;
    let bootstrap = with_portcullis(answering(), plane, gate.address)?
        .plugin("startup", json!({ "hold": "10m", "then": "deny" }))
        .plugin("exempt", json!([Probe::PATH]))
        .edit(|config| {
            config["enable_dispatcher_stats"] = json!(true);
            config["stats_flush_interval"] = json!(format!("{}s", FLUSH.as_secs_f64()));
            Ok(())
        });
    let mut envoy = Envoy::start(bootstrap).await?;
    let pid = envoy.process().id().context("Envoy has ended")?;
    // What came before, making VMs above all, is no part of this.
    sleep(2 * FLUSH).await;
    let (before, resident) = (turns(&envoy).await?, system::resident_bytes(pid)?);
    gate.release();
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
    sleep(SETTLED.max(2 * FLUSH)).await;
    let mut since =
        turns(&envoy).await?.into_iter().filter(|(upper, count)| before.get(upper) != Some(count));
    let (longest_ns, _) = since.next_back().context("the worker's event loop has made no turn")?;
    #[expect(clippy::cast_precision_loss, reason = "2^53 bytes are more than there are")]
    let bytes = system::resident_bytes(pid)?.saturating_sub(resident) as f64 / VMS;
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of seconds")]
    let block_ms = longest_ns as f64 / 1e6;
    Ok(Seen {
        block_ms,
        bytes,
        enforcing_ms: held.saturating_duration_since(connected).as_secs_f64() * 1e3,
        p99_ms: quantile(&times, 0.99).context("no request was answered")?,
        worst_ms: quantile(&times, 1.0).context("no request was answered")?,
    })
}

/// How often the worker's event loop has made turns of so long: the upper bound of each bucket in nanoseconds, and how
/// many.
async fn turns(envoy: &Envoy) -> Result<BTreeMap<u64, u64>> {
    let path = "/stats?format=json&histogram_buckets=detailed&filter=worker_0.dispatcher.loop_duration_us";
    let stats: Value = serde_json::from_str(&envoy.admin_get(path).await?)?;
    let buckets = stats.pointer("/stats/0/histograms/details/0/totals").and_then(Value::as_array);
    let buckets = buckets.with_context(|| format!("Envoy tells no turns of its event loop: {stats}"))?;
    let number = |bucket: &Value, name: &str| {
        bucket.get(name).and_then(Value::as_f64).with_context(|| format!("no {name} in {bucket}"))
    };
    let bucket = |bucket: &Value| {
        let upper_us = number(bucket, "lower_bound")? + number(bucket, "width")?;
        let count = bucket.get("count").and_then(Value::as_u64).context("a bucket without a count")?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration")]
        Ok(((upper_us * 1e3).round() as u64, count))
    };
    buckets.iter().map(bucket).collect()
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

/// Stands between Envoy and the control plane, to say when Envoy gets through.
struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
    connected: watch::Receiver<Option<Instant>>,
    _accepting: JoinSet<()>,
}

impl Gate {
    async fn open(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
        let address = listener.local_addr()?;
        let (seen, connected) = watch::channel(None);
        let (open, opened) = watch::channel(false);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut from, _)) = listener.accept().await {
                let (mut opened, seen) = (opened.clone(), seen.clone());
                connections.spawn(async move {
                    let Ok(_) = opened.wait_for(|open| *open).await else { return };
                    seen.send_if_modified(|first| {
                        first.replace(first.unwrap_or_else(Instant::now)).is_none()
                    });
                    let Ok(mut to) = TcpStream::connect(to).await else { return };
                    let _ = (from.set_nodelay(true), to.set_nodelay(true));
                    // Either side may go away.
                    let _ = copy_bidirectional(&mut from, &mut to).await;
                });
            }
        });
        Ok(Self { address, open, connected, _accepting: accepting })
    }

    fn release(&self) {
        self.open.send_replace(true);
    }

    fn connected(&self) -> Option<Instant> {
        *self.connected.borrow()
    }
}
