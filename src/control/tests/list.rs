use super::*;

async fn ids(plane: &Plane, filter: Filter) -> Vec<Version> {
    let page = plane.control.list(&filter, FIRST, &admin()).await.unwrap();
    assert_eq!(page.next, None);
    page.items.iter().map(Revocation::version).collect()
}

#[tokio::test]
async fn lists_are_filtered() {
    let plane = Plane::new().await;
    plane.revoke(session("a")).await; // 1
    plane.revoke(subject("a")).await; // 2
    plane.revoke(Target::Session { issuer: OTHER.into(), sid: "a".into() }).await; // 3
    let undone = plane.revoke(session("a")).await.revocation.id; // 4
    plane.control.undo(undone, "", &admin()).await.unwrap(); // 5
    plane.revoke(Target::TokenSha256 { hex: "Ab".repeat(32) }).await; // 6
    let all = Filter { status: StatusFilter::All, ..Filter::default() };
    assert_eq!(ids(&plane, Filter::default()).await, [6, 3, 2, 1]);
    assert_eq!(ids(&plane, all.clone()).await, [6, 4, 3, 2, 1]);
    assert_eq!(ids(&plane, Filter { status: StatusFilter::Ended, ..all.clone() }).await, [4]);
    assert_eq!(ids(&plane, Filter { kind: Some(Kind::Subject), ..all.clone() }).await, [2]);
    assert_eq!(ids(&plane, Filter { issuer: Some(OTHER.into()), ..all.clone() }).await, [3]);
    assert_eq!(ids(&plane, Filter { value: Some("a".into()), ..all.clone() }).await, [4, 3, 2, 1]);
    let exact = Filter {
        kind: Some(Kind::Session),
        issuer: Some(IDP.into()),
        value: Some("a".into()),
        ..all.clone()
    };
    assert_eq!(ids(&plane, exact.clone()).await, [4, 1]);
    assert_eq!(ids(&plane, Filter { status: StatusFilter::Active, ..exact }).await, [1]);
    let token = Filter { kind: Some(Kind::Token), value: Some(format!("sha256:{}", "aB".repeat(32))), ..all };
    assert_eq!(ids(&plane, token).await, [6]);
}

#[tokio::test]
async fn pages_join_up_whatever_their_size_and_the_filter() {
    let plane = Plane::new().await;
    for batch in 0..6 {
        let target =
            |n: usize| if n.is_multiple_of(3) { subject(&n.to_string()) } else { session(&n.to_string()) };
        let requests = (batch * 100..batch * 100 + 100).map(|n| NewRevocation::new(target(n))).collect();
        plane.control.revoke(requests, &admin()).await.unwrap();
    }
    for (status, kind, expect) in [
        (StatusFilter::Active, None, 600),
        (StatusFilter::All, None, 600),
        (StatusFilter::Active, Some(Kind::Subject), 200),
        (StatusFilter::All, Some(Kind::Session), 400),
        (StatusFilter::Ended, None, 0),
    ] {
        for limit in [1_000, 256, 77] {
            let filter = Filter { kind, status, ..Filter::default() };
            let mut seen = Vec::new();
            let mut cursor = None;
            loop {
                let page = PageRequest { cursor, limit };
                let page = plane.control.list(&filter, page, &admin()).await.unwrap();
                assert!(page.items.len() <= limit);
                seen.extend(page.items.iter().map(Revocation::version));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert!(seen.is_sorted_by(|one, next| one > next));
            assert_eq!(seen.len(), expect, "{status:?} {kind:?} by {limit}");
        }
    }
}

#[tokio::test]
async fn a_page_is_full_however_rare_what_is_asked_for() {
    let plane = Plane::new().await;
    plane.revoke(subject("first")).await;
    for batch in 0..6 {
        let requests = (0..1_000).map(|n| NewRevocation::new(session(&format!("{batch}-{n}")))).collect();
        plane.control.revoke(requests, &admin()).await.unwrap();
    }
    plane.revoke(subject("last")).await;
    for status in [StatusFilter::Active, StatusFilter::All] {
        let filter = Filter { kind: Some(Kind::Subject), status, ..Filter::default() };
        assert_eq!(ids(&plane, filter).await, [6_002, 1]);
    }
}

#[tokio::test]
async fn a_limited_key_sees_its_own() {
    let plane = Plane::new().await;
    plane.revoke(session("a")).await;
    plane.revoke(Target::Session { issuer: OTHER.into(), sid: "a".into() }).await;
    plane.revoke(Target::RawToken { token: "opaque".into() }).await;
    let page =
        plane.control.list(&Filter::default(), FIRST, &caller(&[Scope::Read], &[OTHER])).await.unwrap();
    assert_eq!(page.items.iter().map(Revocation::version).collect::<Vec<_>>(), [2]);
}
