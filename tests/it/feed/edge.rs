//! A worker of an edge: core's set and core's protocol, over a gRPC stream.

use portcullis::edge::codec::Encoded;
use portcullis::edge::wire::edge_client::EdgeClient;
use portcullis_core::sync::{Progress, Sync};
use portcullis_core::wire::edge::edge_message::Message;
use portcullis_core::wire::edge::{EdgeMessage, Hello, Receipt, Rejections, SnapshotRequest};
use portcullis_testbed::ControlPlane;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::support::{ISSUER, lines};

/// A worker: what it has survives its streams.
pub(crate) struct Edge {
    pub(crate) sync: Sync,
    pub(crate) hello: Hello,
}

/// A stream to the control plane.
pub(crate) struct Link {
    pub(crate) to: mpsc::Sender<EdgeMessage>,
    pub(crate) from: Streaming<Encoded>,
}

/// What a worker was sent.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Traffic {
    pub(crate) snapshots: usize,
    pub(crate) changes: usize,
}

impl Edge {
    pub(crate) fn new(process: &str) -> Self {
        let hello = Hello {
            protocol: 1,
            node: format!("node-{process}"),
            process: process.into(),
            worker: format!("{process}-1"),
            filter_version: "test".into(),
            position: None,
            refused: None,
        };
        Self { sync: Sync::default(), hello }
    }

    /// Opens a stream with the environment's edge key and says hello.
    pub(crate) async fn connect(&mut self, plane: &ControlPlane) -> Link {
        let link = open(plane, Some(plane.edge_key())).await.unwrap();
        self.greet(&link).await;
        link
    }

    pub(crate) async fn greet(&mut self, link: &Link) {
        self.sync.restart();
        self.hello.position = self.sync.position();
        link.say(Message::Hello(self.hello.clone())).await;
    }

    /// Takes one message; answers a new version with a receipt.
    pub(crate) async fn take(&mut self, link: &mut Link) -> Result<Progress, Status> {
        let progress = self.take_silently(link).await?;
        if matches!(progress, Progress::Replaced | Progress::Changed { .. }) {
            link.say(Message::Receipt(self.receipt())).await;
        }
        Ok(progress)
    }

    /// Takes one message and says nothing.
    pub(crate) async fn take_silently(&mut self, link: &mut Link) -> Result<Progress, Status> {
        let Some(message) = link.from.message().await? else { return Err(Status::ok("the end")) };
        Ok(self.sync.receive(&message.0).unwrap())
    }

    pub(crate) fn receipt(&self) -> Receipt {
        let store = self.sync.store().unwrap();
        let (version, revocations) = (store.version, store.set.len() as u64);
        Receipt {
            version,
            digest: store.set.digest().into(),
            revocations,
            rejections: Vec::new(),
            ..Receipt::default()
        }
    }

    /// Takes what comes until a version is in force and confirmed.
    pub(crate) async fn reach(&mut self, link: &mut Link, version: u64) -> Traffic {
        let mut traffic = Traffic::default();
        loop {
            match self.take(link).await.unwrap() {
                Progress::Replaced => traffic.snapshots += 1,
                Progress::Changed { changes, .. } => traffic.changes += changes.len(),
                Progress::Confirmed => {}
                // A store that is being replaced still has its old version.
                Progress::Greeted { .. } | Progress::Part | Progress::Ignored => continue,
            }
            if self.sync.store().map(|store| store.version) == Some(version) {
                return traffic;
            }
        }
    }

    pub(crate) fn digest(&self) -> portcullis_core::Digest {
        self.sync.store().unwrap().set.digest()
    }
}

impl Link {
    pub(crate) async fn say(&self, message: Message) {
        // A stream that the control plane has ended shows that in what it says.
        let _ = self.to.send(EdgeMessage { message: Some(message) }).await;
    }

    pub(crate) async fn ask_for_snapshot(&self) {
        self.say(Message::SnapshotRequest(SnapshotRequest { reason: "a test".into() })).await;
    }

    /// The status that ends the stream.
    pub(crate) async fn end(&mut self) -> Status {
        loop {
            match self.from.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok(""),
                Err(status) => return status,
            }
        }
    }
}

pub(crate) fn rejections(code: &str, count: u64) -> Rejections {
    Rejections { code: code.into(), count, passed: false }
}

/// Opens a stream with that key.
pub(crate) async fn open(plane: &ControlPlane, key: Option<&str>) -> Result<Link, Status> {
    let (to, outbound) = mpsc::channel(64);
    let mut request = Request::new(ReceiverStream::new(outbound));
    if let Some(key) = key {
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    let from = EdgeClient::new(channel(plane).await).subscribe(request).await?.into_inner();
    Ok(Link { to, from })
}

async fn channel(plane: &ControlPlane) -> Channel {
    // As small as HTTP/2's own default, so that an edge that does not read is noticed early.
    let endpoint = Endpoint::from_shared(format!("http://{}", plane.edge_address())).unwrap();
    endpoint.initial_stream_window_size(65_535).connect().await.unwrap()
}

/// Revokes sessions `from..to` in one call and returns the version of the last.
pub(crate) async fn revoke(plane: &ControlPlane, sessions: std::ops::Range<u32>) -> u64 {
    let body: String = sessions
        .map(|sid| json!({"kind": "session", "issuer": ISSUER, "value": sid.to_string()}).to_string() + "\n")
        .collect();
    let call = plane.api().post("/v1/revocations/batch").bearer(plane.admin_key());
    let reply = call.header("content-type", "application/x-ndjson").body(body).send().await.unwrap();
    let results = lines(&reply.text());
    results.last().and_then(|line| line["version"].as_u64()).unwrap_or_else(|| panic!("{results:?}"))
}

/// The edges, as the API lists them.
pub(crate) async fn listed(plane: &ControlPlane) -> Vec<Value> {
    let reply = crate::support::get(plane, "/v1/edges").await;
    reply.json().unwrap()["edges"].as_array().unwrap().clone()
}
