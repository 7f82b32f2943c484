//! The front door: everything that callers can ask of the control plane, whatever protocol they come by.
//!
//! Owns the order of things: permission, [`intake`] (what a request means), the log (durable), the state (in
//! force), then the answer. Knows no HTTP and no gRPC.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::{Kind, Selector, Shape, Version};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod answer;
mod audit;
mod check;
mod error;
mod follow;
pub mod intake;
mod keys;
mod list;
mod plan;
mod receive;
mod refuse;
mod reports;
mod request;
mod revocation;
mod story;
#[cfg(test)]
mod tests;
mod upkeep;
mod users;

pub use answer::{
    Accepted, AuditEvent, AuditRecord, Checked, Commit, Counts, CreatedKey, EdgeReceipt, EdgeStatus, Edges,
    KeyInfo, Receipts, RefusedSet, Warning, WorkerStatus,
};
pub use error::{ControlError, Refusal};
pub use plan::{Effect, MAX_EFFECTS};
pub use receive::{Applied, Foreseen, Message, MessageId, Received, printable};
pub use refuse::RefusedMessage;
pub use reports::{ReportCursor, ReportRequest, ReportedRevocation};
pub use request::{
    CheckSubject, EventFilter, Filter, NewKey, NewRevocation, Page, PageRequest, StatusFilter, Target,
};
pub(crate) use revocation::value_of;
pub use revocation::{BadId, Revocation, RevocationId, Status};

use crate::auth::{Actor, AuthError, Caller, Given, Principal, Scope};
use crate::clock::{Clock, UnixMillis};
use crate::config::{self, Config, Issuers, Keys};
use crate::edge::{Refused, RefusedEdge, Registry, Tries};
use crate::issuers::Directory;
use crate::log::wire::event::Event as Body;
use crate::log::{EventLog, LogError, NewEvent, Versions, wire};
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::store::{FeedSettings, Store};
use intake::Intake;
use story::Terms;

/// Most revocations in one call of [`Control::revoke`].
pub const MAX_BATCH: usize = 1_000;
/// Most shapes of kind `claims` in use: each costs every request of every edge a look-up. The other kinds have
/// ten shapes between them, for which there is always room.
pub const MAX_CLAIMS_SHAPES: usize = 22;

/// Messages that can be taken in at a time; those with the same id share a place.
const RECEIVING: usize = 64;

/// The control plane. Cheap to clone; every clone is the same one.
#[derive(Clone, Debug)]
pub struct Control {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    registry: Arc<Registry>,
    tries: Arc<Tries>,
    refused: Arc<Refused>,
    watched: reports::Watched,
    issuers: Issuers,
    keys: Keys,
    edge: config::Edge,
    retention: Duration,
    clock: Clock,
    metrics: Metrics,
    /// Held by a call that brings new shapes into use, until it has.
    new_shapes: tokio::sync::Mutex<()>,
    /// Held by a call that deletes a key, until it is gone: two calls must not delete the last two admin keys.
    key_deletion: tokio::sync::Mutex<()>,
    /// The issuers' keys.
    directory: Arc<Directory>,
    /// Held while a message is taken in, by its place: none must be applied twice.
    receiving: Vec<tokio::sync::Mutex<()>>,
    refusals: refuse::Refusals,
    /// Room for changes whose receipts are waited for.
    followed: Arc<tokio::sync::Semaphore>,
    /// Held by a call that changes users, from looking at them until the change is in force.
    changing_users: tokio::sync::Mutex<()>,
}

/// A revocation whose event is on its way into the log.
struct Begun {
    selector: Selector,
    terms: Terms,
    warnings: Vec<Warning>,
    payload: Vec<u8>,
}

impl Control {
    /// Reads the log to its end. The task that is returned keeps up with the log; it ends when the log is
    /// closed or cannot be followed any more.
    ///
    /// # Errors
    /// When the log cannot be read, or holds what this release does not understand.
    pub async fn start(
        log: impl EventLog,
        config: &Config,
        keys: Keys,
        clock: Clock,
        outbound: Outbound,
        metrics: Metrics,
    ) -> Result<(Self, JoinHandle<()>), LogError> {
        let directory = Directory::new(&config.issuers, outbound, clock.clone(), metrics.clone());
        let heartbeat_ms = u32::try_from(config.edge.heartbeat.as_millis()).unwrap_or(u32::MAX);
        let feed = FeedSettings { history: config.feed.history, heartbeat_ms };
        let (store, keeping_up) = Store::start(log, feed, metrics.clone()).await?;
        let inner = Inner {
            store,
            registry: Arc::default(),
            tries: Arc::default(),
            refused: Arc::default(),
            watched: reports::Watched::default(),
            issuers: config.issuers.clone(),
            keys,
            edge: config.edge.clone(),
            retention: config.log.retention,
            clock,
            metrics,
            new_shapes: tokio::sync::Mutex::default(),
            key_deletion: tokio::sync::Mutex::default(),
            directory: Arc::new(directory),
            receiving: (0..RECEIVING).map(|_| tokio::sync::Mutex::default()).collect(),
            refusals: refuse::Refusals::default(),
            followed: Arc::new(tokio::sync::Semaphore::new(follow::MAX_FOLLOWED)),
            changing_users: tokio::sync::Mutex::default(),
        };
        Ok((Self { inner: Arc::new(inner) }, keeping_up))
    }

    /// What the edges' service needs; `stop` ends its streams.
    #[must_use]
    pub fn for_edges(&self, stop: CancellationToken) -> crate::edge::Context {
        let inner = &self.inner;
        crate::edge::Context {
            store: Arc::clone(&inner.store),
            registry: Arc::clone(&inner.registry),
            tries: Arc::clone(&inner.tries),
            refused: Arc::clone(&inner.refused),
            keys: inner.keys,
            settings: inner.edge.clone(),
            metrics: inner.metrics.clone(),
            clock: inner.clock.clone(),
            stop,
        }
    }

    /// The holder of a bearer credential. Does the same work for every wrong one.
    ///
    /// # Errors
    /// When it is not a key of this control plane.
    pub fn authenticate(&self, bearer: &str) -> Result<Principal, AuthError> {
        let inner = &self.inner;
        let given = Given::of(bearer);
        let principal = inner.store.read(|state| given.identify(state.keys(), &inner.keys));
        principal.inspect_err(|_| {
            inner.metrics.failed_authentications.inc();
        })
    }

    /// Revokes, as one append to the log: each request is wholly accepted or wholly refused, whatever becomes
    /// of the others. The answers are in the order of the requests. What is accepted is durable, and in force
    /// here, before this returns. Needs the scope `revoke`.
    ///
    /// # Errors
    /// When nothing was accepted because of the caller, the size of the batch or the log.
    pub async fn revoke(
        &self,
        requests: Vec<NewRevocation>,
        caller: &Caller,
    ) -> Result<Vec<Result<Accepted, ControlError>>, ControlError> {
        require(caller, Scope::Revoke)?;
        if requests.len() > MAX_BATCH {
            return Err(Refusal::BatchTooLarge { max: MAX_BATCH }.into());
        }
        let at_ms = self.now_ms();
        let understood = requests.iter().map(|request| self.understand(request, caller, at_ms));
        let understood: Vec<_> = understood.collect();
        // Two calls that look at once would both see room for one more shape: those that bring any take turns
        // until they are in force.
        let brings_shapes = self.brings_shapes(&understood);
        let _turn = if brings_shapes { Some(self.inner.new_shapes.lock().await) } else { None };
        let understood = self.within_shapes(understood);
        let hash_key = &self.inner.store.log().identity().hash_key;
        let mut events = Vec::with_capacity(understood.len());
        let begun: Vec<Result<Begun, ControlError>> = understood
            .into_iter()
            .map(|intake| {
                let Intake { selector, revoked, warnings } = intake?;
                let terms = Terms::of(&revoked);
                let event = event(Body::Revoked(revoked), caller.into(), at_ms);
                let entry = NewEvent::new(event, Some(selector.hash(hash_key)));
                let payload = entry.payload().to_vec();
                events.push(entry);
                Ok(Begun { selector, terms, warnings, payload })
            })
            .collect();
        let first = match events.is_empty() {
            true => 0,
            false => self.commit(events, at_ms).await?.first,
        };
        let mut versions = first..;
        let answers = begun.into_iter().map(|begun| {
            let Begun { selector, terms, warnings, payload } = begun?;
            // One version per request that was understood.
            let version = versions.next().ok_or(ControlError::NotReady)?;
            let id = RevocationId::of(version, &payload);
            let revocation = story::new(id, selector, terms, caller.into(), at_ms);
            Ok(Accepted { revocation, commit: Commit { version, at_ms }, warnings })
        });
        let answers: Vec<Result<Accepted, ControlError>> = answers.collect();
        follow::note("revoked", answers.iter().flatten().map(|accepted| accepted.revocation.id), caller);
        Ok(answers)
    }

    /// Accepts tokens issued from the next second on; older ones stay rejected. Needs the scope `revoke`.
    ///
    /// # Errors
    /// When there is no such revocation, it is not in force or has been reinstated, or by caller and log.
    pub async fn reinstate(
        &self,
        id: RevocationId,
        reason: &str,
        caller: &Caller,
    ) -> Result<Accepted, ControlError> {
        let at_ms = self.now_ms();
        let (revocation, revoked) = self.in_force(id, reason, caller).await?;
        if revocation.status == Status::Reinstated {
            return Err(ControlError::AlreadyReinstated(id));
        }
        let reinstated = intake::reinstate(id.version(), &revoked, reason, at_ms);
        self.take_back(id, Body::Reinstated(reinstated), caller, at_ms).await
    }

    /// Takes a revocation back as a mistake. Needs the scope `revoke`.
    ///
    /// # Errors
    /// When there is no such revocation, it is not in force, or by caller and log.
    pub async fn undo(
        &self,
        id: RevocationId,
        reason: &str,
        caller: &Caller,
    ) -> Result<Accepted, ControlError> {
        let at_ms = self.now_ms();
        self.in_force(id, reason, caller).await?;
        let undone = wire::Undone { revocation: id.version(), reason: reason.into() };
        self.take_back(id, Body::Undone(undone), caller, at_ms).await
    }

    /// The edges. Needs the scope `read`.
    ///
    /// # Errors
    /// By caller.
    pub fn edges(&self, caller: &Caller) -> Result<Edges, ControlError> {
        require(caller, Scope::Read)?;
        Ok(self.inner.registry.report(self.inner.store.version(), self.now_ms()))
    }

    /// The edges that were refused lately and have not got in since. Needs the scope `read`.
    ///
    /// # Errors
    /// By caller.
    pub fn refused_edges(&self, caller: &Caller) -> Result<Vec<RefusedEdge>, ControlError> {
        require(caller, Scope::Read)?;
        Ok(self.inner.refused.list())
    }

    /// How much there is of what. Needs the scope `read`.
    ///
    /// # Errors
    /// By caller; when this process does not keep up with its log any more.
    pub fn counts(&self, caller: &Caller) -> Result<Counts, ControlError> {
        require(caller, Scope::Read)?;
        let version = self.ready()?;
        let revocations = self.inner.store.read(|state| state.ledger().len()) as u64;
        let (edges, workers) = self.inner.registry.count();
        Ok(Counts { version, revocations, edges: edges as u64, workers: workers as u64 })
    }

    /// Waits until every connected worker enforces a version, or the time is up; with no edge connected it
    /// returns at once.
    pub async fn wait_for_receipts(&self, commit: Commit, timeout: Duration) -> Receipts {
        self.inner.registry.wait(commit.version, commit.at_ms, timeout).await
    }

    /// The process ends: calls that wait for receipts are answered with what has come by now.
    pub fn stop_waiting(&self) {
        self.inner.registry.close();
    }

    /// The configured issuers; a limited key sees its own. Needs the scope `read`.
    ///
    /// # Errors
    /// By caller.
    pub fn issuers(&self, caller: &Caller) -> Result<Issuers, ControlError> {
        require(caller, Scope::Read)?;
        let mut issuers = self.inner.issuers.clone();
        issuers.configured.retain(|issuer| caller.principal.may_act_on(Some(&issuer.issuer)));
        Ok(issuers)
    }

    /// The issuer that a request means which names none.
    ///
    /// # Errors
    /// When it is not the case that exactly one is configured; the error names those that the caller may act on.
    pub fn issuer_by_default(&self, caller: &Caller) -> Result<String, Refusal> {
        let issuers = &self.inner.issuers;
        issuers.only().map(str::to_owned).ok_or_else(|| {
            let names = issuers.configured.iter().map(|configured| configured.issuer.clone());
            Refusal::IssuerMissing(names.filter(|name| caller.principal.may_act_on(Some(name))).collect())
        })
    }

    /// The configured issuers with their keys.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.inner.directory
    }

    /// The time, Unix milliseconds.
    #[must_use]
    pub fn time_ms(&self) -> UnixMillis {
        self.now_ms()
    }

    /// The version that is in force here.
    ///
    /// # Errors
    /// When this process does not keep up with its log any more.
    pub fn ready(&self) -> Result<Version, ControlError> {
        match self.inner.store.failed() {
            Some(error) => Err(error.into()),
            None => Ok(self.inner.store.version()),
        }
    }

    /// The counters of this process.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    fn understand(
        &self,
        request: &NewRevocation,
        caller: &Caller,
        now_ms: UnixMillis,
    ) -> Result<Intake, ControlError> {
        let mut intake = intake::decide(request, &self.inner.issuers, now_ms)?;
        permit(caller, intake.selector.claim("iss"))?;
        intake.warnings = intake.warnings.into_iter().map(|warning| warning.told_to(caller)).collect();
        Ok(intake)
    }

    fn brings_shapes(&self, understood: &[Result<Intake, ControlError>]) -> bool {
        self.inner
            .store
            .read(|state| understood.iter().flatten().any(|intake| !state.uses(intake.selector.shape())))
    }

    /// Refuses what would bring one shape too many into use.
    fn within_shapes(
        &self,
        understood: Vec<Result<Intake, ControlError>>,
    ) -> Vec<Result<Intake, ControlError>> {
        let of_claims = |shape: &&Shape| shape.kind() == Kind::Claims;
        let mut shapes: BTreeSet<Shape> =
            self.inner.store.read(|state| state.shapes().filter(of_claims).cloned().collect());
        let mut within = |intake: Intake| {
            let shape = intake.selector.shape();
            if of_claims(&shape) && !shapes.contains(shape) {
                if shapes.len() >= MAX_CLAIMS_SHAPES {
                    return Err(Refusal::TooManyShapes { max: MAX_CLAIMS_SHAPES }.into());
                }
                shapes.insert(shape.clone());
            }
            Ok(intake)
        };
        understood.into_iter().map(|intake| intake.and_then(&mut within)).collect()
    }

    /// A revocation that can be taken back by this caller.
    async fn in_force(
        &self,
        id: RevocationId,
        reason: &str,
        caller: &Caller,
    ) -> Result<(Revocation, wire::Revoked), ControlError> {
        require(caller, Scope::Revoke)?;
        intake::check_reason(reason)?;
        let (revocation, revoked) = self.find(id, caller).await?;
        if revocation.status.in_force() {
            Ok((revocation, revoked))
        } else {
            Err(ControlError::Ended { id, status: revocation.status })
        }
    }

    async fn take_back(
        &self,
        id: RevocationId,
        body: Body,
        caller: &Caller,
        at_ms: UnixMillis,
    ) -> Result<Accepted, ControlError> {
        let version = self.append(body, caller, at_ms).await?.last;
        let (revocation, _) = self.find(id, caller).await?;
        follow::note("taken back", [id], caller);
        Ok(Accepted { revocation, commit: Commit { version, at_ms }, warnings: Vec::new() })
    }

    async fn append(&self, body: Body, caller: &Caller, at_ms: UnixMillis) -> Result<Versions, LogError> {
        let event = event(body, caller.into(), at_ms);
        self.commit(vec![NewEvent::new(event, None)], at_ms).await
    }

    fn now_ms(&self) -> UnixMillis {
        self.inner.clock.now_ms()
    }
}

fn event(body: Body, actor: Actor, at_ms: UnixMillis) -> wire::Event {
    let at_ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
    wire::Event { at_ms, actor: Some(actor.into()), event: Some(body) }
}

fn require(caller: &Caller, scope: Scope) -> Result<(), ControlError> {
    if caller.principal.may(scope) { Ok(()) } else { Err(ControlError::Scope(scope)) }
}

fn permit(caller: &Caller, issuer: Option<&str>) -> Result<(), ControlError> {
    if caller.principal.may_act_on(issuer) {
        Ok(())
    } else {
        Err(ControlError::Issuer(issuer.map(Into::into)))
    }
}
