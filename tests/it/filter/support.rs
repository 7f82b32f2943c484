//! A filter in the harness with a control plane that the test plays.

use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::ledger::Live;
use portcullis_core::wire::edge::control_message::Message as Control;
use portcullis_core::wire::edge::edge_message::Message as Edge;
use portcullis_core::wire::edge::{self, ControlMessage, EdgeMessage};
use portcullis_core::{Change, Cutoff, HashKey, Ledger, Selector, Shape};
use prost::Message;
use proxy_wasm_harness::{
    Builder, Cluster, Envoy, Exchange, GrpcStream, Module, RequestBuilder, artifact, json,
};

pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const HEARTBEAT_MS: u32 = 1_000;
/// When the tests' tokens are issued, Unix seconds.
pub(crate) const IAT: u64 = 1_800_000_000;

/// The filter as it ships.
pub(crate) fn wasm() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/filters/revocation");
    let build =
        || artifact::Build::new(dir).profile("wasm").unless_given_in("PORTCULLIS_FILTER").run().unwrap();
    BYTES.get_or_init(build)
}

/// The same, compiled once for all tests.
pub(crate) fn module() -> Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    MODULE.get_or_init(|| Module::from_bytes(wasm()).unwrap()).clone()
}

/// An Envoy with the filter in it, not started; `rest` is further configuration, with a leading comma.
pub(crate) fn builder(rest: &str) -> Builder {
    let config = format!(r#"{{"control_plane":{{"cluster":"portcullis","token":"edge-key"}}{rest}}}"#);
    Envoy::builder(&module())
        .plugin_config(config)
        .workers(1)
        .property(&["xds", "node", "id"], json!("edge-1"))
        .cluster("portcullis", Cluster::healthy())
}

/// A started filter that has opened its stream and heard nothing yet.
pub(crate) fn connected(rest: &str) -> (Envoy, GrpcStream) {
    let envoy = builder(rest).start().unwrap();
    let stream = connect(&envoy);
    (envoy, stream)
}

/// The stream that the first worker opens within a tick or two.
#[track_caller]
pub(crate) fn connect(envoy: &Envoy) -> GrpcStream {
    for _ in 0..400 {
        let open = envoy.worker(0).grpc_streams().into_iter().find(GrpcStream::is_open);
        if let Some(stream) = open {
            return stream;
        }
        envoy.advance(Duration::from_millis(50));
    }
    panic!("no stream: {:?}", envoy.logs());
}

/// A started filter that enforces what the plane holds.
pub(crate) fn synced(rest: &str, plane: &Plane) -> (Envoy, GrpcStream) {
    let (envoy, stream) = connected(rest);
    plane.send_snapshot(&stream);
    (envoy, stream)
}

/// What a worker has said since the last call.
pub(crate) fn sent(stream: &GrpcStream) -> Vec<Edge> {
    let decode = |bytes: Vec<u8>| EdgeMessage::decode(bytes.as_slice()).unwrap().message.unwrap();
    stream.take_sent().into_iter().map(decode).collect()
}

/// The only thing that a worker has said since the last call.
#[track_caller]
pub(crate) fn said(stream: &GrpcStream) -> Edge {
    let [message]: [Edge; 1] = sent(stream).try_into().unwrap();
    message
}

/// A JWT with these claims; nobody verifies its signature here.
pub(crate) fn jwt(payload: &serde_json::Value) -> String {
    raw_jwt(&payload.to_string())
}

pub(crate) fn raw_jwt(payload: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.c2lnbmF0dXJl", encode(r#"{"alg":"RS256","kid":"k1"}"#), encode(payload))
}

/// A token of alice's session `sid`, issued at [`IAT`].
pub(crate) fn session(sid: &str) -> String {
    jwt(&json!({"iss": ISSUER, "sub": "alice", "sid": sid, "jti": format!("{sid}-1"), "iat": IAT}))
}

pub(crate) trait Authorized {
    /// With a bearer token.
    fn bearer(self, token: &str) -> Self;
}

impl Authorized for RequestBuilder {
    fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }
}

/// The code in the reply's body.
pub(crate) fn code(exchange: &Exchange) -> Option<String> {
    let reply = exchange.reply()?;
    let body: serde_json::Value = serde_json::from_str(&reply.text()).ok()?;
    body.get("code")?.as_str().map(Into::into)
}

/// A control plane: a ledger, and the messages that it leads to.
pub(crate) struct Plane {
    pub(crate) ledger: Ledger,
    shapes: Vec<Shape>,
    pub(crate) version: u64,
    store_id: u8,
}

impl Plane {
    pub(crate) fn new() -> Self {
        Self { ledger: Ledger::default(), shapes: Vec::new(), version: 0, store_id: 1 }
    }

    /// The same with another identity.
    pub(crate) fn other_store(mut self) -> Self {
        self.store_id = 2;
        self
    }

    pub(crate) fn hash_key(&self) -> HashKey {
        HashKey::new([self.store_id; 16])
    }

    /// Revokes, and returns the delta.
    pub(crate) fn revoke(&mut self, selector: &Selector, cutoff: Cutoff) -> edge::Delta {
        let mut delta = self.delta();
        if !self.shapes.contains(selector.shape()) {
            self.shapes.push(selector.shape().clone());
            delta.shapes.push(selector.shape().into());
        }
        let live = Live { key: selector.hash(&self.hash_key()), cutoff, expires_at: None, reinstated: false };
        let change = self.ledger.revoke(self.version, live);
        self.finish(delta, change)
    }

    pub(crate) fn revoke_session(&mut self, sid: &str) -> edge::Delta {
        self.revoke(&Selector::session(ISSUER, sid).unwrap(), Cutoff::Always)
    }

    /// Undoes what was revoked at a version.
    pub(crate) fn undo(&mut self, version: u64) -> edge::Delta {
        let delta = self.delta();
        let change = self.ledger.undo(version);
        self.finish(delta, change)
    }

    fn delta(&mut self) -> edge::Delta {
        self.version += 1;
        edge::Delta { from_version: self.version - 1, to_version: self.version, ..Default::default() }
    }

    fn finish(&self, mut delta: edge::Delta, change: Option<Change>) -> edge::Delta {
        change.into_iter().for_each(|change| delta.push(change));
        delta.digest = self.ledger.set().digest().into();
        delta
    }

    pub(crate) fn header(&self) -> edge::Header {
        edge::Header {
            store_id: vec![self.store_id; 16],
            hash_key: self.hash_key().bytes().to_vec(),
            shapes: self.shapes.iter().map(Into::into).collect(),
            heartbeat_ms: HEARTBEAT_MS,
            snapshot: None,
        }
    }

    /// Header and chunks of the whole set, `per_chunk` entries each.
    pub(crate) fn snapshot(&self, per_chunk: usize) -> Vec<Control> {
        let set = self.ledger.set();
        let info = edge::SnapshotInfo {
            version: self.version,
            entries: set.len() as u64,
            digest: set.digest().into(),
            current: self.version,
        };
        let chunks = edge::Pages::of(set, per_chunk);
        let last = chunks.len() - 1;
        let chunks = chunks.into_iter().enumerate().map(|(index, pages)| {
            Control::Chunk(edge::SnapshotChunk {
                index: u32::try_from(index).unwrap(),
                pages: Some(pages),
                last: index == last,
            })
        });
        [Control::Header(edge::Header { snapshot: Some(info), ..self.header() })]
            .into_iter()
            .chain(chunks)
            .collect()
    }

    /// A message of an older snapshot, as it is sent now: the header says what must follow.
    pub(crate) fn as_of_now(&self, message: Control) -> Control {
        let Control::Header(mut header) = message else { return message };
        header.snapshot.iter_mut().for_each(|info| info.current = self.version);
        Control::Header(header)
    }

    pub(crate) fn send_snapshot(&self, stream: &GrpcStream) {
        self.snapshot(100).into_iter().for_each(|message| send(stream, message));
    }

    pub(crate) fn heartbeat(&self) -> Control {
        let digest = self.ledger.set().digest().into();
        Control::Heartbeat(edge::Heartbeat { version: self.version, digest })
    }
}

pub(crate) fn send(stream: &GrpcStream, message: Control) {
    stream.send(ControlMessage { message: Some(message) }.encode_to_vec());
}

pub(crate) fn send_delta(stream: &GrpcStream, delta: edge::Delta) {
    send(stream, Control::Delta(delta));
}
