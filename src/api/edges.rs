//! `/v1/edges`: who enforces.

use axum::Json;
use axum::extract::State;

use super::auth::Authenticated;
use super::error::ApiError;
use super::model::{Edge, Edges, Moment, RefusedSet, Worker};
use super::openapi::PlainProblems;
use crate::control::{Control, EdgeStatus, WorkerStatus};

/// List edges
///
/// Each edge with its workers, the version that they enforce, and how far behind they are. Scope `read`.
#[utoipa::path(
    get, path = "/v1/edges", operation_id = "list_edges", tag = "operation",
    responses((status = 200, description = "The edges", body = Edges), PlainProblems),
)]
pub(super) async fn list(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
) -> Result<Json<Edges>, ApiError> {
    let edges = control.edges(&caller)?;
    Ok(Json(Edges { version: edges.version, edges: edges.edges.into_iter().map(Edge::from).collect() }))
}

impl From<EdgeStatus> for Edge {
    fn from(edge: EdgeStatus) -> Self {
        Self {
            node: edge.node,
            process: edge.process,
            filter_version: edge.filter_version,
            connected: edge.connected,
            version: edge.version,
            lag: edge.lag,
            last_contact: Moment::from_millis(edge.last_contact_ms),
            workers: edge.workers.into_iter().map(Worker::from).collect(),
        }
    }
}

impl From<WorkerStatus> for Worker {
    fn from(worker: WorkerStatus) -> Self {
        Self {
            worker: worker.worker,
            connected: worker.connected,
            version: worker.version,
            lag: worker.lag,
            revocations: worker.revocations,
            refused: worker.refused.map(|set| RefusedSet { revocations: set.revocations, limit: set.limit }),
            connected_since: Moment::from_millis(worker.connected_since_ms),
            last_contact: Moment::from_millis(worker.last_contact_ms),
            rejections: worker.rejections,
        }
    }
}
