//! Whatever becomes of the control plane's messages on their way, what is enforced is what it once held.

use alloc::format;
use alloc::string::ToString;
use alloc::vec;

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::Version;
use crate::cutoff::{Cutoff, CutoffClaim};
use crate::key::HashKey;
use crate::ledger::{Ledger, Live as Revocation};
use crate::selector::Selector;
use crate::set::Digest;
use crate::wire::edge::control_message::Message as Control;
use crate::wire::edge::edge_message::Message as Edge;
use crate::wire::edge::{
    ControlMessage, Delta, EdgeMessage, Header, Heartbeat, Pages, SnapshotChunk, SnapshotInfo,
};

const ISSUER: &str = "https://idp.example";

fn gate() -> Gate {
    let policy = Policy::parse(br#"{"control_plane":{"cluster":"c"}}"#).unwrap();
    Gate::new(policy, Identity::default(), [7; 16], 7, 0)
}

/// A control plane whose whole history is known.
struct Plane {
    ledger: Ledger,
    version: Version,
    deltas: Vec<Delta>,
    digests: Vec<Digest>,
}

impl Plane {
    fn new() -> Self {
        Self { ledger: Ledger::default(), version: 0, deltas: vec![], digests: vec![Digest::default()] }
    }

    fn hash_key() -> HashKey {
        HashKey::new([3; 16])
    }

    fn step(&mut self, n: u8, undo: bool) {
        self.version += 1;
        let selector = Selector::session(ISSUER, &format!("s{n}")).unwrap();
        let live = Revocation {
            key: selector.hash(&Self::hash_key()),
            cutoff: Cutoff::Always,
            expires_at: None,
            reinstated: false,
        };
        let oldest = self.ledger.of_key(live.key).next().map(|(version, _)| version);
        let change = match oldest {
            Some(version) if undo => self.ledger.undo(version),
            _ => self.ledger.revoke(self.version, live),
        };
        let mut delta =
            Delta { from_version: self.version - 1, to_version: self.version, ..Delta::default() };
        change.into_iter().for_each(|change| delta.push(change));
        delta.digest = self.ledger.set().digest().into();
        self.deltas.push(delta);
        self.digests.push(self.ledger.set().digest());
    }

    fn header(&self, snapshot: Option<SnapshotInfo>) -> Control {
        let shape = Selector::session(ISSUER, "s").unwrap().shape().into();
        Control::Header(Header {
            store_id: vec![1; 16],
            hash_key: Self::hash_key().bytes().to_vec(),
            shapes: vec![shape],
            heartbeat_ms: 1_000,
            snapshot,
        })
    }

    /// What a subscriber that says hello is sent.
    fn answer(&self, position: Option<Version>) -> Vec<Control> {
        let digest: Vec<u8> = self.ledger.set().digest().into();
        let mut messages = match position {
            Some(version) if version <= self.version => {
                let since = usize::try_from(version).unwrap();
                let deltas = self.deltas[since..].iter().cloned().map(Control::Delta);
                [self.header(None)].into_iter().chain(deltas).collect()
            }
            _ => {
                let pages = Pages::of(self.ledger.set(), usize::MAX).pop();
                let count = self.ledger.set().len() as u64;
                let (version, digest) = (self.version, digest.clone());
                let info = SnapshotInfo { version, entries: count, digest, current: version };
                let chunk = SnapshotChunk { index: 0, pages, last: true };
                vec![self.header(Some(info)), Control::Chunk(chunk)]
            }
        };
        messages.push(Control::Heartbeat(Heartbeat { version: self.version, digest }));
        messages
    }
}

/// What the way does to a message.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Twice,
    Truncated(usize),
    Garbled(usize, u8),
    Swapped,
    StreamBreaks,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        10 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        1 => (0_usize..200).prop_map(Fate::Truncated),
        1 => (0_usize..200, 1_u8..=255).prop_map(|(at, flip)| Fate::Garbled(at, flip)),
        1 => Just(Fate::Swapped),
        1 => Just(Fate::StreamBreaks),
    ]
}

fn encode(message: Control) -> Vec<u8> {
    ControlMessage { message: Some(message) }.encode_to_vec()
}

proptest! {
    #[test]
    fn a_bad_way_never_makes_a_set_that_never_was(
        steps in proptest::collection::vec((0_u8..6, any::<bool>()), 1..40),
        fates in proptest::collection::vec(fate(), 1..200),
    ) {
        let mut plane = Plane::new();
        let mut gate = gate();
        let mut fates = fates.into_iter();
        let mut steps = steps.into_iter();
        let mut queue: Vec<Control> = Vec::new();
        let mut open = false;
        let mut now = 0;
        for _ in 0..400 {
            now += 10;
            let effects = gate.tick(now);
            open &= !effects.disconnect;
            if effects.connect {
                open = true;
                queue = plane.answer(position(&gate.opened()));
            }
            if let Some((n, undo)) = steps.next() {
                plane.step(n, undo);
                queue.extend(plane.deltas.last().cloned().map(Control::Delta));
            }
            while open && !queue.is_empty() {
                let mut sent = vec![queue.remove(0)];
                let fate = fates.next().unwrap_or(Fate::Arrives);
                // A header that is changed on its way is what TLS is for; here it may be lost or cut short.
                let garbled = matches!(fate, Fate::Garbled(..)) && matches!(sent[0], Control::Header(_));
                match fate {
                    Fate::Lost => sent.clear(),
                    Fate::Twice => sent.push(sent[0].clone()),
                    Fate::Swapped if !queue.is_empty() => sent.insert(0, queue.remove(0)),
                    _ => {}
                }
                for message in sent {
                    let mut bytes = encode(message);
                    match fate {
                        Fate::Truncated(at) => bytes.truncate(at),
                        Fate::Garbled(at, flip) if !garbled => {
                            if let Some(byte) = bytes.get_mut(at) {
                                *byte ^= flip;
                            }
                        }
                        _ => {}
                    }
                    let effects = gate.receive(&bytes, 0);
                    if effects.send.iter().any(|sent| asks_for_snapshot(sent)) {
                        queue = plane.answer(None);
                    }
                    if effects.disconnect {
                        open = false;
                        break;
                    }
                }
                if matches!(fate, Fate::StreamBreaks) && open {
                    gate.closed();
                    open = false;
                }
                if let Some(store) = gate.store() {
                    prop_assert!(plane.digests.contains(&store.set.digest()), "a set that never was");
                }
            }
        }
        // Once the way is good again, the edge arrives where a fresh one would.
        for _ in 0..3_000 {
            now += 50;
            let effects = gate.tick(now);
            if effects.connect {
                queue = plane.answer(position(&gate.opened()));
            }
            for message in core::mem::take(&mut queue) {
                let effects = gate.receive(&encode(message), 0);
                if effects.send.iter().any(|sent| asks_for_snapshot(sent)) {
                    queue = plane.answer(None);
                }
                if effects.disconnect {
                    break;
                }
            }
        }
        let store = gate.store().unwrap();
        prop_assert_eq!((store.version, store.set.digest()), (plane.version, plane.ledger.set().digest()));
    }
}

/// What the hello among these says that the worker has.
fn position(effects: &Effects) -> Option<Version> {
    let hello = EdgeMessage::decode(effects.send[0].as_slice()).unwrap();
    let Some(Edge::Hello(hello)) = hello.message else { panic!("not a hello: {hello:?}") };
    hello.position.map(|position| position.version)
}

/// A gate in agreement with its control plane.
fn synced(plane: &Plane) -> Gate {
    let mut gate = gate();
    assert!(gate.tick(10).connect);
    for message in plane.answer(position(&gate.opened())) {
        gate.receive(&encode(message), 0);
    }
    assert_eq!(gate.store().unwrap().version, plane.version);
    gate
}

#[test]
fn a_resync_that_breaks_off_is_started_over() {
    let mut plane = Plane::new();
    plane.step(1, false);
    let mut gate = synced(&plane);
    // The log has been restored from a backup, and has gone another way since.
    let other = Delta { from_version: 1, to_version: 2, digest: vec![9; 16], ..Delta::default() };
    let effects = gate.receive(&encode(Control::Delta(other)), 0);
    assert!(effects.send.iter().any(|sent| asks_for_snapshot(sent)));
    gate.closed();
    assert!(gate.tick(60_000).connect);
    assert_eq!(position(&gate.opened()), None);
    assert_eq!(gate.store().unwrap().version, 1, "the old set stays in force meanwhile");
    for message in plane.answer(None) {
        gate.receive(&encode(message), 0);
    }
    gate.closed();
    assert!(gate.tick(120_000).connect);
    assert_eq!(position(&gate.opened()), Some(1));
}

#[test]
fn verified_claims_are_not_judged_by_the_places_that_shapes_had() {
    let mut plane = Plane::new();
    plane.step(1, false);
    let mut gate = synced(&plane);
    let claims = |claim: &ClaimPath| match claim.to_string().as_str() {
        "iss" => Some(ISSUER.into()),
        "sid" => Some("s2".into()),
        _ => None,
    };
    let mut request = Request::new(42);
    gate.present_verified(&mut request, 0, claims, || true);
    assert_eq!(gate.decide(request).0, Verdict::Pass(None));
    // The control plane comes back with another shape in the place of the one before.
    gate.closed();
    assert!(gate.tick(60_000).connect);
    gate.opened();
    let Control::Header(mut header) = plane.header(None) else { panic!("not a header") };
    let subject = Selector::subject(ISSUER, "s", CutoffClaim::AuthTime).unwrap();
    header.shapes.insert(0, subject.shape().into());
    let effects = gate.receive(&encode(Control::Header(header)), 0);
    assert!(effects.cut.is_empty(), "{:?}", effects.cut);
    let [again] = effects.reread[..] else { panic!("{:?}", effects.reread) };
    assert_eq!(gate.reread(again.token, claims), None);
}

fn asks_for_snapshot(bytes: &[u8]) -> bool {
    let message = EdgeMessage::decode(bytes).unwrap();
    matches!(message.message, Some(Edge::SnapshotRequest(_)))
}
