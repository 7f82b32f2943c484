//! The gate's dealings with the control plane: what it says, and what follows from what it is told.

use alloc::vec::Vec;

use prost::Message;

use super::{Effects, Gate, Note, read};
use crate::live::TokenId;
use crate::policy::Mode;
use crate::sync::{Progress, SyncError};
use crate::verdict::{Code, Freshness};
use crate::wire::PROTOCOL;
use crate::wire::edge::edge_message::Message as Edge;
use crate::wire::edge::{EdgeMessage, Hello, Receipt, Refused, SnapshotRequest};
use crate::{Millis, Version};

/// Longest period between heartbeats that is believed: a longer one would switch the watchdog off.
const MAX_HEARTBEAT: Millis = 60_000;

impl Gate {
    /// Time has passed. At most one connection attempt follows from one tick.
    pub fn tick(&mut self, now: Millis) -> Effects {
        self.now = now;
        self.live.tick();
        let mut effects = Effects::default();
        let stale = self.freshness() == Freshness::Stale;
        if stale && !self.noted_stale {
            effects.notes.push(Note::Stale(self.age()));
        }
        self.noted_stale = stale;
        if self.link.is_silent(now) {
            effects.notes.push(Note::Silent(self.age()));
            self.give_up(&mut effects);
        } else if self.link.is_due(now) {
            effects.connect = true;
        } else if self.link.is_up() && (self.tally.has_rejections() || !self.tries.is_empty()) {
            self.tell(Some(now), &mut effects);
        }
        effects.notes.extend(self.notes.tick(now));
        self.notes.limit(&mut effects.notes);
        effects.retry =
            self.held.iter().filter(|(_, until)| now >= **until).map(|(stream, _)| *stream).collect();
        effects
    }

    /// The stream that was asked for is open.
    pub fn opened(&mut self) -> Effects {
        self.link.opened(self.now);
        self.sync.restart();
        self.agreed = false;
        let hello = Hello {
            protocol: PROTOCOL,
            node: self.identity.node.clone(),
            process: self.identity.process.clone(),
            worker: self.identity.worker.clone(),
            filter_version: self.identity.filter_version.clone(),
            // What could not be continued once is started over, also when the snapshot that was asked for did
            // not arrive whole.
            position: self.sync.position().filter(|_| self.resyncs == 0),
            refused: self.refused,
        };
        Effects { send: alloc::vec![encode(Edge::Hello(hello))], ..Effects::default() }
    }

    /// The stream could not be opened, or has ended.
    pub fn closed(&mut self) {
        self.sync.restart();
        self.link.down(self.now);
    }

    /// The control plane has sent a message. `unix_millis`: the time on the wall.
    pub fn receive(&mut self, message: &[u8], unix_millis: u64) -> Effects {
        let mut effects = Effects::default();
        let before = self.sync.store().map(|store| (store.id, store.version));
        let received = self.sync.receive(message);
        if let Err(SyncError::TooLarge { revocations, limit }) = received {
            self.refused = Some(Refused { revocations, limit });
        }
        match received {
            Ok(progress) => self.progress(progress, unix_millis, before, &mut effects),
            // Starting over twice without agreeing in between would go on for ever.
            Err(error) if error.is_mended_by_snapshot() && self.resyncs == 0 => {
                let reason = alloc::format!("{error}");
                self.resyncs = 1;
                self.sync.await_snapshot();
                effects.send.push(encode(Edge::SnapshotRequest(SnapshotRequest { reason: reason.clone() })));
                effects.notes.push(Note::Resync(reason));
            }
            Err(error) => {
                effects.notes.push(Note::GaveUp(alloc::format!("{error}")));
                self.give_up(&mut effects);
            }
        }
        self.notes.limit(&mut effects.notes);
        effects
    }

    fn progress(
        &mut self,
        progress: Progress,
        unix_millis: u64,
        before: Option<([u8; 16], Version)>,
        effects: &mut Effects,
    ) {
        // What is of no use while a snapshot is waited for must not make the wait endless.
        if progress != Progress::Ignored {
            self.link.heard(self.now);
        }
        match progress {
            Progress::Greeted { heartbeat, reshaped } => {
                let heartbeat = Millis::from(heartbeat).min(MAX_HEARTBEAT);
                self.patience = heartbeat.saturating_mul(3);
                self.link.greeted(self.now, heartbeat);
                if reshaped {
                    self.reshape(effects);
                }
            }
            Progress::Part | Progress::Ignored => {}
            Progress::Confirmed => {
                self.agree(effects);
                // So that the control plane knows that this end lives too.
                self.tell(None, effects);
            }
            Progress::Replaced => {
                self.reshape(effects);
                effects.retry = self.held.keys().copied().collect();
                if let Some(store) = self.sync.store() {
                    let (version, revocations) = (store.version, store.set.len());
                    if let Some((_, from)) = before.filter(|(id, from)| *id == store.id && *from > version) {
                        effects.notes.push(Note::WentBack { from, to: version });
                    }
                    effects.notes.push(Note::Synced { version, revocations });
                }
                self.agreed = true;
                self.agree(effects);
                self.tell(None, effects);
            }
            Progress::Changed { changes, reshaped, accepted_at } => {
                if reshaped {
                    self.reshape(effects);
                } else {
                    let touched = self.live.touched(&changes);
                    self.judge(&touched, effects);
                }
                self.agree(effects);
                self.tell(None, effects);
                effects.propagation = (accepted_at > 0).then(|| unix_millis.saturating_sub(accepted_at));
            }
        }
    }

    /// The set is the control plane's.
    fn agree(&mut self, effects: &mut Effects) {
        self.confirmed = self.now;
        self.resyncs = 0;
        self.refused = None;
        self.link.agreed();
        if !core::mem::replace(&mut self.agreed, true) {
            effects.notes.extend(self.sync.store().map(|store| Note::Resumed(store.version)));
        }
    }

    /// Keys are other ones now: reads the open tokens again.
    fn reshape(&mut self, effects: &mut Effects) {
        let Some(store) = self.sync.store() else { return };
        let reread = self.live.reread(|raw| read(store, &mut self.decoded, raw));
        if self.cuts_malformed() {
            self.cut(&reread.malformed, Code::Malformed, effects);
        }
        effects.reread = reread.verified;
        self.judge_all(effects);
    }

    fn judge_all(&self, effects: &mut Effects) {
        let open = self.live.open();
        self.judge(&open, effects);
    }

    fn judge(&self, tokens: &[TokenId], effects: &mut Effects) {
        if !self.cuts() {
            return;
        }
        for token in tokens {
            if let Some(kind) = self.kind_of(*token) {
                self.cut(&[*token], Code::Revoked(kind), effects);
            }
        }
    }

    fn cut(&self, tokens: &[TokenId], code: Code, effects: &mut Effects) {
        // A stream with two revoked tokens ends once.
        for stream in tokens.iter().flat_map(|token| self.live.streams(*token)) {
            effects.cut.entry(*stream).or_insert(code);
        }
    }

    fn give_up(&mut self, effects: &mut Effects) {
        effects.disconnect = true;
        self.closed();
    }

    /// Says what is enforced and what was rejected; with the time, what was tried as well. Only a tick knows it.
    fn tell(&mut self, now: Option<Millis>, effects: &mut Effects) {
        let Some(store) = self.sync.store() else { return };
        let passed = self.policy.mode != Mode::Enforce;
        let (tried, tried_more) = now.map(|now| self.tries.take(passed, now)).unwrap_or_default();
        let receipt = Receipt {
            version: store.version,
            digest: store.set.digest().into(),
            revocations: store.set.len() as u64,
            rejections: self.tally.take_rejections(),
            tried,
            tried_more,
        };
        effects.send.push(encode(Edge::Receipt(receipt)));
    }
}

fn encode(message: Edge) -> Vec<u8> {
    EdgeMessage { message: Some(message) }.encode_to_vec()
}
