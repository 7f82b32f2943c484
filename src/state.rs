//! What follows from the log: the live revocations, the shapes in use, the API keys, the messages seen lately.
//!
//! A function of the events applied, in their order, and of nothing else; every reader of the same log
//! arrives at the same state. Owns no clock, no disk and no lock.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_core::ledger::Live;
use portcullis_core::set::Change;
use portcullis_core::{HashKey, Key, Ledger, Shape, UnixSeconds, Version};

use crate::auth::{Actor, Scope, SecretHash};
use crate::clock::UnixMillis;
use crate::log::wire::event::Event as Body;
use crate::log::{EventError, cutoff_of, selector_of, wire};

mod messages;
mod shapes;
#[cfg(test)]
mod tests;
mod users;

use messages::Memory;
pub use messages::MessageKey;
use shapes::Shapes;
pub use users::{Email, Kept, User, Users};

/// The state at one version of the log.
#[derive(Clone, Debug)]
pub struct State {
    hash_key: HashKey,
    version: Version,
    ledger: Ledger,
    shapes: Shapes,
    keys: BTreeMap<String, ApiKey>,
    // So that who still uses one can be told.
    deleted_keys: BTreeMap<String, SecretHash>,
    messages: Memory<()>,
    words: Memory<UnixMillis>,
    users: Users,
}

/// An API key, as far as it is kept.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// What people call it.
    pub name: String,
    /// Of its secret.
    pub secret: SecretHash,
    /// What it is good for.
    pub scopes: BTreeSet<Scope>,
    /// The issuers that it may act on; empty for all.
    pub issuers: BTreeSet<String>,
    /// When it was made.
    pub created_at_ms: UnixMillis,
    /// Who made it.
    pub created_by: Actor,
}

/// What an event has changed for edges.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    /// The entries of the set that changed.
    pub changed: Vec<Key>,
    /// The shapes that were not in use before.
    pub shapes: Vec<Shape>,
}

/// An event cannot be applied: the log is damaged, or of a later release.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StateError {
    /// Not the next version.
    #[error("event {found} follows event {version}")]
    Order {
        /// The state's.
        version: Version,
        /// The event's.
        found: Version,
    },
    /// Of a type that this release does not know.
    #[error("event {0} is of an unknown type: it was written by a later release")]
    Unknown(Version),
    /// Its content makes no sense.
    #[error("event {version}: {error}")]
    Content {
        /// The event's.
        version: Version,
        /// What is wrong.
        error: EventError,
    },
}

impl State {
    /// The state before the first event.
    #[must_use]
    pub fn new(hash_key: HashKey) -> Self {
        Self {
            hash_key,
            version: 0,
            ledger: Ledger::default(),
            shapes: Shapes::default(),
            keys: BTreeMap::new(),
            deleted_keys: BTreeMap::new(),
            messages: Memory::default(),
            words: Memory::default(),
            users: Users::default(),
        }
    }

    /// Applies the next event. Versions only grow; the log warrants that what it leaves out has no effect.
    ///
    /// # Errors
    /// When it is not a later event, or makes no sense. The state is what it was.
    pub fn apply(&mut self, version: Version, event: wire::Event) -> Result<Effect, StateError> {
        if version <= self.version {
            return Err(StateError::Order { version: self.version, found: version });
        }
        let content = |error| StateError::Content { version, error };
        let mut effect = Effect::default();
        let wire::Event { at_ms, actor, event } = event;
        // The events' own time, so that every reader of the log sees the same.
        let at_ms = u64::try_from(at_ms).unwrap_or_default();
        match event.ok_or(StateError::Unknown(version))? {
            Body::Revoked(revoked) => {
                let (cutoff, expires_at) = (cutoff_of(&revoked), revoked.expires_at);
                let (key, place) = match self.shapes.find(&revoked) {
                    Some((place, shape)) => {
                        let values = revoked.requirements.iter().map(|required| required.value.as_str());
                        (Key::of(&self.hash_key, shape, values), place)
                    }
                    None => {
                        let selector = selector_of(revoked).map_err(content)?;
                        (selector.hash(&self.hash_key), self.shapes.place(selector.shape()))
                    }
                };
                let change = self.ledger.revoke(version, Live { key, cutoff, expires_at, reinstated: false });
                effect.shapes.extend(self.shapes.used(key, place).cloned());
                self.note(change, &mut effect);
            }
            Body::Reinstated(reinstated) => {
                let wire::Reinstated { revocation, cutoff, expires_at, .. } = reinstated;
                let change = self.ledger.reinstate(revocation, cutoff, expires_at);
                self.note(change, &mut effect);
            }
            Body::Undone(undone) => {
                let change = self.ledger.undo(undone.revocation);
                self.note(change, &mut effect);
            }
            Body::Swept(swept) => {
                for change in self.ledger.sweep(swept.until) {
                    self.note(Some(change), &mut effect);
                }
            }
            Body::KeyCreated(created) => {
                let key = api_key(&created, actor.as_ref(), at_ms).ok_or(EventError::Key).map_err(content)?;
                self.keys.insert(created.id, key);
            }
            Body::KeyDeleted(deleted) => {
                if let Some(key) = self.keys.remove(&deleted.id) {
                    self.deleted_keys.insert(deleted.id, key.secret);
                }
            }
            Body::Received(received) => {
                if let Some(until) = received.remember_until {
                    let wire::Received { inlet, issuer, message_id, .. } = &received;
                    self.messages.remember(MessageKey::of(inlet, issuer, message_id), (), until);
                    for word in &received.words {
                        if let Some(about) = MessageKey::from_bytes(&word.about) {
                            self.words.remember(about, word.at_ms, until);
                        }
                    }
                }
            }
            Body::UserKept(kept) => {
                self.users.keep((&kept).into(), version, at_ms);
            }
            Body::UserDropped(dropped) => self.users.drop(&dropped.issuer, &dropped.id),
        }
        let now = at_ms / 1_000;
        self.messages.forget(now);
        self.words.forget(now);
        self.version = version;
        Ok(effect)
    }

    /// The log has been read up to there; what is missing had no effect.
    pub fn advance(&mut self, version: Version) {
        self.version = self.version.max(version);
    }

    /// The version of the last event applied.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The live revocations.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The secret under which selectors are hashed.
    #[must_use]
    pub fn hash_key(&self) -> &HashKey {
        &self.hash_key
    }

    /// The shapes in use.
    pub fn shapes(&self) -> impl Iterator<Item = &Shape> {
        self.shapes.iter()
    }

    /// Whether any live revocation has that shape.
    #[must_use]
    pub fn uses(&self, shape: &Shape) -> bool {
        self.shapes.iter().any(|used| used == shape)
    }

    /// The API keys by id.
    #[must_use]
    pub fn keys(&self) -> &BTreeMap<String, ApiKey> {
        &self.keys
    }

    /// The secrets of API keys that were deleted, by id.
    #[must_use]
    pub fn deleted_keys(&self) -> &BTreeMap<String, SecretHash> {
        &self.deleted_keys
    }

    /// Whether a message has been received that is remembered at that time.
    #[must_use]
    pub fn has_received(&self, message: MessageKey, now: UnixSeconds) -> bool {
        self.messages.holds(message, now)
    }

    /// As of when a message has last said something of an account.
    #[must_use]
    pub fn last_word(&self, about: MessageKey) -> Option<UnixMillis> {
        self.words.newest(about)
    }

    /// The users that identity providers have told of.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.users
    }

    fn note(&mut self, change: Option<Change>, effect: &mut Effect) {
        let Some(change) = change else { return };
        if change.cutoff.is_none() {
            self.shapes.unused(change.key);
        }
        effect.changed.push(change.key);
    }
}

fn api_key(created: &wire::KeyCreated, actor: Option<&wire::Actor>, at_ms: UnixMillis) -> Option<ApiKey> {
    Some(ApiKey {
        name: created.name.clone(),
        secret: SecretHash::from_bytes(&created.secret_sha256)?,
        // A scope of a later release gives this one nothing to allow.
        scopes: created.scopes.iter().filter_map(|scope| Scope::from_name(scope)).collect(),
        issuers: created.issuers.iter().cloned().collect(),
        created_at_ms: at_ms,
        created_by: actor.map(Actor::from).unwrap_or_default(),
    })
}
