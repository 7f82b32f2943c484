//! A worker's brain: from tokens to verdicts, and from the control plane's messages to the streams to end.
//!
//! The gate decides and remembers; it never calls the host. Whoever embeds it reads headers, sends bytes and
//! ends streams, and tells the gate the time on every tick.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::Millis;
use crate::claims::{TokenKeys, Verified, keys_of_token, keys_of_verified};
use crate::extract;
use crate::field::{ClaimPath, Kind};
use crate::link::Link;
use crate::live::{Live, StreamId, TokenId};
use crate::policy::{Choice, Mode, Policy, Streams};
use crate::shapes::Shapes;
use crate::sync::{Store, Sync};
use crate::tally::Tally;
use crate::token::{Decoded, Malformed, Token};
use crate::tries::Tries;
use crate::verdict::{Code, Found, Freshness, Verdict, before_the_set, by_the_set, revoked};
use crate::wire::edge::Refused;

mod control_plane;
mod effects;
mod notes;
mod tried;

pub use effects::{Effects, Note};
use notes::Notes;

/// Most requests that one worker holds; above it the policy decides at once.
const MAX_HELD: usize = 10_000;

/// Who this worker is, in its own words.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Envoy's node id.
    pub node: String,
    /// Random, the same for all workers of the process.
    pub process: String,
    /// Random, this worker's own.
    pub worker: String,
    /// The filter's version.
    pub filter_version: String,
}

/// The tokens of one request, while they are presented. [`Gate::decide`] must follow.
#[derive(Debug)]
pub struct Request {
    stream: StreamId,
    found: Found,
    attached: Attached,
}

impl Request {
    /// A request without tokens so far.
    #[must_use]
    pub fn new(stream: StreamId) -> Self {
        Self { stream, found: Found::default(), attached: Attached::default() }
    }
}

/// The tokens that an open stream carries; give it back with [`Gate::leave`].
#[derive(Debug, Default)]
pub struct Attached {
    // Nearly every request has one token: that one needs no allocation.
    first: Option<TokenId>,
    more: Vec<TokenId>,
}

impl Attached {
    fn push(&mut self, token: TokenId) {
        match self.first {
            None => self.first = Some(token),
            Some(_) => self.more.push(token),
        }
    }

    fn iter(&self) -> impl Iterator<Item = TokenId> {
        self.first.into_iter().chain(self.more.iter().copied())
    }
}

/// One worker's gate.
pub struct Gate {
    policy: Rc<Policy>,
    identity: Identity,
    link: Link,
    sync: Sync,
    live: Live,
    decoded: Decoded,
    tally: Tally,
    tries: Tries,
    /// Held requests, until when.
    held: BTreeMap<StreamId, Millis>,
    /// What released requests carry.
    parked: BTreeMap<StreamId, Attached>,
    now: Millis,
    /// When the set was last known to be the control plane's.
    confirmed: Millis,
    /// This stream has confirmed the set, and how often it had to start over since.
    agreed: bool,
    resyncs: u32,
    noted_stale: bool,
    notes: Notes,
    /// The set that was too large when it was last sent.
    refused: Option<Refused>,
    /// The longest silence that says nothing: the heartbeat's own.
    patience: Millis,
}

impl Gate {
    /// A gate that knows nothing yet. `secret` and `seed` are random.
    #[must_use]
    pub fn new(policy: Policy, identity: Identity, secret: [u8; 16], seed: u64, now: Millis) -> Self {
        Self {
            identity,
            link: Link::new(seed),
            sync: Sync::new(policy.limits.revocations),
            policy: Rc::new(policy),
            live: Live::new(secret),
            decoded: Decoded::default(),
            tally: Tally::default(),
            tries: Tries::default(),
            held: BTreeMap::new(),
            parked: BTreeMap::new(),
            now,
            confirmed: now,
            agreed: false,
            resyncs: 0,
            noted_stale: false,
            notes: Notes::new(now),
            refused: None,
            patience: 0,
        }
    }

    /// The configuration; shared, so that a request can go through its places of tokens without copying them.
    #[must_use]
    pub fn policy(&self) -> &Rc<Policy> {
        &self.policy
    }

    /// What is enforced, when there is anything.
    #[must_use]
    pub fn store(&self) -> Option<&Store> {
        self.sync.store()
    }

    /// The process's name is known later than the worker's.
    pub fn set_process(&mut self, process: String) {
        self.identity.process = process;
    }

    /// How long ago the set was known to be the control plane's.
    #[must_use]
    pub fn age(&self) -> Millis {
        self.now.saturating_sub(self.confirmed)
    }

    /// How well the set is known.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        match self.sync.store() {
            None => Freshness::NeverSynced,
            // A bound below the heartbeat would call every healthy edge stale.
            Some(_) if self.age() > self.policy.staleness.after.max(self.patience) => Freshness::Stale,
            Some(_) => Freshness::Current,
        }
    }

    /// Whether something needs a tick sooner than usual.
    #[must_use]
    pub fn is_impatient(&self) -> bool {
        !self.link.is_up() || self.sync.store().is_none() || !self.held.is_empty()
    }

    /// The counts since the last call.
    pub fn take_counts(&mut self) -> Vec<(&'static str, &'static str, u64)> {
        self.tally.take()
    }

    /// Since the last call: tokens for which a shape in use says nothing.
    pub fn take_not_covered(&mut self) -> u64 {
        self.tally.take_not_covered()
    }

    /// Since the last call: tokens that counted as malformed because open streams carry too much already.
    pub fn take_crowded_out(&mut self) -> u64 {
        self.tally.take_crowded_out()
    }

    /// The set that the control plane wants enforced and that this worker does not take.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }

    /// Presents what was found in one place of a request.
    pub fn present(&mut self, request: &mut Request, found: extract::Found<'_>) {
        let raw = match found {
            Ok(None) => return,
            Ok(Some(raw)) => raw,
            Err(_) => {
                request.found.malformed = true;
                return;
            }
        };
        let store = self.sync.store();
        // Without shapes there are no keys, but a malformed token is one already; the others are read again
        // when the set has come.
        let keys = || match store {
            Some(store) => read(store, &mut self.decoded, &raw),
            None => {
                text(&raw).and_then(|raw| Token::read(raw, &mut self.decoded).map(|_| TokenKeys::default()))
            }
        };
        match self.live.raw(&raw, keys) {
            Ok(token) => self.found(request, token),
            Err(_) => request.found.malformed = true,
        }
    }

    /// Presents the claims that the proxy has verified: `place` in the policy's list of tokens names them,
    /// `read` reads one, `is_there` tells whether there are any.
    pub fn present_verified(
        &mut self,
        request: &mut Request,
        place: usize,
        claims: impl FnMut(&ClaimPath) -> Option<Vec<u8>>,
        is_there: impl FnOnce() -> bool,
    ) {
        let none;
        let shapes = if let Some(store) = self.sync.store() {
            &store.shapes
        } else {
            none = Shapes::default();
            &none
        };
        let keys = Verified::gather(shapes, claims).and_then(|verified| {
            if verified.is_empty() && !is_there() {
                return Ok(None);
            }
            let Some(store) = self.sync.store() else { return Ok(Some(TokenKeys::default())) };
            keys_of_verified(&store.hash_key, &store.shapes, &verified).map(Some)
        });
        match keys {
            Ok(None) => {}
            Ok(Some(keys)) => {
                let token = self.live.verified(place, keys);
                self.found(request, token);
            }
            Err(_) => request.found.malformed = true,
        }
    }

    /// The request's stream holds the token from here on, so that no other token drives it out.
    fn found(&mut self, request: &mut Request, token: TokenId) {
        request.found.tokens = true;
        if self.live.keys(token).is_some_and(|keys| keys.not_covered) {
            self.tally.not_covered();
        }
        if self.live.attach(token, request.stream) {
            request.attached.push(token);
        } else {
            self.tally.crowded_out();
            request.found.malformed = true;
        }
    }

    /// Decides. A stream that passes is remembered with its tokens until [`Gate::leave`]. When the verdict is against a
    /// revoked token, [`Gate::tried`] must follow.
    pub fn decide(&mut self, request: Request) -> (Verdict, Attached) {
        let Request { stream, found, attached } = request;
        let verdict = before_the_set(&self.policy, found).unwrap_or_else(|| {
            let until = self.held.get(&stream).copied();
            let waited = until.map_or(self.held.len() >= MAX_HELD, |until| self.now >= until);
            by_the_set(&self.policy, self.freshness(), waited, self.revoked(&attached))
        });
        if verdict == Verdict::Hold {
            let until = self.now.saturating_add(self.policy.startup.hold);
            self.held.entry(stream).or_insert(until);
        } else {
            self.held.remove(&stream);
            self.tally.decided(verdict);
        }
        if let Verdict::Reject(Code::Revoked(_))
        | Verdict::Observe(Code::Revoked(_))
        | Verdict::Mark(Code::Revoked(_)) = verdict
        {
            self.remember(&attached);
        }
        if matches!(verdict, Verdict::Hold | Verdict::Reject(_)) {
            self.detach(stream, &attached);
            return (verdict, Attached::default());
        }
        (verdict, attached)
    }

    /// Whether a request is held.
    #[must_use]
    pub fn holds(&self, stream: StreamId) -> bool {
        self.held.contains_key(&stream)
    }

    /// How many requests are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// A path that is never checked.
    pub fn exempted(&mut self) {
        self.tally.decided(Verdict::Pass(None));
    }

    /// Keeps what a released request carries, for whom nobody else can.
    pub fn park(&mut self, stream: StreamId, attached: Attached) {
        self.parked.insert(stream, attached);
    }

    /// The stream has ended.
    pub fn leave(&mut self, stream: StreamId, attached: &Attached) {
        self.detach(stream, attached);
        self.held.remove(&stream);
        if let Some(parked) = self.parked.remove(&stream) {
            self.detach(stream, &parked);
        }
    }

    fn detach(&mut self, stream: StreamId, attached: &Attached) {
        attached.iter().for_each(|token| self.live.detach(token, stream));
    }

    /// Reads the verified claims of an open stream again; returns why it must end, if it must.
    pub fn reread(
        &mut self,
        token: TokenId,
        claims: impl FnMut(&ClaimPath) -> Option<Vec<u8>>,
    ) -> Option<Code> {
        let store = self.sync.store()?;
        let keys = Verified::gather(&store.shapes, claims)
            .and_then(|verified| keys_of_verified(&store.hash_key, &store.shapes, &verified));
        match keys {
            Ok(keys) => {
                self.live.set_keys(token, keys);
                let kind = self.kind_of(token)?;
                self.cuts().then_some(Code::Revoked(kind))
            }
            Err(_) => {
                self.live.set_keys(token, TokenKeys::default());
                self.cuts_malformed().then_some(Code::Malformed)
            }
        }
    }

    fn revoked(&self, attached: &Attached) -> Option<Kind> {
        attached.iter().filter_map(|token| self.kind_of(token)).min()
    }

    fn kind_of(&self, token: TokenId) -> Option<Kind> {
        let store = self.sync.store()?;
        revoked(&store.set, store.shapes.as_slice(), self.live.keys(token)?)
    }

    fn cuts(&self) -> bool {
        self.policy.mode == Mode::Enforce && self.policy.streams == Streams::Cut
    }

    fn cuts_malformed(&self) -> bool {
        self.cuts() && self.policy.malformed == Choice::Deny
    }
}

fn read(store: &Store, decoded: &mut Decoded, raw: &[u8]) -> Result<TokenKeys, Malformed> {
    keys_of_token(&store.hash_key, &store.shapes, &Token::read(text(raw)?, decoded)?)
}

fn text(raw: &[u8]) -> Result<&str, Malformed> {
    core::str::from_utf8(raw).map_err(|_| Malformed::Characters)
}

#[cfg(test)]
mod tests;
