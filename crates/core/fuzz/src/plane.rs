//! A control plane whose whole past is known, and what each of its versions says of a token, worked out without
//! keys, hashes or sets.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::ledger::Live;
use portcullis_core::wire::edge::control_message::Message as Control;
use portcullis_core::wire::edge::{Delta, Header, Heartbeat, Pages, SnapshotChunk, SnapshotInfo};
use portcullis_core::{Change, Cutoff, CutoffClaim, Digest, HashKey, Kind, Ledger, Selector, Shape, Version};

const ISSUER: &str = "https://idp.example";
const HASH_KEY: HashKey = HashKey::new([3; 16]);

/// Who is revoked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Who {
    /// The session of that number.
    Session(u8),
    /// The user of that number, who has four sessions.
    User(u8),
}

/// A token: its session, and when it was issued.
#[derive(Clone, Copy, Debug)]
pub struct Bearer {
    /// The session; a quarter of it is the user.
    pub session: u8,
    /// `iat`, if it says.
    pub issued_at: Option<u64>,
}

impl Bearer {
    /// The token, signed by nobody.
    #[must_use]
    pub fn raw(self) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let (session, user) = (self.session, self.session / 4);
        let time = self.issued_at.map(|seconds| format!(r#","iat":{seconds}"#)).unwrap_or_default();
        let payload = format!(r#"{{"iss":"{ISSUER}","sub":"u{user}","sid":"s{session}"{time}}}"#);
        format!("{}.{}.c2ln", encode(r#"{"alg":"RS256"}"#), encode(&payload))
    }
}

/// What the control plane held at one version.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The set's digest.
    pub digest: Digest,
    live: BTreeMap<Version, (Who, Cutoff)>,
}

impl Past {
    /// Why a token is rejected, if it is.
    #[must_use]
    pub fn rejects(&self, bearer: Bearer) -> Option<Kind> {
        let matches = |who: Who| {
            self.live.values().any(|(revoked, cutoff)| {
                let too_old = match (cutoff, bearer.issued_at) {
                    (Cutoff::Always, _) | (_, None) => true,
                    (Cutoff::At(cutoff), Some(issued)) => issued <= *cutoff,
                };
                *revoked == who && strictest(&self.live, who) == Some(*cutoff) && too_old
            })
        };
        let session = matches(Who::Session(bearer.session)).then_some(Kind::Session);
        session.or_else(|| matches(Who::User(bearer.session / 4)).then_some(Kind::Subject))
    }
}

fn strictest(live: &BTreeMap<Version, (Who, Cutoff)>, who: Who) -> Option<Cutoff> {
    live.values().filter(|(revoked, _)| *revoked == who).map(|(_, cutoff)| *cutoff).max()
}

/// The control plane.
#[derive(Debug, Default)]
pub struct Plane {
    ledger: Ledger,
    shapes: Vec<Shape>,
    deltas: Vec<Delta>,
    // By version; the first is the empty log's.
    past: Vec<Past>,
}

impl Plane {
    /// One that nothing has happened to.
    #[must_use]
    pub fn new() -> Self {
        Self { past: vec![Past::default()], ..Self::default() }
    }

    /// Where its log stands.
    #[must_use]
    pub fn version(&self) -> Version {
        self.past.len() as Version - 1
    }

    /// What it held at every version.
    #[must_use]
    pub fn past(&self) -> &[Past] {
        &self.past
    }

    /// What it holds now.
    #[must_use]
    pub fn now(&self) -> &Past {
        self.past.last().unwrap_or_else(|| panic!("a past without a beginning"))
    }

    /// Revokes, and returns what subscribers are sent.
    pub fn revoke(&mut self, who: Who, cutoff: Cutoff) -> Control {
        let (version, selector) = (self.version() + 1, selector(who));
        let mut live = self.now().live.clone();
        live.insert(version, (who, cutoff));
        let shape = selector.shape().clone();
        let added = (!self.shapes.contains(&shape)).then_some(shape);
        let entry = Live { key: selector.hash(&HASH_KEY), cutoff, expires_at: None, reinstated: false };
        let change = self.ledger.revoke(version, entry);
        self.step(live, change, added)
    }

    /// Takes the oldest revocation of somebody back, if there is one.
    pub fn undo(&mut self, who: Who) -> Option<Control> {
        let mut live = self.now().live.clone();
        let oldest = *live.iter().find(|(_, (revoked, _))| *revoked == who)?.0;
        live.remove(&oldest);
        let change = self.ledger.undo(oldest);
        Some(self.step(live, change, None))
    }

    fn step(
        &mut self,
        live: BTreeMap<Version, (Who, Cutoff)>,
        change: Option<Change>,
        added: Option<Shape>,
    ) -> Control {
        let from_version = self.version();
        let mut delta = Delta { from_version, to_version: from_version + 1, ..Delta::default() };
        delta.shapes = added.iter().map(Into::into).collect();
        change.into_iter().for_each(|change| delta.push(change));
        delta.digest = self.ledger.set().digest().into();
        self.shapes.extend(added);
        self.past.push(Past { digest: self.ledger.set().digest(), live });
        self.deltas.push(delta.clone());
        Control::Delta(delta)
    }

    /// What a subscriber is sent that has this version, or nothing. `per_message`: entries or changes in one;
    /// 0 sends a catch-up as the changes were made.
    #[must_use]
    pub fn answer(&self, position: Option<Version>, per_message: usize) -> Vec<Control> {
        let known = position.and_then(|version| self.past.get(usize::try_from(version).ok()?));
        let mut messages = match (position, known) {
            (Some(version), Some(past)) => self.catch_up(version, past, per_message),
            _ => self.snapshot(per_message.max(1)),
        };
        messages.push(self.heartbeat());
        messages
    }

    fn header(&self, snapshot: Option<SnapshotInfo>) -> Control {
        Control::Header(Header {
            store_id: vec![1; 16],
            hash_key: HASH_KEY.bytes().to_vec(),
            shapes: self.shapes.iter().map(Into::into).collect(),
            heartbeat_ms: 1_000,
            snapshot,
        })
    }

    fn snapshot(&self, per_chunk: usize) -> Vec<Control> {
        let (set, digest) = (self.ledger.set(), self.now().digest.into());
        let version = self.version();
        let info = SnapshotInfo { version, entries: set.len() as u64, digest, current: version };
        let chunks = Pages::of(set, per_chunk);
        let last = chunks.len() - 1;
        let chunk = |(at, pages)| {
            let index = u32::try_from(at).unwrap_or(u32::MAX);
            Control::Chunk(SnapshotChunk { index, pages: Some(pages), last: at == last })
        };
        [self.header(Some(info))].into_iter().chain(chunks.into_iter().enumerate().map(chunk)).collect()
    }

    fn catch_up(&self, version: Version, past: &Past, per_message: usize) -> Vec<Control> {
        let mut messages = vec![self.header(None)];
        if per_message == 0 {
            let since = self.deltas.iter().filter(|delta| delta.from_version >= version).cloned();
            messages.extend(since.map(|delta| Control::Delta(Delta { shapes: vec![], ..delta })));
            return messages;
        }
        let whose: BTreeSet<Who> =
            past.live.values().chain(self.now().live.values()).map(|(who, _)| *who).collect();
        let changes: Vec<Change> = whose
            .into_iter()
            .filter(|who| strictest(&past.live, *who) != strictest(&self.now().live, *who))
            .map(|who| Change {
                key: selector(who).hash(&HASH_KEY),
                cutoff: strictest(&self.now().live, who),
            })
            .collect();
        let parts: Vec<&[Change]> = changes.chunks(per_message).collect();
        for (at, part) in parts.iter().enumerate() {
            let mut delta = Delta { from_version: version, to_version: self.version(), ..Delta::default() };
            part.iter().for_each(|change| delta.push(*change));
            if at == parts.len() - 1 {
                delta.digest = self.now().digest.into();
            }
            messages.push(Control::Delta(delta));
        }
        // Changes that have taken each other back still move the version.
        if parts.is_empty() && version < self.version() {
            let digest = self.now().digest.into();
            let delta =
                Delta { from_version: version, to_version: self.version(), digest, ..Delta::default() };
            messages.push(Control::Delta(delta));
        }
        messages
    }

    /// Nothing new.
    #[must_use]
    pub fn heartbeat(&self) -> Control {
        Control::Heartbeat(Heartbeat { version: self.version(), digest: self.now().digest.into() })
    }
}

fn selector(who: Who) -> Selector {
    let selector = match who {
        Who::Session(number) => Selector::session(ISSUER, &format!("s{number}")),
        Who::User(number) => Selector::subject(ISSUER, &format!("u{number}"), CutoffClaim::Iat),
    };
    selector.unwrap_or_else(|error| panic!("{who:?}: {error}"))
}
