//! The gRPC service: who may subscribe, and how many.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{Stream, stream};
use portcullis_core::Version;
use portcullis_core::wire::edge::EdgeMessage;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use tower::util::MapResponse;

use super::admission::admit;
use super::codec::Encoded;
use super::fanout::Fanout;
use super::hello::Said;
use super::outgoing::{self, Outgoing};
use super::peer::Peer;
use super::refusal::{Door, Refusal};
use super::refused::Refused;
use super::registry::Registry;
use super::session;
use super::sessions::Sessions;
use super::tried::Tries;
use super::wire::edge_server::{Edge, EdgeServer};
use crate::auth::{self, Principal};
use crate::clock::{Clock, UnixMillis};
use crate::config;
use crate::metrics::Metrics;
use crate::store::Store;

/// Longest message of an edge, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 * 1_024;
/// A connection that does not answer a ping for so long is dead.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Streams of one connection: an Envoy has one per worker and listener.
const STREAMS_PER_CONNECTION: u32 = 4_096;

/// What a session needs of the rest.
#[derive(Debug)]
pub struct Context {
    /// The set and its changes.
    pub store: Arc<Store>,
    /// Who is there.
    pub registry: Arc<Registry>,
    /// What revoked tokens have asked for.
    pub tries: Arc<Tries>,
    /// Who was not let in.
    pub refused: Arc<Refused>,
    /// The keys of the environment.
    pub keys: config::Keys,
    /// Time-outs and bounds.
    pub settings: config::Edge,
    /// The counters.
    pub metrics: Metrics,
    /// The time of day.
    pub clock: Clock,
    /// Ends every stream.
    pub stop: CancellationToken,
}

impl Context {
    /// Whether a key is still one; those of the environment always are.
    pub(super) fn knows(&self, principal: &Principal) -> bool {
        auth::is_of_configuration(principal)
            || self.store.read(|state| state.keys().contains_key(&principal.key_id))
    }

    /// Brings the gauges in line with the registry.
    pub(super) fn count(&self) {
        let (edges, workers) = self.registry.count();
        self.metrics.edges.set(i64::try_from(edges).unwrap_or(i64::MAX));
        self.metrics.workers.set(i64::try_from(workers).unwrap_or(i64::MAX));
    }

    /// A worker has said now that it enforces a version.
    pub(super) fn observe(&self, version: Version, now_ms: UnixMillis) {
        if let Some(accepted_at_ms) = self.store.accepted_at(version) {
            self.metrics.receipt(Duration::from_millis(now_ms.saturating_sub(accepted_at_ms)));
        }
    }
}

/// The service. Ends its streams when the context's `stop` is cancelled. Clones share its places.
#[derive(Clone, Debug)]
pub struct EdgeService {
    context: Arc<Context>,
    places: Arc<Semaphore>,
}

/// The service as one thread has it.
struct Local {
    service: EdgeService,
    sessions: Sessions,
    fanout: Fanout,
}

impl EdgeService {
    /// With as many places as the settings say.
    #[must_use]
    pub fn new(context: Context) -> Self {
        let places = Arc::new(Semaphore::new(context.settings.max_subscribers.min(Semaphore::MAX_PERMITS)));
        Self { context: Arc::new(context), places }
    }
}

#[tonic::async_trait]
impl Edge for Local {
    // What is sent is in the response's `Ready`.
    type SubscribeStream = stream::Empty<Result<Encoded, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<EdgeMessage>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let EdgeService { context, places } = &self.service;
        let peer = request.extensions().get::<Peer>().cloned();
        let door = Door::new(Arc::clone(context), peer.clone());
        let refuse = |refusal: Refusal| door.refuse(Said::default(), refusal);
        let admission = admit(context, request.metadata(), peer.as_ref()).map_err(refuse)?;
        peer.iter().for_each(Peer::admit);
        let place = Arc::clone(places).try_acquire_owned().map_err(|_| refuse(Refusal::Full))?;
        let (sender, outgoing) = outgoing::stream(context.settings.send_timeout);
        let (context, fanout) = (Arc::clone(context), self.fanout.clone());
        self.sessions.add(async move {
            session::run(context, fanout, admission, &door, request.into_inner(), sender).await;
            drop(place);
        });
        let mut response = Response::new(stream::empty());
        response.extensions_mut().insert(Ready(Arc::new(Mutex::new(Some(outgoing)))));
        Ok(response)
    }
}

/// The body of a response, on its way through the generated code. That would encode each message anew, for each stream
/// into a buffer of its own; these are encoded already.
#[derive(Clone)]
struct Ready(Arc<Mutex<Option<Outgoing>>>);

fn with_ready_body(mut response: hyper::Response<Body>) -> hyper::Response<Body> {
    let ready: Option<Ready> = response.extensions_mut().remove();
    match ready.and_then(|Ready(body)| body.lock().unwrap_or_else(PoisonError::into_inner).take()) {
        Some(outgoing) => response.map(|_| Body::new(outgoing)),
        None => response,
    }
}

/// Serves edges on the connections that come in until `stop` is done and the last stream has ended. Meant for a runtime
/// of one thread; there may be several.
///
/// # Errors
/// When the transport fails.
pub async fn serve<C>(
    incoming: impl Stream<Item = io::Result<C>>,
    service: EdgeService,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error>
where
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let fanout = Fanout::default();
    let (sessions, running) = Sessions::new();
    let running = tokio::spawn({
        let fanout = fanout.clone();
        async move {
            tokio::select! {
                () = running => {}
                never = fanout.run() => match never {},
            }
        }
    });
    // The only service, so there is nothing to route; a router would put two more layers around each body.
    let edges =
        EdgeServer::new(Local { service, sessions, fanout }).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let edges = MapResponse::new(edges, with_ready_body);
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(Some(STREAMS_PER_CONNECTION))
        .serve_with_incoming_shutdown(edges, incoming, stop)
        .await?;
    // Fails only if it panics, and that is in the log.
    let _ = running.await;
    Ok(())
}
