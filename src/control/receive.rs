//! The one way in for identity providers' messages: what an inlet has understood becomes revocations and
//! reinstatements, in one append together with the event that says what was received.

use portcullis_core::token::sha256_hex;
use portcullis_core::{Cutoff, CutoffClaim, Selector, UnixSeconds, Version};
use prost::Message as _;

use super::answer::Commit;
use super::error::{ControlError, Refusal};
use super::intake::{self, Intake};
use super::request::{NewRevocation, Target};
use super::revocation::RevocationId;
use super::{Control, event, require};
use crate::auth::{Actor, Caller, Scope};
use crate::clock::UnixMillis;
use crate::log::wire::event::Event as Body;
use crate::log::{LogError, NewEvent, Search, wire};
use crate::state::{MessageKey, User};

/// Most effects of one message.
const MAX_EFFECTS: usize = 100;
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

/// What follows from a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// A revocation.
    Revoke(NewRevocation),
    /// A revocation, unless one of the same without a cut-off is in force already.
    RevokeOnce(NewRevocation),
    /// Whatever inlets have revoked of this until reinstated is reinstated. What was revoked through the API
    /// is not: an operator's word is not a provider's to take back.
    Reinstate {
        /// Of what.
        target: Target,
        /// For the audit trail.
        reason: String,
    },
    /// The same of what the sender itself has revoked, by the same inlet.
    ReinstateOwn {
        /// Of what.
        target: Target,
        /// For the audit trail.
        reason: String,
    },
    /// A user is kept as it is here.
    KeepUser(User),
    /// A user is dropped.
    DropUser {
        /// Its issuer.
        issuer: String,
        /// Its id.
        id: String,
    },
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
    /// What of it has no effect, in words.
    pub notes: Vec<String>,
}

/// What a message means for what is in force now.
#[derive(Default)]
struct Plan {
    revoke: Vec<Intake>,
    reinstate: Vec<(RevocationId, wire::Reinstated)>,
    users: Vec<Body>,
    notes: Vec<String>,
}

impl Caller {
    /// An issuer that has signed a message to an inlet: it may act on its own tokens, and on nothing else.
    #[must_use]
    pub fn issuer(inlet: &str, issuer: &str) -> Self {
        let principal = crate::auth::Principal {
            key_id: String::new(),
            name: issuer.into(),
            scopes: [Scope::Revoke].into(),
            issuers: [issuer.to_owned()].into(),
        };
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
        let Plan { revoke, reinstate, users, notes } = self.plan(&message, caller, at_ms).await?;
        let understood: Vec<Result<Intake, ControlError>> = revoke.into_iter().map(Ok).collect();
        let brings_shapes = self.brings_shapes(&understood);
        let _shapes_turn = if brings_shapes { Some(self.inner.new_shapes.lock().await) } else { None };
        let revoke =
            self.within_shapes(understood).into_iter().collect::<Result<Vec<Intake>, ControlError>>()?;

        let actor = || Actor::from(caller);
        let revoked = revoke.iter().map(|intake| {
            let key = Some(intake.selector.hash(&self.inner.store.log().identity().hash_key));
            NewEvent { event: event(Body::Revoked(intake.revoked.clone()), actor(), at_ms), key }
        });
        let revoked: Vec<NewEvent> = revoked.collect();
        let payloads: Vec<Vec<u8>> = revoked.iter().map(|entry| entry.event.encode_to_vec()).collect();
        let reinstated = reinstate.iter().map(|(_, reinstated)| NewEvent {
            event: event(Body::Reinstated(reinstated.clone()), actor(), at_ms),
            key: None,
        });
        let users: Vec<NewEvent> = users
            .into_iter()
            .map(|body| NewEvent { event: event(body, actor(), at_ms), key: None })
            .collect();
        let caused = u32::try_from(revoked.len() + reinstate.len() + users.len()).unwrap_or(u32::MAX);
        let received = event(Body::Received(record(&message, caused, &notes)), actor(), at_ms);
        let mut events = vec![NewEvent { event: received, key: None }];
        events.extend(revoked.into_iter().chain(reinstated).chain(users));
        let versions = self.inner.store.append(events).await?;
        let ids = (versions.first + 1..).zip(&payloads);
        Ok(Received::Applied(Applied {
            commit: Commit { version: versions.last, at_ms },
            revoked: ids.map(|(version, payload)| RevocationId::of(version, payload)).collect(),
            reinstated: reinstate.into_iter().map(|(id, _)| id).collect(),
            notes,
        }))
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
        let Plan { revoke, reinstate, users: _, notes } = self.plan(&message, caller, at_ms).await?;
        let reinstate = reinstate.into_iter().map(|(id, _)| id).collect();
        Ok(Foreseen { repeated, revoke, reinstate, notes })
    }

    fn is_repetition(&self, key: Option<MessageKey>, at_ms: UnixMillis) -> bool {
        key.is_some_and(|key| self.inner.store.read(|state| state.has_received(key, at_ms / 1_000)))
    }

    async fn plan(
        &self,
        message: &Message,
        caller: &Caller,
        at_ms: UnixMillis,
    ) -> Result<Plan, ControlError> {
        if message.effects.len() > MAX_EFFECTS {
            return Err(Refusal::BatchTooLarge { max: MAX_EFFECTS }.into());
        }
        let mut plan = Plan::default();
        for effect in &message.effects {
            match effect {
                Effect::Revoke(request) => match self.understand(request, caller, at_ms) {
                    Ok(intake) => plan.revoke.push(intake),
                    // Late, but right: there is nothing left to revoke.
                    Err(ControlError::Refused(refusal @ Refusal::CutoffTooOld)) => {
                        plan.notes.push(refusal.to_string());
                    }
                    Err(error) => return Err(error),
                },
                Effect::RevokeOnce(request) => {
                    let intake = self.understand(request, caller, at_ms)?;
                    if self.is_revoked(&intake) {
                        plan.notes.push("it is revoked already".into());
                    } else {
                        plan.revoke.push(intake);
                    }
                }
                Effect::Reinstate { target, reason } | Effect::ReinstateOwn { target, reason } => {
                    let is_theirs = |by: &Actor| match effect {
                        Effect::ReinstateOwn { .. } => by.via == caller.via,
                        _ => by.via != "api",
                    };
                    let found = self.to_reinstate(target, reason, caller, at_ms, is_theirs).await?;
                    if found.is_empty() {
                        plan.notes.push("nothing that an inlet has revoked until reinstated".into());
                    }
                    plan.reinstate.extend(found);
                }
                Effect::KeepUser(user) => plan.users.push(Body::UserKept(user.clone().into())),
                Effect::DropUser { issuer, id } => {
                    let dropped = wire::UserDropped { issuer: issuer.clone(), id: id.clone() };
                    plan.users.push(Body::UserDropped(dropped));
                }
            }
        }
        Ok(plan)
    }

    fn is_revoked(&self, intake: &Intake) -> bool {
        let key = intake.selector.hash(&self.inner.store.log().identity().hash_key);
        self.inner
            .store
            .read(|state| state.ledger().of_key(key).any(|(_, live)| live.cutoff == Cutoff::Always))
    }

    async fn to_reinstate(
        &self,
        target: &Target,
        reason: &str,
        caller: &Caller,
        at_ms: UnixMillis,
        is_theirs: impl Fn(&Actor) -> bool,
    ) -> Result<Vec<(RevocationId, wire::Reinstated)>, ControlError> {
        intake::check_reason(reason)?;
        let request = NewRevocation { until_reinstated: true, ..NewRevocation::new(target.clone()) };
        let selector = self.understand(&request, caller, at_ms)?.selector;
        let hash_key = &self.inner.store.log().identity().hash_key;
        // The issuer's cutoff_claim may have been another one when it was revoked.
        let keys = [CutoffClaim::Iat, CutoffClaim::AuthTime].into_iter().filter_map(|claim| {
            let requirements =
                selector.requirements().map(|(field, value)| (field.clone(), value.to_owned()));
            Selector::new(requirements.collect(), claim).ok().map(|selector| selector.hash(hash_key))
        });
        let keys: Vec<_> = keys.collect();
        let versions: Vec<Version> = self.inner.store.read(|state| {
            let live = keys.iter().flat_map(|key| state.ledger().of_key(*key));
            let held = live.filter(|(_, live)| live.expires_at.is_none() && !live.reinstated);
            held.map(|(version, _)| version).take(MAX_EFFECTS).collect()
        });
        let stories = self.stories(Search::Versions(versions)).await?;
        let theirs = stories.into_iter().filter(|(revocation, _)| is_theirs(&revocation.created_by));
        Ok(theirs
            .map(|(revocation, revoked)| {
                let version = revocation.version();
                (revocation.id, intake::reinstate(version, &revoked, reason, at_ms))
            })
            .collect())
    }

    /// Appends what was received and refused.
    pub(super) async fn record(&self, received: wire::Received, actor: Actor) -> Result<(), LogError> {
        let event = event(Body::Received(received), actor, self.now_ms());
        self.inner.store.append(vec![NewEvent { event, key: None }]).await.map(|_| ())
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

fn record(message: &Message, caused: u32, notes: &[String]) -> wire::Received {
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
    }
}
