//! Messages of identity providers.

use super::*;

fn message(id: &str, effects: Vec<Effect>) -> Message {
    let id = MessageId { text: id.into(), remember_until: NOW_MS / 1_000 + 60 };
    Message {
        inlet: "test",
        issuer: IDP.into(),
        id: Some(id),
        peer: "192.0.2.1".into(),
        signal: "logout".into(),
        effects,
    }
}

fn idp() -> Caller {
    Caller::issuer("test", IDP)
}

fn revoke(target: Target) -> Effect {
    Effect::Revoke(NewRevocation::new(target))
}

fn disable(sub: &str) -> Effect {
    Effect::Revoke(NewRevocation { until_reinstated: true, ..NewRevocation::new(subject(sub)) })
}

fn enable(sub: &str) -> Effect {
    Effect::Reinstate { target: subject(sub), reason: "enabled".into() }
}

impl Plane {
    async fn receive(&self, message: Message) -> Result<Received, ControlError> {
        self.control.receive(message, &idp()).await
    }

    async fn applied(&self, message: Message) -> Applied {
        match self.receive(message).await.unwrap() {
            Received::Applied(applied) => applied,
            Received::Repeated => panic!("a repetition"),
        }
    }

    async fn trail(&self) -> Vec<AuditEvent> {
        self.control.events(EventFilter::default(), FIRST, &admin()).await.unwrap().items
    }
}

#[tokio::test]
async fn a_message_is_one_append_with_what_it_causes() {
    let plane = Plane::new().await;
    let applied = plane.applied(message("m1", vec![revoke(session("s1")), revoke(session("s2"))])).await;
    assert_eq!(applied.commit.version, 3);
    let trail = plane.trail().await;
    let names: Vec<&str> = trail.iter().map(|event| event.what.name()).collect();
    assert_eq!(names, ["received", "revoked", "revoked"]);
    let AuditRecord::Received { revocations, refusal: None, count: None, .. } = &trail[0].what else {
        panic!("{:?}", trail[0])
    };
    assert_eq!(*revocations, applied.revoked);
    assert!(trail.iter().all(|event| event.actor.via == "test" && event.actor.name == IDP));
    for sid in ["s1", "s2"] {
        assert!(plane.rejects(&format!(r#"{{"iss":"{IDP}","sid":"{sid}"}}"#)).await.is_some());
    }
}

#[tokio::test]
async fn a_repetition_changes_nothing_also_after_a_restart_and_until_its_time() {
    let plane = Plane::new().await;
    plane.applied(message("m1", vec![revoke(session("s1"))])).await;
    assert_eq!(plane.receive(message("m1", vec![revoke(session("s2"))])).await, Ok(Received::Repeated));
    let plane = plane.reopen().await;
    assert_eq!(plane.receive(message("m1", vec![])).await, Ok(Received::Repeated));
    // Of another inlet or issuer it is another message.
    let other = Message { inlet: "other", ..message("m1", vec![]) };
    assert!(matches!(plane.receive(other).await, Ok(Received::Applied(_))));
    plane.advance(61);
    assert!(matches!(plane.receive(message("m1", vec![])).await, Ok(Received::Applied(_))));
    assert_eq!(plane.rejects(&format!(r#"{{"iss":"{IDP}","sid":"s2"}}"#)).await, None);
}

#[tokio::test]
async fn a_message_is_taken_whole_or_not_at_all() {
    let plane = Plane::new().await;
    let other = Target::Session { issuer: OTHER.into(), sid: "s".into() };
    let refused = plane.receive(message("m1", vec![revoke(session("s1")), revoke(other)])).await;
    assert_eq!(refused, Err(ControlError::Issuer(Some(OTHER.into()))));
    let wrong = vec![revoke(session("s1")), revoke(session("s\u{1b}"))];
    assert!(matches!(plane.receive(message("m1", wrong)).await, Err(ControlError::Refused(_))));
    assert_eq!(plane.trail().await, []);
    // What was refused is not remembered.
    plane.applied(message("m1", vec![revoke(session("s1"))])).await;
}

#[tokio::test]
async fn what_comes_too_late_to_matter_is_taken_and_says_so() {
    let plane = Plane::new().await;
    let old = NewRevocation { cutoff_ms: Some(1_000), ..NewRevocation::new(subject("alice")) };
    let applied = plane.applied(message("m1", vec![Effect::Revoke(old)])).await;
    assert_eq!((applied.revoked.len(), applied.notes.len()), (0, 1));
    let AuditRecord::Received { detail, .. } = &plane.trail().await[0].what else { panic!("no message") };
    assert_eq!(*detail, applied.notes[0]);
}

#[tokio::test]
async fn an_account_that_is_enabled_takes_back_what_inlets_have_disabled() {
    let plane = Plane::new().await;
    let by_operator = NewRevocation { until_reinstated: true, ..NewRevocation::new(subject("bob")) };
    let operators = plane.control.revoke(vec![by_operator], &admin()).await.unwrap().remove(0).unwrap();
    let disabled = plane.applied(message("m1", vec![disable("alice"), disable("bob")])).await;
    plane.advance(10);
    let enabled = plane.applied(message("m2", vec![enable("alice"), enable("bob"), enable("carol")])).await;
    assert_eq!(enabled.reinstated, disabled.revoked);
    assert_eq!(enabled.notes.len(), 1);
    let of = |sub: &str, iat: u64| format!(r#"{{"iss":"{IDP}","sub":"{sub}","iat":{iat}}}"#);
    let now = NOW_MS / 1_000;
    assert_eq!(plane.rejects(&of("alice", now + 11)).await, None);
    assert!(plane.rejects(&of("alice", now + 10)).await.is_some());
    // The operator's own is for the operator to take back.
    assert!(plane.rejects(&of("bob", now + 11)).await.is_some());
    assert_eq!(plane.control.get(operators.revocation.id, &admin()).await.unwrap().status, Status::Active);
}

#[tokio::test]
async fn what_an_inlet_undoes_is_its_own_and_lets_the_old_tokens_in() {
    let plane = Plane::new().await;
    let disabled = plane.applied(message("m1", vec![disable("alice")])).await;
    let undo = || Effect::UndoOwn { target: subject("alice"), reason: "valid again".into() };
    let others = Caller::issuer("other", IDP);
    let Ok(Received::Applied(nothing)) = plane.control.receive(message("m2", vec![undo()]), &others).await
    else {
        panic!("not taken")
    };
    assert_eq!((nothing.undone.len(), nothing.notes.len()), (0, 1));
    let foreseen = plane.control.foresee(message("m3", vec![undo()]), &idp()).await.unwrap();
    assert_eq!(foreseen.undo, disabled.revoked);
    let undone = plane.applied(message("m3", vec![undo()])).await;
    assert_eq!((undone.undone, undone.reinstated), (disabled.revoked.clone(), vec![]));
    let old = format!(r#"{{"iss":"{IDP}","sub":"alice","iat":{}}}"#, NOW_MS / 1_000 - 60);
    assert_eq!(plane.rejects(&old).await, None);
    assert_eq!(plane.control.get(disabled.revoked[0], &admin()).await.unwrap().status, Status::Undone);
}

#[tokio::test]
async fn once_is_once() {
    let plane = Plane::new().await;
    let once =
        || Effect::RevokeOnce(NewRevocation::new(Target::Token { issuer: IDP.into(), jti: "t".into() }));
    let again = |effects| Message { id: None, ..message("", effects) };
    assert_eq!(plane.applied(again(vec![once()])).await.revoked.len(), 1);
    let second = plane.applied(again(vec![once()])).await;
    assert_eq!((second.revoked.len(), second.notes.len()), (0, 1));
}

/// What others have revoked, or what ends sooner, is no reason: they take it back, or it ends.
#[tokio::test]
async fn once_is_once_of_the_same_sender_and_for_as_long() {
    let plane = Plane::new().await;
    let again = |effects| Message { id: None, ..message("", effects) };
    let disabled = || {
        let request = NewRevocation { until_reinstated: true, ..NewRevocation::new(subject("alice")) };
        Effect::RevokeOnce(request)
    };
    let others = Caller::issuer("scim", IDP);
    plane.control.receive(again(vec![disable("alice")]), &others).await.unwrap();
    assert_eq!(plane.applied(again(vec![disabled()])).await.revoked.len(), 1);
    assert_eq!(plane.applied(again(vec![disabled()])).await.revoked.len(), 0);
    // The other one takes its own back; this one holds.
    let own = Effect::ReinstateOwn { target: subject("alice"), reason: String::new() };
    plane.control.receive(again(vec![own]), &others).await.unwrap();
    let alice = format!(r#"{{"iss":"{IDP}","sub":"alice","iat":{}}}"#, NOW_MS / 1_000 + 60);
    assert!(plane.rejects(&alice).await.is_some());

    let token = || Target::Token { issuer: IDP.into(), jti: "t".into() };
    let soon = NewRevocation { expires_at: Some(NOW_MS / 1_000 + 60), ..NewRevocation::new(token()) };
    plane.applied(again(vec![Effect::RevokeOnce(soon)])).await;
    let longer = Effect::RevokeOnce(NewRevocation::new(token()));
    assert_eq!(plane.applied(again(vec![longer.clone()])).await.revoked.len(), 1);
    assert_eq!(plane.applied(again(vec![longer])).await.revoked.len(), 0);
}

/// Messages come late, again, and in any order.
#[tokio::test]
async fn an_older_word_about_an_account_takes_nothing_back() {
    let as_of = |at_ms, effect| vec![Effect::AsOf(at_ms, Box::new(effect))];
    let alice = format!(r#"{{"iss":"{IDP}","sub":"alice","iat":{}}}"#, NOW_MS / 1_000 + 60);
    for (words, rejected) in [
        (vec![(100, disable("alice")), (200, enable("alice"))], false),
        (vec![(200, enable("alice")), (100, disable("alice"))], false),
        (vec![(200, disable("alice")), (100, enable("alice"))], true),
        (vec![(100, enable("alice")), (200, disable("alice"))], true),
        (vec![(300, enable("alice")), (200, disable("bob")), (400, disable("alice"))], true),
        (vec![(200, disable("alice")), (200, enable("alice"))], false),
    ] {
        let plane = Plane::new().await;
        let count = words.len();
        for (index, (at, effect)) in words.into_iter().enumerate() {
            plane.applied(message(&format!("m{index}"), as_of(NOW_MS - 1_000 + at, effect))).await;
        }
        assert_eq!(plane.rejects(&alice).await.is_some(), rejected, "{:?}", plane.trail().await);
        // A restart has not forgotten it.
        let plane = plane.reopen().await;
        let late = plane.applied(message("late", as_of(NOW_MS - 1_000, disable("alice")))).await;
        assert_eq!((late.revoked.len(), late.notes.len()), (0, 1), "{count}");
    }
}

#[tokio::test]
async fn foreseeing_changes_nothing() {
    let plane = Plane::new().await;
    let foreseen = plane.control.foresee(message("m1", vec![revoke(session("s1"))]), &idp()).await.unwrap();
    assert_eq!((foreseen.repeated, foreseen.revoke.len()), (false, 1));
    assert_eq!(plane.trail().await, []);
    plane.applied(message("m1", vec![])).await;
    assert!(plane.control.foresee(message("m1", vec![]), &idp()).await.unwrap().repeated);
}

#[tokio::test]
async fn messages_leave_the_log_when_nothing_can_repeat_them() {
    let plane = Plane::new().await;
    plane.applied(message("m1", vec![])).await;
    let long = MessageId { text: "m2".into(), remember_until: NOW_MS / 1_000 + 400 * 86_400 };
    plane.applied(Message { id: Some(long), ..message("", vec![]) }).await;
    plane.advance(91 * 86_400);
    assert_eq!(plane.control.compact().await, Ok(1));
    let plane = plane.reopen().await;
    let repeated = MessageId { text: "m2".into(), remember_until: NOW_MS / 1_000 };
    let repeated = Message { id: Some(repeated), ..message("", vec![]) };
    assert_eq!(plane.receive(repeated).await, Ok(Received::Repeated));
}

#[tokio::test]
async fn refusals_are_in_the_trail_and_bounded() {
    let plane = Plane::new().await;
    let refused = || RefusedMessage {
        inlet: "test",
        peer: "192.0.2.1".into(),
        message_id: "x".repeat(5_000),
        signal: "a\u{1b}b".into(),
        code: "signature_wrong",
        detail: "y".repeat(5_000),
        ..RefusedMessage::default()
    };
    for _ in 0..30 {
        plane.control.refuse(refused()).await;
    }
    assert_eq!(plane.trail().await.len(), 10);
    plane.advance(61);
    plane.control.settle_refusals(false).await;
    let trail = plane.trail().await;
    let AuditRecord::Received { message_id, detail, signal, .. } = &trail[0].what else {
        panic!("no message")
    };
    assert!(message_id.starts_with("sha256:") && detail.len() <= 512 && !signal.contains('\u{1b}'));
    let AuditRecord::Received { count, refusal, .. } = &trail[10].what else { panic!("no message") };
    assert_eq!((*count, refusal.as_deref()), (Some(20), Some("signature_wrong")));
}
