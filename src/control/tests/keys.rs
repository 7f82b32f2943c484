use super::*;

fn new_key(name: &str, scopes: &[Scope], issuers: &[&str]) -> NewKey {
    NewKey {
        name: name.into(),
        scopes: scopes.iter().copied().collect(),
        issuers: issuers.iter().map(ToString::to_string).collect(),
    }
}

#[tokio::test]
async fn a_key_works_until_it_is_deleted() {
    let plane = Plane::new().await;
    let key = new_key(" ci ", &[Scope::Revoke], &[IDP]);
    let created = plane.control.create_key(key, &admin()).await.unwrap();
    let principal = plane.control.authenticate(created.text.reveal()).unwrap();
    assert_eq!((principal.name.as_str(), principal.key_id.as_str()), ("ci", created.key.id.as_str()));
    assert!(principal.may(Scope::Revoke) && !principal.may(Scope::Read));
    assert!(!principal.may_act_on(Some(OTHER)));

    let plane = plane.reopen().await;
    assert!(plane.control.authenticate(created.text.reveal()).is_ok());
    assert_eq!(plane.control.list_keys(&admin()).unwrap(), std::slice::from_ref(&created.key));
    plane.control.delete_key(&created.key.id, &admin()).await.unwrap();
    assert_eq!(plane.control.authenticate(created.text.reveal()), Err(AuthError::Unknown));
    let again = plane.control.delete_key(&created.key.id, &admin()).await;
    assert_eq!(again, Err(ControlError::NoKey(created.key.id)));
}

#[tokio::test]
async fn the_first_admin_key_is_made_once() {
    let plane = Plane::new().await;
    let created = plane.control.first_admin_key().await.unwrap().unwrap();
    assert!(plane.control.authenticate(created.text.reveal()).unwrap().may(Scope::Admin));
    assert_eq!(plane.control.first_admin_key().await, Ok(None));
    assert_eq!(plane.reopen().await.control.first_admin_key().await, Ok(None));
}

#[tokio::test]
async fn the_last_admin_key_stays() {
    let plane = Plane::new().await;
    let first = plane.control.first_admin_key().await.unwrap().unwrap().key.id;
    plane.control.create_key(new_key("ci", &[Scope::Read], &[]), &admin()).await.unwrap();
    let refused = Err(ControlError::LastAdminKey(first.clone()));
    assert_eq!(plane.control.delete_key(&first, &admin()).await, refused);
    let second =
        plane.control.create_key(new_key("two", &[Scope::Admin], &[]), &admin()).await.unwrap().key.id;
    let caller = admin();
    // Of two calls at once, one comes too late.
    let (one, two) =
        tokio::join!(plane.control.delete_key(&first, &caller), plane.control.delete_key(&second, &caller));
    assert_eq!((one, two), (Ok(()), Err(ControlError::LastAdminKey(second))));
}

#[tokio::test]
async fn keys_that_make_no_sense_are_refused() {
    let plane = Plane::new().await;
    let long = "x".repeat(2_049);
    for (key, expect) in [
        (new_key(" ", &[Scope::Read], &[]), "key_name_invalid"),
        (new_key("a\nb", &[Scope::Read], &[]), "key_name_invalid"),
        (new_key("ci", &[], &[]), "key_scopes_missing"),
        (new_key("ci", &[Scope::Read], &[""]), "key_issuers_invalid"),
        (new_key("ci", &[Scope::Read], &[&long]), "key_issuers_invalid"),
        (new_key("ci", &[Scope::Admin], &[IDP]), "key_admin_limited"),
    ] {
        match plane.control.create_key(key, &admin()).await {
            Err(ControlError::Refused(refusal)) => assert_eq!(refusal.code(), expect),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(plane.control.ready(), Ok(0));
}
