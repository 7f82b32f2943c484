//! `/v1/status`: how the control plane is.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};

use super::auth::Authenticated;
use super::error::ApiError;
use super::filter::listed;
use super::model::{
    CertificateStatus, DiskSpace, LogSize, Moment, PortStatus, RefusedEdge, ServiceStatus, StatusListStatus,
    StreamStatus,
};
use super::openapi::PlainProblems;
use crate::auth::Caller;
use crate::edge;
use crate::inlets::Inlets;
use crate::log::Disk;
use crate::modules::Modules;
use crate::system::{Listening, System};
use crate::tls::TlsStatus;

/// Read how the control plane is
///
/// Its release, clock, disk, ports and certificate, the filters that it hands out, what it could not fetch, and the edges
/// that it has refused. Scope `read`.
#[utoipa::path(
    get, path = "/v1/status", operation_id = "read_status", tag = "operation",
    responses((status = 200, description = "How it is", body = ServiceStatus), PlainProblems),
)]
pub(super) async fn read(
    State(inlets): State<Inlets>,
    Authenticated(caller): Authenticated,
    Extension(system): Extension<Arc<System>>,
    Extension(modules): Extension<Arc<Modules>>,
) -> Result<Json<ServiceStatus>, ApiError> {
    let control = inlets.control();
    let counts = control.counts(&caller)?;
    let refused = control.refused_edges(&caller)?;
    let usage = system.usage().await;
    Ok(Json(ServiceStatus {
        release: env!("CARGO_PKG_VERSION").to_owned(),
        version: counts.version,
        now: Moment::from_millis(control.time_ms()),
        started_at: Moment::from_millis(system.started_ms),
        revocations: counts.revocations,
        edges: counts.edges,
        workers: counts.workers,
        heartbeat_ms: u64::try_from(system.heartbeat.as_millis()).unwrap_or(u64::MAX),
        log: LogSize { bytes: usage.log_bytes, max_bytes: system.log_max_bytes },
        disk: usage.disk.map(DiskSpace::from),
        ports: system.ports.iter().map(PortStatus::from).collect(),
        certificate: system.tls().map(CertificateStatus::from),
        filters: listed(&modules),
        streams: streams(&inlets, &caller),
        status_lists: status_lists(&inlets, &caller),
        refused_edges: refused.into_iter().map(RefusedEdge::from).collect(),
    }))
}

fn streams(inlets: &Inlets, caller: &Caller) -> Vec<StreamStatus> {
    let all = inlets.streams().iter();
    let permitted = all.filter(|stream| caller.principal.may_act_on(Some(&stream.settings.transmitter)));
    let told = permitted.map(|stream| {
        let live = stream.live();
        StreamStatus {
            name: stream.settings.name.clone(),
            status: live.said.map(|(status, _)| status),
            received_at: live.received_at_ms.map(Moment::from_millis),
            failure: live.failure,
        }
    });
    told.collect()
}

fn status_lists(inlets: &Inlets, caller: &Caller) -> Vec<StatusListStatus> {
    let permitted = inlets.status_lists().filter(|list| caller.principal.may_act_on(Some(&list.issuer)));
    permitted.map(|list| StatusListStatus { uri: list.uri, failure: list.failure }).collect()
}

impl From<edge::RefusedEdge> for RefusedEdge {
    fn from(edge: edge::RefusedEdge) -> Self {
        Self {
            peer: edge.peer.map(|peer| peer.to_canonical().to_string()),
            node: edge.node,
            filter_version: edge.filter_version,
            certificate: edge.certificate,
            reason: edge.reason.to_owned(),
            message: edge.message,
            count: edge.count,
            first: Moment::from_millis(edge.first_ms),
            last: Moment::from_millis(edge.last_ms),
        }
    }
}

impl From<Disk> for DiskSpace {
    fn from(disk: Disk) -> Self {
        Self { free_bytes: disk.free_bytes, total_bytes: disk.total_bytes }
    }
}

impl From<&Listening> for PortStatus {
    fn from(listening: &Listening) -> Self {
        Self {
            name: listening.port.name().to_owned(),
            address: listening.address.to_string(),
            tls: listening.tls,
        }
    }
}

impl From<TlsStatus> for CertificateStatus {
    fn from(status: TlsStatus) -> Self {
        Self {
            valid_from: Moment::from_millis(status.certificate.begins_ms()),
            valid_until: Moment::from_millis(status.certificate.expires_ms()),
            failure: status.failure.map(|error| error.to_string()),
        }
    }
}
