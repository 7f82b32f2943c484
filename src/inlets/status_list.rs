//! Token Status List (draft-ietf-oauth-status-list): an issuer publishes which of its tokens are not valid any more.
//!
//! A token says at which index of which list it is (`status.status_list`). The configured lists are asked for, `poll`,
//! and their invalid and suspended entries are revocations of what carries that index and that list's address; an
//! entry that is valid again has its revocation undone. `entries` takes a list apart. What is in force is in the log:
//! a list that cannot be had changes nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use portcullis_core::UnixSeconds;
use portcullis_core::json::Json;
use tokio_util::sync::CancellationToken;

mod entries;
mod poll;

pub use entries::{Entries, MAX_LIST_BYTES, TokenStatus};

use super::{Cause, Inbound, Inlets, Protocol, Reading, Refused};
use crate::auth::Caller;
use crate::config;
use crate::control::{Effect, MAX_EFFECTS, NewRevocation, Received, Target};
use crate::issuers::{Jws, JwtError};

const TYPE: &str = "statuslist+jwt";
const MEDIA_TYPE: &str = "application/statuslist+jwt";
/// Longest token: a list of [`MAX_LIST_BYTES`] that cannot be compressed, in base64url twice.
const MAX_TOKEN_BYTES: usize = 2 * MAX_LIST_BYTES;
/// The claims of tokens that say where they stand.
const INDEX: &str = "/status/status_list/idx";
const URI: &str = "/status/status_list/uri";

/// The protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct StatusList;

/// All configured lists.
#[derive(Debug)]
pub(super) struct Lists(Vec<List>);

/// One of them, with what is known of it while this process runs.
#[derive(Debug)]
struct List {
    settings: config::StatusList,
    live: Mutex<Live>,
}

#[derive(Clone, Debug, Default)]
struct Live {
    /// The indices that are revoked because of it; `None` until the log has been read.
    held: Option<BTreeSet<usize>>,
    /// When the list was issued that was applied last.
    issued_at: UnixSeconds,
    /// Why the last attempt failed, if it did.
    failure: Option<String>,
}

/// A verified list.
#[derive(Debug)]
struct Heard<'a> {
    list: &'a List,
    issued_at: UnixSeconds,
    /// For how long it is good.
    ttl: Option<Duration>,
    /// How many entries it has.
    length: usize,
    /// The entries that are not valid, by index, and whether only for now.
    rejected: Vec<(usize, TokenStatus)>,
    /// Entries of another status, which are passed over.
    others: usize,
}

/// What a list changes.
#[derive(Debug, Default)]
struct Changes {
    revoke: Vec<(usize, TokenStatus)>,
    undo: Vec<usize>,
}

/// A list as others see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ListHealth {
    /// Its address.
    pub(crate) uri: String,
    /// Who issues it.
    pub(crate) issuer: String,
    /// Why it could not be had or used when that was last tried.
    pub(crate) failure: Option<String>,
}

impl Lists {
    /// Each list with what went wrong last.
    pub(super) fn health(&self) -> impl Iterator<Item = ListHealth> {
        self.0.iter().map(|list| ListHealth {
            uri: list.settings.uri.clone(),
            issuer: list.settings.issuer.clone(),
            failure: list.lock().failure.clone(),
        })
    }
}

/// Keeps up with all lists until `stop`.
pub(crate) async fn keep_up(inlets: Inlets, stop: CancellationToken) {
    let lists = inlets.lists.0.iter().map(|list| poll::keep_up(&inlets, list, &stop));
    futures_util::future::join_all(lists).await;
}

/// Verifies a status list token. Changes nothing. `expected` is the list that was asked for; a captured one is that
/// which it says.
async fn hear<'a>(
    inlets: &'a Inlets,
    inbound: &Inbound,
    expected: Option<&'a List>,
) -> Result<Heard<'a>, Refused> {
    inbound.expect_media_type(MEDIA_TYPE)?;
    let jws = Jws::parse_long(inbound.text()?.trim(), MAX_TOKEN_BYTES).map_err(Cause::from)?;
    let claims = jws.claims();
    let uri = claims.text("sub").ok().flatten().unwrap_or_default();
    let list = expected.or_else(|| inlets.lists.0.iter().find(|list| list.settings.uri == uri));
    let list = list.ok_or_else(|| Cause::rule("list_unknown", "no list of that `sub` is configured"))?;
    let issuer = &list.settings.issuer;
    let refused = |cause: Cause| Refused { issuer: issuer.clone(), ..Refused::unread(cause) };
    let verified = async {
        jws.expect_type(TYPE, false)?;
        inlets.directory().verify(&jws, issuer).await?;
        // It need not name who has signed it, but nobody else.
        if claims.get("iss").is_some() && claims.issuer()? != issuer {
            return Err(JwtError::Issuer.into());
        }
        if claims.required_text("sub")? != list.settings.uri {
            return Err(Cause::rule("sub_wrong", "sub is not the address of this list"));
        }
        let skew = inlets.directory().find(issuer).map(|issuer| issuer.messages.message_skew);
        claims.expect_valid_at(inlets.control().time_ms(), skew.unwrap_or_default())?;
        let issued_at = claims.required_seconds("iat")?;
        let ttl = claims.seconds("ttl")?;
        if ttl == Some(0) {
            return Err(JwtError::ClaimType("ttl", "a positive number of seconds").into());
        }
        if issued_at < list.lock().issued_at {
            return Err(Cause::rule("list_older", "a newer list is in force already"));
        }
        let status_list = claims.get("status_list").ok_or(JwtError::ClaimMissing("status_list"))?;
        if !matches!(status_list, Json::Object(_)) {
            return Err(JwtError::ClaimType("status_list", "an object").into());
        }
        let entries = Entries::read(status_list)?;
        if entries.is_empty() {
            return Err(Cause::rule("list_empty", "the list has no entry"));
        }
        let (max, mut rejected, mut others) = (list.settings.max_revoked, Vec::new(), 0_usize);
        for (index, status) in entries.not_valid() {
            match status.is_rejected() {
                true if rejected.len() == max => {
                    let detail = format!("more than {max} entries are not valid: see max_revoked");
                    return Err(Cause::rule("too_many_revoked", detail));
                }
                true => rejected.push((index, status)),
                false => others = others.saturating_add(1),
            }
        }
        let length = entries.len();
        Ok(Heard { list, issued_at, ttl: ttl.map(Duration::from_secs), length, rejected, others })
    };
    verified.await.map_err(refused)
}

impl Heard<'_> {
    /// What it changes of what is held because of it.
    fn changes(&self, held: &BTreeSet<usize>) -> Changes {
        let rejected: BTreeSet<usize> = self.rejected.iter().map(|(index, _)| *index).collect();
        let new = self.rejected.iter().filter(|(index, _)| !held.contains(index));
        // Of what is beyond its end a list says nothing: it does not become valid there.
        let valid = held.difference(&rejected).filter(|index| **index < self.length);
        Changes { revoke: new.copied().collect(), undo: valid.copied().collect() }
    }

    /// What it says, for the audit trail.
    fn signal(&self, changes: &Changes) -> String {
        let (invalid, again) = (changes.revoke.len(), changes.undo.len());
        let mut text = format!("status list: {invalid} entries not valid any more, {again} valid again");
        if self.others > 0 {
            text.push_str(&format!(", {} of other meaning", self.others));
        }
        text
    }
}

impl Changes {
    /// As effects, in parts that the front door takes.
    fn effects(&self, list: &config::StatusList) -> Vec<(Vec<usize>, Vec<Effect>)> {
        let revoke = self.revoke.iter().map(|(index, status)| {
            let reason = match status {
                TokenStatus::Suspended => "suspended in its status list",
                _ => "invalid in its status list",
            };
            let revocation = NewRevocation {
                until_reinstated: true,
                reason: reason.into(),
                ..NewRevocation::new(target(list, *index))
            };
            (*index, Effect::Revoke(revocation))
        });
        let undo = self.undo.iter().map(|index| {
            let reason = "valid again in its status list".into();
            (*index, Effect::UndoOwn { target: target(list, *index), reason })
        });
        let all: Vec<(usize, Effect)> = revoke.chain(undo).collect();
        all.chunks(MAX_EFFECTS).map(|part| part.iter().cloned().unzip()).collect()
    }
}

/// What carries an index of a list.
fn target(list: &config::StatusList, index: usize) -> Target {
    Target::Claims(vec![
        ("iss".into(), list.issuer.clone()),
        (INDEX.into(), index.to_string()),
        (URI.into(), list.uri.clone()),
    ])
}

impl Lists {
    pub(super) fn new(settings: &[config::StatusList]) -> Self {
        let list =
            |settings: &config::StatusList| List { settings: settings.clone(), live: Mutex::default() };
        Self(settings.iter().map(list).collect())
    }
}

impl List {
    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self, signal: String, effects: Vec<Effect>) -> Reading {
        Reading {
            issuer: self.settings.issuer.clone(),
            // It comes again and again; what is revoked already is not revoked twice.
            id: None,
            signal,
            effects,
            caller: Caller::issuer(StatusList.name(), &self.settings.issuer),
        }
    }
}

impl Protocol for StatusList {
    fn name(&self) -> &'static str {
        "status-list"
    }

    // It is asked for, never sent.
    fn path(&self) -> &'static str {
        ""
    }

    fn media_type(&self) -> &'static str {
        MEDIA_TYPE
    }

    // A trial: of what would change, the first part.
    fn read<'a>(
        &'a self,
        inbound: &'a Inbound,
        inlets: &'a Inlets,
    ) -> BoxFuture<'a, Result<Reading, Refused>> {
        async {
            let heard = hear(inlets, inbound, None).await?;
            let changes = heard.changes(&heard.list.lock().held.clone().unwrap_or_default());
            let first = changes.effects(&heard.list.settings).into_iter().next();
            let effects = first.map(|(_, effects)| effects).unwrap_or_default();
            Ok(heard.list.reading(heard.signal(&changes), effects))
        }
        .boxed()
    }

    fn accepts_repetitions(&self) -> bool {
        true
    }

    fn accepted(&self, _: &Received) -> Response {
        StatusCode::OK.into_response()
    }

    // Nobody gets it; a trial shows it.
    fn error(&self, _: &Cause) -> (StatusCode, &'static str) {
        (StatusCode::BAD_REQUEST, "invalid_request")
    }
}
