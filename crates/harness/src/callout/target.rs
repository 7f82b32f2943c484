//! Where a gRPC call goes.

use crate::header_map::HeaderMap;
use crate::state::VmState;
use crate::status::Status;
use crate::violation::Rule;

use super::answer::{Answer, Callout, Refusal};
use super::cluster::Cluster;
use super::service::{self, Service};

/// What gRPC calls hear of a cluster that does not exist.
pub(super) const NOT_AVAILABLE: &str = "Cluster not available";

/// A target that Envoy understands.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) cluster: String,
    /// The cluster, if it is there.
    pub(super) found: Option<Cluster>,
    pub(super) max_message: Option<usize>,
    /// Whether it was the name of a cluster, rather than a service.
    is_name: bool,
    metadata: HeaderMap,
}

impl Target {
    /// The initial metadata of a call: the target's, and behind it the call's own.
    pub(super) fn metadata_with(&self, own: &HeaderMap) -> HeaderMap {
        let mut all = self.metadata.clone();
        for (name, value) in own.pairs() {
            all.add(name, value);
        }
        all
    }

    /// Asks the peer. Without a cluster of this name, nothing is made of the call; without that of a service,
    /// the call fails.
    pub(super) fn ask(&self, asked: &Callout) -> Result<Answer, Status> {
        let answer = self.found.as_ref().map_or_else(Answer::no_cluster, |cluster| cluster.answer(asked));
        let is_missing = answer.refusal() == Some(Refusal::NoCluster);
        if is_missing && self.is_name { Err(Status::ParseFailure) } else { Ok(answer) }
    }
}

/// Reads the target of a gRPC call: a serialized `GrpcService`, or the name of a cluster.
///
/// Envoy takes bytes that do not parse as the one for the other. It does not survive a service without a target.
pub(super) fn resolve(state: &VmState, bytes: &[u8]) -> Result<Target, Status> {
    let find = |cluster: &str| state.world().clusters.get(cluster).cloned();
    let Some(service) = service::parse(bytes) else {
        let cluster = String::from_utf8_lossy(bytes).into_owned();
        let found = find(&cluster);
        return Ok(Target { cluster, found, max_message: None, is_name: true, metadata: HeaderMap::new() });
    };
    let Service { cluster: Some(cluster), max_message, metadata } = service else {
        state.violate(Rule::AmbiguousGrpcTarget { target: String::from_utf8_lossy(bytes).into_owned() });
        return Err(Status::BadArgument);
    };
    Ok(Target { found: find(&cluster), cluster, max_message, is_name: false, metadata })
}
