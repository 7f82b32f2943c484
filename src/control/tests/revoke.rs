use super::*;

#[tokio::test]
async fn a_batch_is_accepted_and_refused_one_by_one() {
    let plane = Plane::new().await;
    let requests = vec![
        NewRevocation::new(session("a")),
        NewRevocation::new(session("")),
        NewRevocation::new(subject("b")),
    ];
    let answers = plane.control.revoke(requests, &admin()).await.unwrap();
    let versions: Vec<_> =
        answers.iter().map(|answer| answer.as_ref().map(|done| done.commit.version)).collect();
    assert_eq!(versions, [Ok(1), Err(&Refusal::ValueMissing.into()), Ok(2)]);
    for accepted in answers.into_iter().flatten() {
        let id = accepted.revocation.id;
        assert_eq!(plane.control.get(id, &admin()).await, Ok(accepted.revocation));
    }
    let none = plane.control.revoke(vec![NewRevocation::new(session(""))], &admin()).await.unwrap();
    assert_eq!((none.len(), plane.control.ready()), (1, Ok(2)));
    let many = vec![NewRevocation::new(session("a")); MAX_BATCH + 1];
    let error = plane.control.revoke(many, &admin()).await.unwrap_err();
    assert_eq!(error, Refusal::BatchTooLarge { max: MAX_BATCH }.into());
}

#[tokio::test]
async fn a_revoked_user_who_logs_in_again_gets_in() {
    let plane = Plane::new().await;
    plane.revoke(subject("alice")).await;
    let token = |iat: u64| format!(r#"{{"iss":"{IDP}","sub":"alice","iat":{iat}}}"#);
    let now = NOW_MS / 1_000;
    assert_eq!(plane.rejects(&token(now)).await, Some(Kind::Subject));
    assert_eq!(plane.rejects(&token(now + 1)).await, Some(Kind::Subject));
    assert_eq!(plane.rejects(&token(now + 2)).await, None);
    let other = format!(r#"{{"iss":"{OTHER}","sub":"alice","iat":{now}}}"#);
    assert_eq!(plane.rejects(&other).await, None);
}

#[tokio::test]
async fn undoing_lets_old_tokens_in_and_leaves_other_revocations() {
    let plane = Plane::new().await;
    let token = format!(r#"{{"iss":"{IDP}","sub":"alice","sid":"s","iat":5}}"#);
    let first = plane.revoke(session("s")).await.revocation.id;
    let second = plane.revoke(session("s")).await.revocation.id;
    let undone = plane.control.undo(first, "mistake", &admin()).await.unwrap();
    assert_eq!(undone.revocation.status, Status::Undone);
    assert_eq!((undone.commit.version, undone.revocation.ended_at_ms), (3, Some(NOW_MS)));
    assert_eq!(plane.rejects(&token).await, Some(Kind::Session));
    let again = plane.control.undo(first, "", &admin()).await.unwrap_err();
    assert_eq!(again, ControlError::Ended { id: first, status: Status::Undone });
    assert_eq!(plane.control.reinstate(first, "", &admin()).await.unwrap_err(), again);
    plane.control.undo(second, "", &admin()).await.unwrap();
    assert_eq!(plane.rejects(&token).await, None);
}

#[tokio::test]
async fn reinstating_lets_new_tokens_in_and_happens_once() {
    let plane = Plane::new().await;
    let request = NewRevocation { until_reinstated: true, ..NewRevocation::new(subject("alice")) };
    let answers = plane.control.revoke(vec![request], &admin()).await.unwrap();
    let id = answers[0].as_ref().unwrap().revocation.id;
    plane.advance(10);
    let now = NOW_MS / 1_000 + 10;
    let done = plane.control.reinstate(id, "back", &admin()).await.unwrap().revocation;
    assert_eq!((done.status, done.cutoff), (Status::Reinstated, Cutoff::At(now)));
    assert_eq!((done.expires_at, done.until_reinstated), (Some(now + 3_660), false));
    let token = |iat: u64| format!(r#"{{"iss":"{IDP}","sub":"alice","iat":{iat}}}"#);
    assert_eq!(plane.rejects(&token(now)).await, Some(Kind::Subject));
    assert_eq!(plane.rejects(&token(now + 1)).await, None);
    let again = plane.control.reinstate(id, "", &admin()).await.unwrap_err();
    assert_eq!(again, ControlError::AlreadyReinstated(id));
    assert!(plane.control.undo(id, "", &admin()).await.is_ok());
}

#[tokio::test]
async fn a_mistyped_id_is_nothing() {
    let plane = Plane::new().await;
    let id = plane.revoke(session("a")).await.revocation.id;
    let text = id.to_string();
    let last = if text.ends_with('0') { '1' } else { '0' };
    let mistyped: RevocationId = format!("{}{last}", text.get(..text.len() - 1).unwrap()).parse().unwrap();
    assert_eq!(plane.control.get(mistyped, &admin()).await, Err(ControlError::NoRevocation(mistyped)));
    let undo = plane.control.undo(mistyped, "", &admin()).await;
    assert_eq!(undo, Err(ControlError::NoRevocation(mistyped)));
}

#[tokio::test]
async fn who_may_not_cannot() {
    let plane = Plane::new().await;
    let id = plane.revoke(session("a")).await.revocation.id;
    let reader = caller(&[Scope::Read], &[]);
    let revoker = caller(&[Scope::Revoke], &[]);
    let limited = caller(&[Scope::Read, Scope::Revoke], &[OTHER]);
    let control = &plane.control;
    let one = |target| vec![NewRevocation::new(target)];
    assert_eq!(control.revoke(one(session("b")), &reader).await, Err(ControlError::Scope(Scope::Revoke)));
    assert_eq!(control.undo(id, "", &reader).await, Err(ControlError::Scope(Scope::Revoke)));
    assert_eq!(control.get(id, &revoker).await, Err(ControlError::Scope(Scope::Read)));
    assert_eq!(control.edges(&revoker), Err(ControlError::Scope(Scope::Read)));
    assert_eq!(control.list_keys(&revoker), Err(ControlError::Scope(Scope::Admin)));
    let answers = control.revoke(one(session("b")), &limited).await.unwrap();
    assert_eq!(answers, [Err(ControlError::Issuer(Some(IDP.into())))]);
    let answers = control.revoke(one(Target::RawToken { token: "opaque".into() }), &limited).await.unwrap();
    assert_eq!(answers, [Err(ControlError::Issuer(None))]);
    assert_eq!(control.undo(id, "", &limited).await, Err(ControlError::NoRevocation(id)));
    assert_eq!(control.get(id, &limited).await, Err(ControlError::NoRevocation(id)));
    let claims = Json::parse(format!(r#"{{"iss":"{IDP}","sid":"a"}}"#).as_bytes()).unwrap().into_owned();
    assert_eq!(control.check(&CheckSubject::Claims(claims), &limited).await, Ok(Checked::default()));
    assert_eq!(control.ready(), Ok(1));
}

#[tokio::test]
async fn one_shape_too_many_is_refused_and_the_rest_of_the_batch_is_not() {
    let plane = Plane::new().await;
    let claims = |n: usize| {
        NewRevocation::new(Target::Claims(vec![("iss".into(), IDP.into()), (format!("c{n}"), "x".into())]))
    };
    let answers =
        plane.control.revoke((0..=MAX_CLAIMS_SHAPES).map(claims).collect(), &admin()).await.unwrap();
    let refused = answers.iter().filter(|answer| answer.is_err()).count();
    assert_eq!((refused, answers.last().unwrap().is_err()), (1, true));
    let again = plane.control.revoke(vec![claims(0), claims(99)], &admin()).await.unwrap();
    assert!(again[0].is_ok());
    assert_eq!(again[1], Err(Refusal::TooManyShapes { max: MAX_CLAIMS_SHAPES }.into()));
    // A shape that nothing has any more makes room.
    let id = answers[5].as_ref().unwrap().revocation.id;
    plane.control.undo(id, "", &admin()).await.unwrap();
    assert!(plane.control.revoke(vec![claims(99)], &admin()).await.unwrap()[0].is_ok());
}

#[tokio::test]
async fn a_token_is_checked_as_edges_check_it() {
    let plane = Plane::new().await;
    let raw = |raw: &str| CheckSubject::Token(raw.into());
    plane.revoke(Target::RawToken { token: "opaque-token".into() }).await;
    let checked = plane.control.check(&raw("opaque-token"), &admin()).await.unwrap();
    assert_eq!((checked.kind, checked.since_ms), (Some(Kind::Token), Some(NOW_MS)));
    let another = Checked { warnings: vec![Warning::OpaqueToken], ..Checked::default() };
    assert_eq!(plane.control.check(&raw("another"), &admin()).await, Ok(another));
    assert!(plane.control.check(&raw("not a token"), &admin()).await.unwrap().malformed.is_some());
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let plane = Plane::new().await;
    let all = Filter { status: StatusFilter::All, ..Filter::default() };
    let id = plane.revoke(session("a")).await.revocation.id;
    let undone = plane.revoke(session("b")).await.revocation.id;
    plane.control.undo(undone, "", &admin()).await.unwrap();
    let before = plane.control.list(&all, FIRST, &admin()).await.unwrap();
    let plane = plane.reopen().await;
    assert_eq!(plane.control.list(&all, FIRST, &admin()).await.unwrap(), before);
    assert_eq!(plane.control.ready(), Ok(3));
    assert_eq!(plane.control.get(id, &admin()).await.unwrap().status, Status::Active);
}

#[tokio::test]
async fn calls_at_the_same_time_do_not_bring_too_many_shapes() {
    let plane = Plane::new().await;
    let calls = (0..8).map(|call| {
        let control = plane.control.clone();
        tokio::spawn(async move {
            let claims = |n: usize| Target::Claims(vec![(format!("c{call}x{n}"), "v".to_owned())]);
            let requests = (0..12).map(|n| NewRevocation::new(claims(n))).collect();
            control.revoke(requests, &admin()).await.unwrap().into_iter().filter(Result::is_ok).count()
        })
    });
    let mut accepted = 0;
    for call in calls.collect::<Vec<_>>() {
        accepted += call.await.unwrap();
    }
    assert_eq!(accepted, MAX_CLAIMS_SHAPES);
}
