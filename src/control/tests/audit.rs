use super::*;

async fn trail(plane: &Plane, filter: EventFilter, caller: &Caller) -> Vec<(Version, &'static str)> {
    let page = plane.control.events(filter, FIRST, caller).await.unwrap();
    page.items.iter().map(|event| (event.version, event.what.name())).collect()
}

#[tokio::test]
async fn the_trail_says_who_did_what() {
    let plane = Plane::new().await;
    let id = plane.revoke(session("a")).await.revocation.id;
    plane.revoke(Target::Session { issuer: OTHER.into(), sid: "b".into() }).await;
    plane.control.reinstate(id, "back", &admin()).await.unwrap();
    plane.control.undo(id, "", &admin()).await.unwrap();
    let key = NewKey { name: "ci".into(), scopes: [Scope::Read].into(), issuers: BTreeSet::new() };
    plane.control.create_key(key, &admin()).await.unwrap();
    let all = [(1, "revoked"), (2, "revoked"), (3, "reinstated"), (4, "undone"), (5, "key_created")];
    assert_eq!(trail(&plane, EventFilter::default(), &admin()).await, all);
    let about = EventFilter { revocation: Some(id) };
    assert_eq!(trail(&plane, about, &admin()).await, [(1, "revoked"), (3, "reinstated"), (4, "undone")]);
    let limited = caller(&[Scope::Read], &[OTHER]);
    assert_eq!(trail(&plane, EventFilter::default(), &limited).await, [(2, "revoked")]);
    let hidden = plane.control.events(about, FIRST, &limited).await;
    assert_eq!(hidden, Err(ControlError::NoRevocation(id)));

    let third = PageRequest { cursor: Some(2), limit: 1 };
    let page = plane.control.events(EventFilter::default(), third, &admin()).await.unwrap();
    assert_eq!(page.next, Some(3));
    let event = &page.items[0];
    assert_eq!((event.actor.name.as_str(), event.actor.via.as_str()), ("test", "api"));
    assert!(matches!(&event.what, AuditRecord::Reinstated { id: Some(named), .. } if *named == id));
}
