//! What the gate does besides what `tests/fuzz.rs` plays through: starting over, and claims verified by others.

use alloc::string::ToString;
use alloc::vec;

use prost::Message;

use super::*;
use crate::Version;
use crate::cutoff::{Cutoff, CutoffClaim};
use crate::key::HashKey;
use crate::ledger::{Ledger, Live as Revocation};
use crate::selector::Selector;
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

/// A control plane.
struct Plane {
    ledger: Ledger,
    version: Version,
}

impl Plane {
    fn new() -> Self {
        Self { ledger: Ledger::default(), version: 0 }
    }

    fn hash_key() -> HashKey {
        HashKey::new([3; 16])
    }

    fn revoke(&mut self, session: &str) {
        self.version += 1;
        let selector = Selector::session(ISSUER, session).unwrap();
        let live = Revocation {
            key: selector.hash(&Self::hash_key()),
            cutoff: Cutoff::Always,
            expires_at: None,
            reinstated: false,
        };
        assert!(self.ledger.revoke(self.version, live).is_some());
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

    /// What a subscriber that has nothing is sent.
    fn snapshot(&self) -> Vec<Control> {
        let (version, set) = (self.version, self.ledger.set());
        let digest: Vec<u8> = set.digest().into();
        let pages = Pages::of(set, usize::MAX).pop();
        let count = set.len() as u64;
        let info = SnapshotInfo { version, entries: count, digest: digest.clone(), current: version };
        let chunk = SnapshotChunk { index: 0, pages, last: true };
        let heartbeat = Heartbeat { version, digest };
        vec![self.header(Some(info)), Control::Chunk(chunk), Control::Heartbeat(heartbeat)]
    }
}

fn encode(message: Control) -> Vec<u8> {
    ControlMessage { message: Some(message) }.encode_to_vec()
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
    assert_eq!(position(&gate.opened()), None);
    for message in plane.snapshot() {
        gate.receive(&encode(message), 0);
    }
    assert_eq!(gate.store().unwrap().version, plane.version);
    gate
}

#[test]
fn a_resync_that_breaks_off_is_started_over() {
    let mut plane = Plane::new();
    plane.revoke("s1");
    let mut gate = synced(&plane);
    // The log has been restored from a backup, and has gone another way since.
    let other = Delta { from_version: 1, to_version: 2, digest: vec![9; 16], ..Delta::default() };
    let effects = gate.receive(&encode(Control::Delta(other)), 0);
    assert!(effects.send.iter().any(|sent| asks_for_snapshot(sent)));
    gate.closed();
    assert!(gate.tick(60_000).connect);
    assert_eq!(position(&gate.opened()), None);
    assert_eq!(gate.store().unwrap().version, 1, "the old set stays in force meanwhile");
    for message in plane.snapshot() {
        gate.receive(&encode(message), 0);
    }
    gate.closed();
    assert!(gate.tick(120_000).connect);
    assert_eq!(position(&gate.opened()), Some(1));
}

#[test]
fn verified_claims_are_not_judged_by_the_places_that_shapes_had() {
    let mut plane = Plane::new();
    plane.revoke("s1");
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
