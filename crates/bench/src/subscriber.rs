//! Simulated workers of edges: many streams over some connections, which take in what they are sent without
//! keeping a set.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portcullis::edge::codec::Encoded;
use portcullis::edge::wire::edge_client::EdgeClient;
use portcullis_core::Version;
use portcullis_core::wire::edge::control_message::Message;
use portcullis_core::wire::edge::edge_message::Message as Said;
use portcullis_core::wire::edge::{ControlMessage, Delta, EdgeMessage, Hello, Receipt};
use portcullis_testbed::ControlPlane;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

/// Bytes before each message of a gRPC stream.
const FRAME_HEADER: usize = 5;
/// As much as Envoy takes on a stream before the reader has read it, and for a connection.
const STREAM_WINDOW: u32 = 256 * 1_024;
const CONNECTION_WINDOW: u32 = 16 * 1_024 * 1_024;

/// Until as many as there are have subscribed.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a subscriber has seen: all changes up to a version are there.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    version: Version,
    at: Instant,
    /// Of the message that completed it.
    bytes: usize,
}

/// Subscribers, whose streams end when this is dropped.
#[derive(Debug)]
pub(crate) struct Subscribers {
    pub(crate) count: usize,
    /// Of the last message of the version that was waited for last.
    pub(crate) last_bytes: usize,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    /// Whether a receipt is sent for each version.
    pub(crate) receipts: watch::Sender<bool>,
    tasks: JoinSet<Result<()>>,
}

impl Subscribers {
    /// Connects so many over so many connections, and waits until each has the set of a version.
    pub(crate) async fn connect(
        plane: &ControlPlane,
        count: usize,
        connections: usize,
        version: Version,
    ) -> Result<Self> {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let receipts = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let mut channels = Vec::new();
        for _ in 0..connections {
            channels.push(channel(plane).await?);
        }
        for (number, channel) in channels.iter().cycle().take(count).enumerate() {
            let (channel, key) = (channel.clone(), plane.edge_key());
            let (arrived, receipts) = (arrived.clone(), receipts.subscribe());
            tasks.spawn(async move {
                let mut stream = Stream::open(channel, key, number).await?;
                loop {
                    let (version, digest) = stream.next_version().await?;
                    // Whoever counts may have gone.
                    let _ = arrived.send(Arrival { version, at: Instant::now(), bytes: stream.last_bytes });
                    if *receipts.borrow() {
                        stream.confirm(version, digest).await?;
                    }
                }
            });
        }
        let mut subscribers = Self { count, last_bytes: 0, arrivals, receipts, tasks };
        subscribers.all_at(version, PATIENCE).await.context("subscribing")?;
        Ok(subscribers)
    }

    /// Waits until every subscriber has a version, and gives when each had it.
    pub(crate) async fn all_at(&mut self, version: Version, within: Duration) -> Result<Vec<Instant>> {
        let mut times = Vec::with_capacity(self.count);
        let all = async {
            while times.len() < self.count {
                let arrival = tokio::select! {
                    Some(arrival) = self.arrivals.recv() => arrival,
                    Some(ended) = self.tasks.join_next() => {
                        ended?.context("a subscriber has ended")?;
                        continue;
                    }
                };
                // A stream says each version once, so each counts once.
                if arrival.version == version {
                    times.push(arrival.at);
                    self.last_bytes = arrival.bytes;
                }
            }
            anyhow::Ok(())
        };
        let outcome = timeout(within, all).await;
        ensure!(outcome.is_ok(), "only {} of {} subscribers have version {version}", times.len(), self.count);
        outcome??;
        Ok(times)
    }
}

/// What one new subscriber was sent to hold the whole set, in bytes of gRPC messages.
pub(crate) async fn snapshot_bytes(plane: &ControlPlane) -> Result<usize> {
    let mut stream = Stream::open(channel(plane).await?, plane.edge_key(), 0).await?;
    stream.next_version().await?;
    Ok(stream.bytes)
}

async fn channel(plane: &ControlPlane) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", plane.edge_address()))?
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    endpoint.connect().await.context("cannot connect to the control plane")
}

struct Stream {
    to: mpsc::Sender<EdgeMessage>,
    from: Streaming<Encoded>,
    /// All messages so far, with their frames, and the last one without.
    bytes: usize,
    last_bytes: usize,
    /// Where the log stood when the stream began: until then nothing is in force.
    current: Option<Version>,
}

impl Stream {
    async fn open(channel: Channel, key: &str, number: usize) -> Result<Self> {
        let (to, outbound) = mpsc::channel(4);
        let hello = Hello {
            protocol: 1,
            node: format!("simulated-{number}"),
            process: format!("simulated-{number}"),
            worker: format!("simulated-{number}"),
            filter_version: "bench".into(),
            position: None,
            refused: None,
        };
        to.send(EdgeMessage { message: Some(Said::Hello(hello)) }).await?;
        let mut request = Request::new(ReceiverStream::new(outbound));
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse()?);
        let from = EdgeClient::new(channel).subscribe(request).await?.into_inner();
        Ok(Self { to, from, bytes: 0, last_bytes: 0, current: None })
    }

    /// Waits until everything up to a later version has come.
    async fn next_version(&mut self) -> Result<(Version, Vec<u8>)> {
        loop {
            let Encoded(bytes) = self.from.message().await?.context("the control plane ended the stream")?;
            self.last_bytes = bytes.len();
            self.bytes += bytes.len() + FRAME_HEADER;
            let message = ControlMessage::decode(bytes)?.message.context("an empty message")?;
            match message {
                Message::Header(header) => {
                    self.current = Some(header.snapshot.map_or(0, |snapshot| snapshot.current));
                }
                // More parts follow one without a digest.
                Message::Delta(Delta { to_version, digest, .. }) if !digest.is_empty() => {
                    if self.current.take().is_none_or(|current| current <= to_version) {
                        return Ok((to_version, digest));
                    }
                }
                // The first one follows the snapshot.
                Message::Heartbeat(heartbeat) if self.current.take().is_some() => {
                    return Ok((heartbeat.version, heartbeat.digest));
                }
                Message::Delta(_) | Message::Chunk(_) | Message::Heartbeat(_) => {}
            }
        }
    }

    async fn confirm(&self, version: Version, digest: Vec<u8>) -> Result<()> {
        let receipt =
            Receipt { version, digest, revocations: 0, rejections: Vec::new(), ..Receipt::default() };
        self.to.send(EdgeMessage { message: Some(Said::Receipt(receipt)) }).await?;
        Ok(())
    }
}
