use portcullis_core::wire::edge;
use portcullis_core::{Cutoff, CutoffClaim, Selector};

use super::*;
use crate::log::wire_requirements;

fn event(body: Body) -> wire::Event {
    wire::Event { at_ms: 5, actor: None, event: Some(body) }
}

fn revoked(selector: &Selector, expires_at: Option<u64>) -> wire::Event {
    event(Body::Revoked(wire::Revoked {
        requirements: wire_requirements(selector),
        expires_at,
        ..Default::default()
    }))
}

fn session(sid: &str) -> Selector {
    Selector::session("https://i", sid).unwrap()
}

#[test]
fn shapes_come_and_go_with_their_keys() {
    let mut state = State::new(HashKey::new([1; 16]));
    let shapes = |state: &State| state.shapes().cloned().collect::<Vec<_>>();
    let effect = state.apply(1, revoked(&session("a"), Some(10))).unwrap();
    assert_eq!(effect.shapes, [session("a").shape().clone()]);
    assert_eq!(state.apply(2, revoked(&session("b"), Some(20))).unwrap().shapes, []);
    // A second revocation of the same key.
    assert_eq!(state.apply(3, revoked(&session("b"), Some(30))).unwrap(), Effect::default());
    state.apply(4, event(Body::Swept(wire::Swept { until: 20 }))).unwrap();
    assert_eq!(shapes(&state).len(), 1);
    state.apply(5, event(Body::Undone(wire::Undone { revocation: 3, reason: String::new() }))).unwrap();
    assert_eq!(shapes(&state), []);
    let key = Selector::key("https://i", "k").unwrap();
    assert_eq!(state.apply(6, revoked(&key, None)).unwrap().shapes, [key.shape().clone()]);
    assert_eq!(shapes(&state), [key.shape().clone()]);
}

#[test]
fn events_about_nothing_change_nothing() {
    let mut state = State::new(HashKey::new([1; 16]));
    let undone = event(Body::Undone(wire::Undone { revocation: 9, reason: String::new() }));
    assert_eq!(state.apply(1, undone).unwrap(), Effect::default());
    assert_eq!(state.version(), 1);
}

#[test]
fn what_cannot_be_applied_leaves_the_state() {
    let mut state = State::new(HashKey::new([1; 16]));
    state.apply(3, revoked(&session("a"), None)).unwrap();
    let again = state.apply(3, revoked(&session("b"), None));
    assert_eq!(again, Err(StateError::Order { version: 3, found: 3 }));
    let unknown = wire::Event { at_ms: 1, actor: None, event: None };
    assert_eq!(state.apply(4, unknown), Err(StateError::Unknown(4)));
    let empty = event(Body::Revoked(wire::Revoked::default()));
    assert_eq!(state.apply(4, empty), Err(StateError::Content { version: 4, error: EventError::Selector }));
    assert_eq!((state.version(), state.ledger().len()), (3, 1));
    let key = session("a").hash(state.hash_key());
    assert_eq!(state.ledger().set().get(key), Some(Cutoff::Always));
}

#[test]
fn a_known_shape_does_not_make_a_selector_valid() {
    let mut state = State::new(HashKey::new([1; 16]));
    state.apply(1, revoked(&session("a"), None)).unwrap();
    let requirements = wire_requirements(&session("b"));
    for value in [String::new(), "x".repeat(portcullis_core::selector::MAX_VALUE_BYTES + 1)] {
        let mut wrong = requirements.clone();
        wrong[1].value = value;
        let wrong = event(Body::Revoked(wire::Revoked { requirements: wrong, ..Default::default() }));
        let refused = StateError::Content { version: 2, error: EventError::Selector };
        assert_eq!(state.apply(2, wrong), Err(refused));
    }
    // In another order it is the same selector.
    let reversed = requirements.into_iter().rev().collect();
    let reversed = event(Body::Revoked(wire::Revoked { requirements: reversed, ..Default::default() }));
    let effect = state.apply(2, reversed).unwrap();
    assert_eq!(effect, Effect { changed: vec![session("b").hash(state.hash_key())], shapes: vec![] });
}

#[test]
fn another_cutoff_claim_is_another_shape() {
    let mut state = State::new(HashKey::new([1; 16]));
    let subject = |claim| Selector::subject("https://i", "s", claim).unwrap();
    let (issued, logged_in) = (subject(CutoffClaim::Iat), subject(CutoffClaim::AuthTime));
    state.apply(1, revoked(&issued, None)).unwrap();
    let other = event(Body::Revoked(wire::Revoked {
        requirements: wire_requirements(&logged_in),
        cutoff_claim: edge::CutoffClaim::AuthTime.into(),
        ..Default::default()
    }));
    let effect = state.apply(2, other).unwrap();
    assert_eq!(effect.changed, [logged_in.hash(state.hash_key())]);
    assert_eq!(effect.shapes, [logged_in.shape().clone()]);
}

#[test]
fn api_keys_come_and_go() {
    let mut state = State::new(HashKey::new([1; 16]));
    let created = wire::KeyCreated {
        id: "k1".into(),
        name: "ci".into(),
        secret_sha256: SecretHash::of("secret").to_bytes(),
        scopes: vec!["revoke".into(), "of-a-later-release".into()],
        issuers: vec![],
    };
    state.apply(1, event(Body::KeyCreated(created.clone()))).unwrap();
    assert_eq!(state.keys()["k1"].scopes, [Scope::Revoke].into());
    assert!(state.keys()["k1"].secret.matches(&SecretHash::of("secret")));
    let short = wire::KeyCreated { secret_sha256: vec![1], ..created };
    assert!(state.apply(2, event(Body::KeyCreated(short))).is_err());
    state.apply(2, event(Body::KeyDeleted(wire::KeyDeleted { id: "k1".into() }))).unwrap();
    assert!(state.keys().is_empty());
}
