//! NATS, core publish: as many subscribers as ours, over as many connections, for as many bytes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use portcullis_testbed::Process;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::needs;
use crate::stats::quantile;

const START: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(300);
/// There is no event for a file that appears.
const POLL: Duration = Duration::from_millis(5);
/// A free port, and no ping but the first.
const CONFIG: &str = "host: 127.0.0.1\nport: -1\nping_interval: \"10h\"\n";
const SUBJECT: &str = "revoked";
/// No answer to what is right.
const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

/// A server of its own, one publisher, and subscribers.
pub(super) struct Nats {
    publisher: OwnedWriteHalf,
    /// When each message arrived at each subscriber.
    arrivals: mpsc::UnboundedReceiver<Instant>,
    subscribers: usize,
    tasks: JoinSet<Result<()>>,
    pub(super) pid: u32,
    _process: Process,
    _dir: TempDir,
}

/// What the server writes into its directory for ports.
#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
}

impl Nats {
    pub(super) async fn start(subscribers: usize, connections: usize) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(needs::nats_server()?);
        let config = dir.path().join("nats.conf");
        fs::write(&config, CONFIG)?;
        command.arg("--config").arg(config).arg("--ports_file_dir").arg(dir.path());
        let mut process = Process::spawn("NATS", command)?;
        let found = async {
            loop {
                if let Some(address) = address(dir.path()) {
                    return Ok(address);
                }
                sleep(POLL).await;
            }
        };
        let address = process.while_alive(START, found).await?;
        let pid = process.id().context("NATS has ended")?;
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for connection in 0..connections {
            // The first connections have one more, if it does not come out even.
            let here = subscribers / connections + usize::from(connection < subscribers % connections);
            let (mut from, mut to) = connect(&address, here).await?;
            let arrived = arrived.clone();
            tasks.spawn(async move {
                loop {
                    take_message(&mut from, &mut to).await?;
                    // Whoever counts may have gone.
                    let _ = arrived.send(Instant::now());
                }
            });
        }
        let (mut from, publisher) = connect(&address, 0).await?;
        tasks.spawn(async move {
            let mut line = String::new();
            // A ping that is not answered does no harm before there are more of them, ten hours later.
            while from.read_line(&mut line).await? > 0 {
                ensure!(line == "PING\r\n", "NATS says {line}");
                line.clear();
            }
            bail!("NATS has closed the connection")
        });
        Ok(Self { publisher, arrivals, subscribers, tasks, pid, _process: process, _dir: dir })
    }

    /// Publishes messages of that many bytes, one after another; the median time to the last subscriber, in
    /// milliseconds.
    pub(super) async fn publish(&mut self, bytes: usize, count: u32) -> Result<f64> {
        let mut last = Vec::new();
        for _ in 0..count {
            last.push(self.send(bytes, 1).await?);
        }
        quantile(&last, 0.5).context("no message")
    }

    /// As many revocations as the burst of ours, in messages as large as ours are.
    pub(super) async fn burst(&mut self, revocations: usize) -> Result<f64> {
        const PER_MESSAGE: usize = 2_500;
        // A key without a cut-off, as edges are sent it.
        const BYTES: usize = 11;
        self.send(PER_MESSAGE * BYTES, revocations / PER_MESSAGE).await
    }

    async fn send(&mut self, bytes: usize, count: usize) -> Result<f64> {
        let mut message = format!("PUB {SUBJECT} {bytes}\r\n").into_bytes();
        message.resize(message.len() + bytes, b'x');
        message.extend(b"\r\n");
        let start = Instant::now();
        self.publisher.write_all(&message.repeat(count)).await?;
        let mut end = start;
        let all = async {
            let mut left = self.subscribers * count;
            while left > 0 {
                tokio::select! {
                    Some(at) = self.arrivals.recv() => {
                        end = end.max(at);
                        left -= 1;
                    }
                    Some(ended) = self.tasks.join_next() => ended?.context("a subscriber has ended")?,
                }
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, all).await.context("NATS did not deliver everything")??;
        Ok((end - start).as_secs_f64() * 1e3)
    }
}

fn address(dir: &Path) -> Option<String> {
    let file = fs::read_dir(dir)
        .ok()?
        .flatten()
        .find(|file| file.path().extension().is_some_and(|end| end == "ports"))?;
    let ports: Ports = serde_json::from_slice(&fs::read(file.path()).ok()?).ok()?;
    ports.nats.first()?.strip_prefix("nats://").map(str::to_owned)
}

/// Connects, subscribes so many times, and waits until the server has taken that in.
async fn connect(address: &str, subscriptions: usize) -> Result<(BufReader<OwnedReadHalf>, OwnedWriteHalf)> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::with_capacity(64 * 1_024, from);
    let mut line = String::new();
    from.read_line(&mut line).await?;
    ensure!(line.starts_with("INFO "), "not a NATS server: {line}");
    let mut hello = CONNECT.to_owned();
    for number in 1..=subscriptions {
        hello += &format!("SUB {SUBJECT} {number}\r\n");
    }
    hello += "PING\r\n";
    to.write_all(hello.as_bytes()).await?;
    line.clear();
    from.read_line(&mut line).await?;
    ensure!(line == "PONG\r\n", "NATS says {line}");
    Ok((from, to))
}

/// The next message: `MSG SUBJECT NUMBER BYTES`, then the bytes.
async fn take_message(from: &mut BufReader<OwnedReadHalf>, to: &mut OwnedWriteHalf) -> Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        from.read_until(b'\n', &mut line).await?;
        if line != b"PING\r\n" {
            break;
        }
        to.write_all(b"PONG\r\n").await?;
    }
    let text = std::str::from_utf8(&line)?.trim_end();
    ensure!(text.starts_with("MSG "), "NATS says {text}");
    let bytes: u64 = text.rsplit(' ').next().unwrap_or_default().parse()?;
    tokio::io::copy(&mut from.take(bytes + 2), &mut tokio::io::sink()).await?;
    Ok(())
}
