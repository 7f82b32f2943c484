//! The one way in for identity providers' messages: what an inlet has understood becomes revocations and
//! reinstatements, in one append together with the event that says what was received.

use std::collections::BTreeSet;

use portcullis_core::UnixSeconds;
use portcullis_core::token::sha256_hex;

use super::answer::Commit;
use super::error::ControlError;
use super::follow::note;
use super::intake::Intake;
use super::plan::{Effect, Plan};
use super::revocation::RevocationId;
use super::{Control, event, require};
use crate::auth::{Actor, Caller, Principal, Scope};
use crate::clock::UnixMillis;
use crate::log::wire::event::Event as Body;
use crate::log::{LogError, NewEvent, wire};
use crate::state::MessageKey;

/// Longest id of a message that is kept as it is, in bytes.
const MAX_ID_BYTES: usize = 256;

/// A message that an inlet has verified and understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The inlet's name.
    pub inlet: &'static str,
    /// The configured issuer that it speaks for; empty where there is none.
    pub issuer: String,
    /// What tells it from the issuer's other messages, and for how long; `None`: it may come again.
    pub id: Option<MessageId>,
    /// The address that it came from.
    pub peer: String,
    /// What it says, in a word or two, for the audit trail.
    pub signal: String,
    /// What follows from it. None is fine: a message may be understood and yet change nothing.
    pub effects: Vec<Effect>,
}

/// What tells a message from others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageId {
    /// Such as `jti`.
    pub text: String,
    /// Until then another with the same text is a repetition: when it would be refused as too old anyway.
    pub remember_until: UnixSeconds,
}

/// What has become of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Received {
    /// It is in the log with all that it caused, and in force.
    Applied(Applied),
    /// The same message has been received before, and nothing was done again.
    Repeated,
}

/// What a message has caused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Applied {
    /// What to wait for.
    pub commit: Commit,
    /// The revocations that it made.
    pub revoked: Vec<RevocationId>,
    /// The revocations that it reinstated.
    pub reinstated: Vec<RevocationId>,
    /// The revocations that it undid.
    pub undone: Vec<RevocationId>,
    /// What of it has no effect, in words.
    pub notes: Vec<String>,
}

/// What a message would cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen {
    /// Whether it has been received before: then nothing.
    pub repeated: bool,
    /// The revocations that it would make.
    pub revoke: Vec<Intake>,
    /// The revocations that it would reinstate.
    pub reinstate: Vec<RevocationId>,
    /// The revocations that it would undo.
    pub undo: Vec<RevocationId>,
    /// What of it has no effect, in words.
    pub notes: Vec<String>,
}

impl Caller {
    /// An issuer that has signed a message to an inlet: it may act on its own tokens, and on nothing else.
    #[must_use]
    pub fn issuer(inlet: &str, issuer: &str) -> Self {
        Self::speaker(inlet, issuer, [issuer.to_owned()])
    }

    /// The same of one that speaks for others as well, or instead: it may act on the tokens of `issuers`, and where
    /// there are none on its own.
    #[must_use]
    pub fn speaker(inlet: &str, issuer: &str, issuers: impl IntoIterator<Item = String>) -> Self {
        let mut issuers: BTreeSet<String> = issuers.into_iter().collect();
        // No issuer would be any.
        if issuers.is_empty() {
            issuers.insert(issuer.to_owned());
        }
        let scopes = [Scope::Revoke].into();
        let principal = Principal { key_id: String::new(), name: issuer.into(), scopes, issuers };
        Self { principal, via: inlet.into() }
    }
}

impl Control {
    /// Takes a message in: all of it or nothing. What is answered here is durable and in force, and stays the
    /// answer to the same message when this process is killed before it could give it. Needs the scope
    /// `revoke`.
    ///
    /// # Errors
    /// By caller, message and log; nothing has been changed then.
    pub async fn receive(&self, message: Message, caller: &Caller) -> Result<Received, ControlError> {
        require(caller, Scope::Revoke)?;
        let message = kept(message);
        let key = key_of(&message);
        // The same message twice at a time: the second one waits until the first is in the state.
        let _turn = match key {
            Some(key) => match self.inner.receiving.get(key.slot(self.inner.receiving.len())) {
                Some(slot) => Some(slot.lock().await),
                None => None,
            },
            None => None,
        };
        let at_ms = self.now_ms();
        if self.is_repetition(key, at_ms) {
            return Ok(Received::Repeated);
        }
        let Plan { revoke, reinstate, undo, users, words, notes } =
            self.plan(&message, caller, at_ms).await?;
        let understood: Vec<Result<Intake, ControlError>> = revoke.into_iter().map(Ok).collect();
        let brings_shapes = self.brings_shapes(&understood);
        let _shapes_turn = if brings_shapes { Some(self.inner.new_shapes.lock().await) } else { None };
        let revoke =
            self.within_shapes(understood).into_iter().collect::<Result<Vec<Intake>, ControlError>>()?;

        let actor = || Actor::from(caller);
        let revoked = revoke.iter().map(|intake| {
            let key = Some(intake.selector.hash(&self.inner.store.log().identity().hash_key));
            NewEvent::new(event(Body::Revoked(intake.revoked.clone()), actor(), at_ms), key)
        });
        let revoked: Vec<NewEvent> = revoked.collect();
        let payloads: Vec<Vec<u8>> = revoked.iter().map(|entry| entry.payload().to_vec()).collect();
        let reinstated = reinstate.iter().map(|(_, reinstated)| Body::Reinstated(reinstated.clone()));
        let undone = undo.iter().map(|(_, undone)| Body::Undone(undone.clone()));
        let others: Vec<NewEvent> = reinstated
            .chain(undone)
            .chain(users)
            .map(|body| NewEvent::new(event(body, actor(), at_ms), None))
            .collect();
        let caused = u32::try_from(revoked.len() + others.len()).unwrap_or(u32::MAX);
        let received = event(Body::Received(record(&message, caused, &notes, &words)), actor(), at_ms);
        let mut events = vec![NewEvent::new(received, None)];
        events.extend(revoked.into_iter().chain(others));
        let versions = self.commit(events, at_ms).await?;
        let ids = (versions.first + 1..).zip(&payloads);
        let applied = Applied {
            commit: Commit { version: versions.last, at_ms },
            revoked: ids.map(|(version, payload)| RevocationId::of(version, payload)).collect(),
            reinstated: reinstate.into_iter().map(|(id, _)| id).collect(),
            undone: undo.into_iter().map(|(id, _)| id).collect(),
            notes,
        };
        note("revoked", applied.revoked.iter().copied(), caller);
        note("taken back", applied.reinstated.iter().chain(&applied.undone).copied(), caller);
        Ok(Received::Applied(applied))
    }

    /// What [`Self::receive`] would do now.
    ///
    /// # Errors
    /// As that has, but for the log being full.
    pub async fn foresee(&self, message: Message, caller: &Caller) -> Result<Foreseen, ControlError> {
        require(caller, Scope::Revoke)?;
        let message = kept(message);
        let at_ms = self.now_ms();
        let repeated = self.is_repetition(key_of(&message), at_ms);
        let Plan { revoke, reinstate, undo, notes, .. } = self.plan(&message, caller, at_ms).await?;
        let reinstate = reinstate.into_iter().map(|(id, _)| id).collect();
        let undo = undo.into_iter().map(|(id, _)| id).collect();
        Ok(Foreseen { repeated, revoke, reinstate, undo, notes })
    }

    fn is_repetition(&self, key: Option<MessageKey>, at_ms: UnixMillis) -> bool {
        key.is_some_and(|key| self.inner.store.read(|state| state.has_received(key, at_ms / 1_000)))
    }

    /// Appends what was received and refused.
    pub(super) async fn record(&self, received: wire::Received, actor: Actor) -> Result<(), LogError> {
        let event = event(Body::Received(received), actor, self.now_ms());
        self.inner.store.append(vec![NewEvent::new(event, None)]).await.map(|_| ())
    }
}

/// The message with texts that can be kept: what changes a terminal, or is long, is not.
fn kept(mut message: Message) -> Message {
    if let Some(id) = &mut message.id {
        id.text = kept_id(&id.text);
    }
    message.signal = printable(&message.signal, MAX_ID_BYTES);
    message
}

/// An id as it is kept: itself, or its hash.
pub(super) fn kept_id(id: &str) -> String {
    if id.len() <= MAX_ID_BYTES && !id.chars().any(char::is_control) {
        id.to_owned()
    } else {
        format!("sha256:{}", sha256_hex(id))
    }
}

/// A text of at most so many bytes that changes nothing on a terminal.
#[must_use]
pub fn printable(text: &str, max: usize) -> String {
    let mut kept = String::new();
    for char in text.chars() {
        let char = if char.is_control() { char::REPLACEMENT_CHARACTER } else { char };
        if kept.len() + char.len_utf8() > max {
            break;
        }
        kept.push(char);
    }
    kept
}

fn key_of(message: &Message) -> Option<MessageKey> {
    message.id.as_ref().map(|id| MessageKey::of(message.inlet, &message.issuer, &id.text))
}

fn record(
    message: &Message,
    caused: u32,
    notes: &[String],
    words: &[(MessageKey, UnixMillis)],
) -> wire::Received {
    let words = words.iter().map(|(about, at_ms)| wire::Word { about: about.to_bytes(), at_ms: *at_ms });
    wire::Received {
        inlet: message.inlet.into(),
        issuer: message.issuer.clone(),
        message_id: message.id.as_ref().map(|id| id.text.clone()).unwrap_or_default(),
        peer: message.peer.clone(),
        signal: message.signal.clone(),
        caused,
        remember_until: message.id.as_ref().map(|id| id.remember_until),
        refusal: String::new(),
        detail: notes.join("; "),
        count: 0,
        words: words.collect(),
    }
}
