//! One worker's stream, from its hello to its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use portcullis_core::Version;
use portcullis_core::wire::edge::edge_message::Message;
use portcullis_core::wire::edge::{self, EdgeMessage, Receipt};
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, interval_at, timeout};
use tonic::{Code, Status, Streaming};
use tracing::{debug, info, warn};

use super::admission::{Admission, Shown};
use super::fanout::Fanout;
use super::hello::{Hello, Said};
use super::outgoing::Sender;
use super::refusal::{Door, Refusal};
use super::registry::Worker;
use super::service::Context;
use super::tried::Row;
use crate::auth::Principal;
use crate::feed::{Start, Update};

/// What is published from some version on.
pub(super) type Updates = broadcast::Receiver<Arc<Update>>;

/// The codes of the contract; others are counted as `other`.
const CODES: [&str; 11] = [
    "session_revoked",
    "subject_revoked",
    "token_revoked",
    "client_revoked",
    "issuer_revoked",
    "key_revoked",
    "claims_revoked",
    "token_malformed",
    "token_missing",
    "not_synced",
    "stale",
];

/// Serves a stream until either end has enough, and ends it with the reason.
pub(super) async fn run(
    context: Arc<Context>,
    fanout: Fanout,
    admission: Admission,
    door: &Door,
    mut inbound: Streaming<EdgeMessage>,
    outgoing: Sender,
) {
    let ended = || ended(&context, &admission.principal, &outgoing);
    let greeted = tokio::select! {
        greeted = greet(&context, admission.certificate.as_ref(), door, &mut inbound) => greeted,
        status = ended() => Err(status),
    };
    let status = match greeted {
        Err(status) => status,
        Ok((hello, start, mut connected)) => {
            let (ask, asked) = mpsc::channel(1);
            let work: [Pin<Box<dyn Future<Output = Status> + Send + '_>>; 3] = [
                Box::pin(send(&context, &fanout, start, &outgoing, asked)),
                Box::pin(listen(&context, &connected.worker, &hello, &mut inbound, &ask)),
                Box::pin(ended()),
            ];
            let status = first_of(work).await;
            status.message().clone_into(&mut connected.why);
            status
        }
    };
    if status.code() == Code::ResourceExhausted {
        context.metrics.dropped_subscribers.inc();
    }
    debug!(code = ?status.code(), reason = status.message(), "a worker's stream has ended");
    outgoing.end(status);
}

/// What the first of them comes to. Only those are looked at that were woken: most sessions are woken by changes, and
/// the other reasons to go on cost more to look at than a change to send.
async fn first_of<const N: usize>(work: [Pin<Box<dyn Future<Output = Status> + Send + '_>>; N]) -> Status {
    let mut work: FuturesUnordered<_> = work.into_iter().collect();
    work.next().await.unwrap_or_else(|| Status::ok("there is nothing to do"))
}

/// Returns once the stream has to end for a reason that neither end of it has said.
async fn ended(context: &Context, principal: &Principal, outgoing: &Sender) -> Status {
    tokio::select! {
        status = deleted(context, principal) => status,
        () = outgoing.closed() => Status::cancelled("the edge has gone"),
        () = context.stop.cancelled() => Status::unavailable("the control plane is shutting down"),
    }
}

/// Lets a worker in that says who it is, and may be that; or says why not.
async fn greet<'a>(
    context: &'a Context,
    certificate: Option<&Shown>,
    door: &Door,
    inbound: &mut Streaming<EdgeMessage>,
) -> Result<(Hello, Start, Connected<'a>), Status> {
    let hello = first(context, door, inbound).await?;
    let said = Said::of(&hello);
    let hello = Hello::read(hello).map_err(|refusal| door.refuse(said.clone(), refusal))?;
    if certificate.is_some_and(|certificate| !certificate.may_be(&hello.node)) {
        return Err(door.refuse(said, Refusal::Node));
    }
    door.let_in(&hello.node);
    let start = context.store.subscribe(hello.position.as_ref());
    // An edge that goes on from its own set enforces that version already.
    let version = match (&start.snapshot, &hello.position) {
        (None, Some(position)) => position.version,
        _ => 0,
    };
    let connected = Connected::new(context, &hello, version);
    info!(
        node = hello.node,
        process = hello.process,
        worker = hello.worker,
        protocol = hello.protocol,
        filter_version = hello.filter_version,
        version,
        "a worker has connected"
    );
    if let Some(refused) = &hello.refused {
        context.metrics.refused_sets.inc();
        warn!(
            node = hello.node,
            worker = hello.worker,
            revocations = refused.revocations,
            limit = refused.limit,
            "a worker does not take the set, which is larger than its `limits.revocations`: it enforces an old one"
        );
    }
    Ok((hello, start, connected))
}

/// The hello, which must be the first message and must come in time.
async fn first(
    context: &Context,
    door: &Door,
    inbound: &mut Streaming<EdgeMessage>,
) -> Result<edge::Hello, Status> {
    match timeout(context.settings.hello_timeout, inbound.message()).await {
        Err(_) => Err(door.refuse(Said::default(), Refusal::Silent)),
        Ok(Ok(Some(EdgeMessage { message: Some(Message::Hello(hello)) }))) => Ok(hello),
        Ok(Ok(Some(_))) => Err(door.refuse(Said::default(), Refusal::Hello("the first message is none"))),
        Ok(Ok(None)) => Err(Status::ok("the edge has said good-bye")),
        Ok(Err(status)) => {
            // What was not understood or is too large; anything else is the connection's end.
            if matches!(status.code(), Code::InvalidArgument | Code::OutOfRange) {
                door.note(
                    Said::default(),
                    Refusal::Hello("not a message of the protocol, or too large a one"),
                );
            }
            Err(status)
        }
    }
}

/// Returns once the key that the stream was opened with is deleted.
async fn deleted(context: &Context, principal: &Principal) -> Status {
    let mut deletions = context.store.key_deletions();
    while context.knows(principal) {
        if deletions.changed().await.is_err() {
            return Status::unavailable("the control plane is shutting down");
        }
    }
    Refusal::Deleted.into()
}

/// Counts a worker in for as long as it lives.
struct Connected<'a> {
    context: &'a Context,
    worker: Worker,
    node: String,
    // Why it ends.
    why: String,
}

impl<'a> Connected<'a> {
    fn new(context: &'a Context, hello: &Hello, version: Version) -> Self {
        let worker = context.registry.connect(hello, version, context.clock.now_ms());
        context.count();
        Self { context, worker, node: hello.node.clone(), why: "the session was given up".to_owned() }
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        let last = self.context.registry.disconnect(&self.worker, self.context.clock.now_ms());
        self.context.count();
        // Once the control plane itself ends, that is the only reason.
        if last && !self.context.stop.is_cancelled() {
            warn!(node = self.node, why = self.why, "the last worker of an edge has disconnected");
        }
    }
}

/// Sends what the edge needs, for good; returns why it cannot.
async fn send(
    context: &Context,
    fanout: &Fanout,
    mut start: Start,
    outgoing: &Sender,
    mut asked: mpsc::Receiver<()>,
) -> Status {
    loop {
        let (version, updates) = match begin(context, start, outgoing).await {
            Ok(begun) => begun,
            Err(status) => return status,
        };
        match go_on(context, fanout, version, updates, outgoing, &mut asked).await {
            // A snapshot was asked for.
            Ok(()) => start = context.store.subscribe(None),
            Err(status) => return status,
        }
    }
}

/// Sends everything up to now; what remains is the version that this leads to, and where the rest comes from.
async fn begin(context: &Context, start: Start, outgoing: &Sender) -> Result<(Version, Updates), Status> {
    outgoing.send(start.header).await?;
    if let Some(snapshot) = &start.snapshot {
        context.metrics.snapshots.inc();
        for chunk in &snapshot.chunks {
            outgoing.send(chunk.clone()).await?;
        }
    }
    for part in &start.catch_up.parts {
        outgoing.send(part.clone()).await?;
    }
    // Tells an edge that was not sent anything that it is right.
    if let Some(heartbeat) = context.store.heartbeat(start.catch_up.to) {
        outgoing.send(heartbeat).await?;
    }
    Ok((start.catch_up.to, start.updates))
}

/// Sends what happens, until a snapshot is asked for.
async fn go_on(
    context: &Context,
    fanout: &Fanout,
    mut version: Version,
    mut updates: Updates,
    outgoing: &Sender,
    asked: &mut mpsc::Receiver<()>,
) -> Result<(), Status> {
    let period = context.settings.heartbeat;
    let mut heartbeat = interval_at(Instant::now() + period, period);
    let mut aside = None;
    loop {
        let update = match aside.take().unwrap_or_else(|| updates.try_recv()) {
            Ok(update) => update,
            Err(TryRecvError::Closed) => {
                return Err(Status::unavailable("the control plane is shutting down"));
            }
            Err(TryRecvError::Lagged(_)) => {
                let missed = context.store.catch_up(version);
                let (update, rest) = missed
                    .ok_or_else(|| Status::resource_exhausted("the edge does not keep up: come back"))?;
                updates = rest;
                update
            }
            Err(TryRecvError::Empty) => {
                let joined = fanout.join(version, updates, outgoing);
                let due = tokio::select! {
                    () = joined.aside() => false,
                    _ = heartbeat.tick() => true,
                    Some(()) = asked.recv() => return Ok(()),
                };
                let left =
                    joined.leave().ok_or_else(|| Status::internal("the session has lost its place"))?;
                (version, updates, aside) = (left.version, left.updates, left.aside);
                if due && let Some(heartbeat) = context.store.heartbeat(version) {
                    outgoing.send(heartbeat).await?;
                }
                continue;
            }
        };
        for part in &update.parts {
            outgoing.send(part.clone()).await?;
        }
        version = update.to;
        if update.starts_over {
            return Err(Status::aborted("the shapes in use are others now: come back"));
        }
        // It starts anew, whatever else there is to send.
        if asked.try_recv().is_ok() {
            return Ok(());
        }
    }
}

/// Takes in what the edge says; returns why it does not any more.
async fn listen(
    context: &Context,
    worker: &Worker,
    hello: &Hello,
    inbound: &mut Streaming<EdgeMessage>,
    ask: &mpsc::Sender<()>,
) -> Status {
    loop {
        let message = match inbound.message().await {
            Ok(Some(message)) => message.message,
            Ok(None) => return Status::ok("the edge has said good-bye"),
            Err(status) => return status,
        };
        match message {
            Some(Message::Receipt(receipt)) => {
                if let Err(status) = take(context, worker, hello, receipt) {
                    return status;
                }
            }
            Some(Message::SnapshotRequest(request)) => {
                let reason: String =
                    request.reason.chars().filter(|char| !char.is_control()).take(200).collect();
                warn!(node = hello.node, worker = hello.worker, reason, "a worker asks for a snapshot");
                // One that is asked for already serves this request too.
                let _ = ask.try_send(());
            }
            Some(Message::Hello(_)) | None => return Status::invalid_argument("out of place"),
        }
    }
}

fn take(context: &Context, worker: &Worker, hello: &Hello, receipt: Receipt) -> Result<(), Status> {
    let tried = Row::read(receipt.tried)?;
    for rejections in &receipt.rejections {
        let code = CODES.iter().find(|code| **code == rejections.code).copied().unwrap_or("other");
        context.metrics.rejected(code, rejections.passed, rejections.count);
        // What an observing edge let pass is no rejection.
        if !rejections.passed {
            context.registry.rejected(worker, code, rejections.count);
        }
    }
    tally(context, hello, tried, receipt.tried_more);
    let (version, digest) = context.store.read(|state| (state.version(), state.ledger().set().digest()));
    // The digest of an older version is not known any more; the edge has checked it against the delta.
    if receipt.version > version || (receipt.version == version && receipt.digest != Vec::from(digest)) {
        warn!(
            node = hello.node,
            worker = hello.worker,
            version = receipt.version,
            "a receipt that cannot be right"
        );
        return Ok(());
    }
    let now_ms = context.clock.now_ms();
    if context.registry.receipt(worker, receipt.version, receipt.revocations, now_ms) {
        context.observe(receipt.version, now_ms);
    }
    Ok(())
}

/// Takes what was tried to the revocations that it is about: the strictest of each key is what edges enforce.
fn tally(context: &Context, hello: &Hello, tried: Vec<Row>, more: u64) {
    let mut left_out = more;
    if !tried.is_empty() {
        let strictest = |row: Row| (row.key, row);
        let of_key: Vec<(Row, Option<Version>)> = context.store.read(|state| {
            let ledger = state.ledger();
            tried
                .into_iter()
                .map(strictest)
                .map(|(key, row)| (row, ledger.of_key(key).next().map(|(at, _)| at)))
                .collect()
        });
        left_out = left_out.saturating_add(context.tries.add(&hello.node, of_key, context.clock.now_ms()));
    }
    context.metrics.unassigned_tries.inc_by(left_out);
}
