//! Edges that have come to the HTTP port: both ends are told so, since neither could guess it from a 404.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, post};
use axum::{Extension, Router};
use portcullis_core::wire::{METHOD, SERVICE};
use tokio::time::Instant;
use tracing::warn;

use crate::inlets::Peer;
use crate::quiet::Quiet;

/// UNIMPLEMENTED, <https://grpc.io/docs/guides/status-codes/>.
const STATUS: &str = "12";
const MESSAGE: &str =
    "this is the HTTP port of the control plane: edges belong at its edge port, 8471 by default";

/// The route that edges ask for, where it is not served.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let answer: MethodRouter<Arc<Quiet<()>>> = post(tell);
    Router::new().route(&format!("/{SERVICE}/{METHOD}"), answer.with_state(Arc::default()))
}

async fn tell(State(told): State<Arc<Quiet<()>>>, peer: Option<Extension<Peer>>) -> impl IntoResponse {
    let Peer(peer) = peer.map(|Extension(peer)| peer).unwrap_or_default();
    if told.is_due(Some(peer), (), Instant::now()) {
        warn!(
            %peer,
            "an edge has come to the HTTP port: its cluster must lead to the edge port (listen.edge, 8471 by default)"
        );
    }
    [(CONTENT_TYPE.as_str(), "application/grpc"), ("grpc-status", STATUS), ("grpc-message", MESSAGE)]
}
