//! Who may subscribe: by the key that is given, the certificate that was shown, or both.

use std::sync::Arc;

use tonic::metadata::MetadataMap;

use super::peer::Peer;
use super::refusal::Refusal;
use super::service::Context;
use crate::auth::{self, Given, Principal, Scope};
use crate::config::{EdgeIdentity, Pattern};
use crate::tls::Certificate;

/// An edge that may subscribe.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    pub(super) principal: Principal,
    pub(super) certificate: Option<Shown>,
}

/// The certificate of an edge, and what it may be.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) certificate: Arc<Certificate>,
    // Empty for all.
    nodes: Vec<Pattern>,
}

impl Shown {
    /// Whether such an edge may have this `node.id`.
    pub(super) fn may_be(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.iter().any(|pattern| pattern.matches(node))
    }
}

/// Decides by all that an edge has shown: a key that is given must be right, whatever the certificate says, and a
/// certificate alone is enough.
pub(super) fn admit(
    context: &Context,
    metadata: &MetadataMap,
    peer: Option<&Peer>,
) -> Result<Admission, Refusal> {
    let certificate = peer.and_then(Peer::certificate);
    let certificate = certificate.map(|shown| identify(&context.settings.identities, shown)).transpose()?;
    let principal = match (metadata.get("authorization"), &certificate) {
        (None, Some(shown)) => auth::of_certificate(&shown.certificate.names),
        (header, _) => {
            let header = header.and_then(|value| value.to_str().ok());
            of_key(context, header.and_then(auth::bearer).ok_or(Refusal::Missing)?)?
        }
    };
    Ok(Admission { principal, certificate })
}

fn identify(identities: &[EdgeIdentity], certificate: &Arc<Certificate>) -> Result<Shown, Refusal> {
    let shown = |nodes| Shown { certificate: Arc::clone(certificate), nodes };
    if identities.is_empty() {
        return Ok(shown(Vec::new()));
    }
    let is_named =
        |identity: &&EdgeIdentity| certificate.names.iter().any(|name| identity.name.matches(name));
    let mut own = identities.iter().filter(is_named).peekable();
    own.peek().ok_or(Refusal::Identity)?;
    // One entry without nodes allows all.
    let nodes: Vec<&[Pattern]> = own.map(|identity| identity.nodes.as_slice()).collect();
    let any = nodes.iter().any(|nodes| nodes.is_empty());
    Ok(shown(if any { Vec::new() } else { nodes.concat() }))
}

fn of_key(context: &Context, bearer: &str) -> Result<Principal, Refusal> {
    let given = Given::of(bearer);
    let (principal, deleted) = context
        .store
        .read(|state| (given.identify(state.keys(), &context.keys), given.was_deleted(state.deleted_keys())));
    let principal = principal.map_err(|_| {
        context.metrics.failed_authentications.inc();
        if deleted { Refusal::Deleted } else { Refusal::Unknown }
    })?;
    if principal.may(Scope::Edge) { Ok(principal) } else { Err(Refusal::Scope) }
}
