//! Asking for lists: one task for each.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::StatusCode;
use portcullis_core::{Kind, Selector};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, warn};

use super::super::pause::{Pause, jittered};
use super::super::{Cause, Inbound, Inlets, Protocol as _, Refused, serve};
use super::{Heard, INDEX, List, MAX_TOKEN_BYTES, MEDIA_TYPE, StatusList, URI, hear};
use crate::auth::{Caller, Scope};
use crate::control::{ControlError, Filter, PageRequest};
use crate::outbound::{Limits, OutboundError};
use crate::traces;

/// What a list may cost.
const LIMITS: Limits = Limits { bytes: MAX_TOKEN_BYTES, time: Duration::from_secs(30) };
/// A `ttl` makes nobody ask more often.
const SHORTEST_TTL: Duration = Duration::from_secs(1);
/// Revocations that are read from the log at a time.
const PAGE: usize = 1_000;

/// Why a list changes nothing.
#[derive(Debug, thiserror::Error)]
enum ListError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("{}", .0.cause)]
    Refused(Refused),
}

/// Keeps up with one list until `stop`. While it cannot be had, what it said last stays in force.
pub(super) async fn keep_up(inlets: &Inlets, list: &List, stop: &CancellationToken) {
    let mut pause = Pause::default();
    loop {
        let Some(outcome) = stop.run_until_cancelled(refresh(inlets, list)).await else { return };
        let wait = match outcome {
            Ok(next) => {
                pause.reset();
                recovered(inlets, list);
                jittered(next)
            }
            Err(error) => {
                failed(inlets, list, error).await;
                pause.next()
            }
        };
        if stop.run_until_cancelled(sleep(wait)).await.is_none() {
            return;
        }
    }
}

/// Asks for the list and has it in force; says when to ask again.
async fn refresh(inlets: &Inlets, list: &List) -> Result<Duration, ListError> {
    let uri = &list.settings.uri;
    let reach = inlets.directory().reach(&list.settings.issuer);
    let answer = inlets.directory().outbound().get(uri, MEDIA_TYPE, reach, LIMITS).await?;
    if answer.status() != StatusCode::OK {
        return Err(ListError::Status(answer.status()));
    }
    let (parts, body) = answer.into_parts();
    let inbound = Inbound { headers: parts.headers, body, ..Inbound::default() };
    let heard = hear(inlets, &inbound, Some(list)).await.map_err(ListError::Refused)?;
    apply(inlets, &heard).await.map_err(ListError::Refused)?;
    let ttl = heard.ttl.map_or(list.settings.interval, |ttl| ttl.max(SHORTEST_TTL));
    Ok(ttl.min(list.settings.interval))
}

/// Makes what the list changes durable, part by part. What was done before a failure is not done again.
async fn apply(inlets: &Inlets, heard: &Heard<'_>) -> Result<(), Refused> {
    let list = heard.list;
    let known = list.lock().held.clone();
    let mut held = match known {
        Some(held) => held,
        None => held_of(inlets, list).await.map_err(Cause::from)?,
    };
    let changes = heard.changes(&held);
    for (indices, effects) in changes.effects(&list.settings) {
        let reading = list.reading(heard.signal(&changes), effects);
        // Whether it is in the log is not known when this fails: then the log says.
        list.lock().held = None;
        let applied = serve::apply(&StatusList, inlets, reading, list.settings.uri.clone());
        let received = applied.instrument(traces::polled(StatusList.name())).await?;
        serve::count(&StatusList, inlets, &received);
        for index in indices {
            if !held.remove(&index) {
                held.insert(index);
            }
        }
    }
    let mut live = list.lock();
    live.held = Some(held);
    live.issued_at = heard.issued_at;
    Ok(())
}

/// The indices that are revoked because of a list, from the log.
async fn held_of(inlets: &Inlets, list: &List) -> Result<BTreeSet<usize>, ControlError> {
    let mut caller = Caller::issuer(StatusList.name(), &list.settings.issuer);
    caller.principal.scopes = [Scope::Read].into();
    let issuer = Some(list.settings.issuer.clone());
    let filter = Filter { kind: Some(Kind::Claims), issuer, ..Filter::default() };
    let (mut held, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = inlets.control().list(&filter, PageRequest { cursor, limit: PAGE }, &caller).await?;
        let ours = page.items.iter().filter(|revocation| {
            revocation.until_reinstated
                && revocation.created_by.via == caller.via
                && value(&revocation.selector, URI) == Some(&list.settings.uri)
        });
        held.extend(ours.filter_map(|revocation| value(&revocation.selector, INDEX)?.parse::<usize>().ok()));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(held),
        }
    }
}

fn value<'a>(selector: &'a Selector, name: &str) -> Option<&'a str> {
    selector.requirements().find(|(field, _)| field.to_string() == name).map(|(_, value)| value)
}

fn recovered(inlets: &Inlets, list: &List) {
    let uri = &list.settings.uri;
    inlets.control().metrics().status_list_fetched(uri, inlets.control().time_ms() / 1_000);
    if list.lock().failure.take().is_some() {
        info!(uri, "the status list can be had again");
    }
}

/// Counts a failure; one for a new reason is in the log as well, and in the audit trail where it is the list's fault.
async fn failed(inlets: &Inlets, list: &List, error: ListError) {
    let uri = &list.settings.uri;
    inlets.control().metrics().status_list_failed(uri);
    let text = error.to_string();
    let is_new = list.lock().failure.replace(text.clone()).as_ref() != Some(&text);
    if !is_new {
        return;
    }
    if let ListError::Refused(refused) = &error
        && refused.cause.general().is_none_or(|(status, _)| status != StatusCode::SERVICE_UNAVAILABLE)
    {
        serve::record(&StatusList, inlets, refused, uri.clone()).await;
    }
    warn!(uri, error = text, "the status list cannot be used; what it said last stays in force");
}
