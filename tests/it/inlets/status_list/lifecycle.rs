//! Lists that change, go away, and come back.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::*;
use crate::inlets::support::{SETTINGS, events, last_received};
use crate::support::{get, post};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_is_invalid_or_suspended_is_rejected_and_what_is_valid_again_is_not() {
    let (issuer, shelf, plane) = stage(&[0, 1, 0, 2, 3, 0]).await;
    // Those beyond the end, 6 and 7, are not: no edge knows how long a list is.
    assert_eq!(rejected(&plane, &issuer, 8).await, [1, 3]);
    // The same index of another list, or another issuer's, is another token's; and a text is not a number.
    let other = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims(&issuer, 1);
        change(&mut claims);
        crate::inlets::support::rejected_as(&plane, claims)
    };
    assert_eq!(
        other(&|claims| claims["status"]["status_list"]["uri"] = json!("https://x.example/")).await,
        None
    );
    assert_eq!(other(&|claims| claims["iss"] = json!("https://other.example")).await, None);
    assert_eq!(other(&|claims| claims["status"] = json!({"idx": 1})).await, None);

    shelf.publish(token(&issuer, &[0, 1, 0, 0, 3, 1])).await;
    assert_eq!(rejected(&plane, &issuer, 8).await, [1, 5]);
    let undone = events(&plane, "undone").await;
    assert_eq!(undone.len(), 1);
    assert_eq!(undone[0]["reason"], "valid again in its status list");
    let revoked: Vec<Value> =
        events(&plane, "revoked").await.iter().map(|event| event["reason"].clone()).collect();
    let (invalid, suspended) = ("invalid in its status list", "suspended in its status list");
    assert_eq!(revoked, [invalid, suspended, invalid]);
    // One entry for each list that has changed something: who, from where, what it was.
    let received = events(&plane, "received").await;
    assert_eq!(received.len(), 2, "{received:?}");
    assert_eq!((&received[1]["inlet"], &received[1]["peer"]), (&json!("status-list"), &json!(uri(&issuer))));
    assert_eq!(
        received[1]["signal"],
        "status list: 1 entries not valid any more, 1 valid again, 1 of other meaning"
    );
    let metrics = plane.api().get("/metrics").send().await.unwrap().text();
    let fetched = format!("status_list_fetched_timestamp_seconds{{uri=\"{}\"}}", uri(&issuer));
    assert!(metrics.contains(&fetched), "{metrics}");
    assert!(
        metrics.contains(r#"inlet_messages_total{inlet="status-list",outcome="applied"} 2"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn more_than_one_append_can_hold_is_taken_in_parts() {
    let mut statuses = vec![1; 250];
    let (issuer, shelf, plane) = stage(&statuses).await;
    assert_eq!(events(&plane, "revoked").await.len(), 250);
    assert_eq!(events(&plane, "received").await.len(), 3);
    statuses[7] = 0;
    shelf.publish(token(&issuer, &statuses)).await;
    assert_eq!((events(&plane, "revoked").await.len(), events(&plane, "undone").await.len()), (250, 1));
    assert_eq!(rejected(&plane, &issuer, 10).await, [0, 1, 2, 3, 4, 5, 6, 8, 9]);
}

/// What is beyond its end is not valid because of that, and one without entries says nothing of anybody.
#[tokio::test]
async fn a_list_that_becomes_shorter_takes_nothing_back() {
    let (issuer, shelf, plane) = stage(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 1]).await;
    shelf.publish(token(&issuer, &[0, 0, 1])).await;
    assert_eq!(rejected(&plane, &issuer, 12).await, [2, 9]);
    shelf.put(answer(token(&issuer, &[])));
    plane.log().wait_for("the list has no entry", PATIENCE).await.unwrap();
    assert_eq!(rejected(&plane, &issuer, 12).await, [2, 9]);
}

#[tokio::test]
async fn a_restart_does_nothing_twice_and_makes_up_for_what_was_missed() {
    let (issuer, shelf, mut plane) = stage(&[1, 2, 0, 0]).await;
    plane.kill().await.unwrap();
    plane.restart().await.unwrap();
    shelf.asked_twice().await;
    assert_eq!((events(&plane, "revoked").await.len(), events(&plane, "received").await.len()), (2, 1));
    plane.kill().await.unwrap();
    shelf.put(answer(token(&issuer, &[1, 0, 0, 1])));
    plane.restart().await.unwrap();
    shelf.asked_twice().await;
    assert_eq!(rejected(&plane, &issuer, 4).await, [0, 3]);
    assert_eq!((events(&plane, "revoked").await.len(), events(&plane, "undone").await.len()), (3, 1));
}

#[tokio::test]
async fn a_list_that_cannot_be_used_changes_nothing() {
    let (issuer, shelf, plane) = stage(&[1, 0]).await;
    let valid_again = || token(&issuer, &[0, 0]);
    let failures = async || {
        let metrics = plane.api().get("/metrics").send().await.unwrap().text();
        let name = "portcullis_control_status_list_failures_total";
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or("x 0").to_owned();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let html = Answer { headers: vec![("content-type", "text/html".into())], ..answer(valid_again()) };
    let moved =
        Answer { status: 302, headers: vec![("location", "/lists/2".into())], ..answer(valid_again()) };
    let tampered = answer(valid_again());
    let tampered = Answer { body: format!("{}AAAA", &tampered.body[..tampered.body.len() - 4]), ..tampered };
    let huge = Answer { body: "x".repeat(3_000_000), ..answer(valid_again()) };
    let down = Answer { status: 503, ..answer(valid_again()) };
    for (spoilt, logged, refused) in [
        (down, "it answers 503", None),
        (moved, "redirect (302)", None),
        (huge, "larger than", None),
        (html, "content type", Some("unsupported_media_type")),
        (tampered, "the signature is wrong", Some("signature_wrong")),
        (answer(valid_again().claim("sub", "urn:x")), "sub is not the address", Some("sub_wrong")),
        (answer(valid_again().without("sub")), "sub is missing", Some("claim_missing")),
    ] {
        let before = failures().await;
        shelf.put(spoilt);
        plane.log().wait_for(logged, PATIENCE).await.unwrap();
        assert_eq!(rejected(&plane, &issuer, 2).await, [0], "{logged}");
        assert!(failures().await > before, "{logged}");
        if let Some(refused) = refused {
            assert_eq!(last_received(&plane).await["refused"], refused);
        }
        // The pause after a failure starts again only when it has worked.
        shelf.publish(token(&issuer, &[1, 0])).await;
    }
    assert_eq!(events(&plane, "undone").await.len(), 0);
    shelf.publish(valid_again()).await;
    assert_eq!(rejected(&plane, &issuer, 2).await, Vec::<usize>::new());
}

#[tokio::test]
async fn a_list_that_is_not_there_at_the_start_is_asked_for_again() {
    let (issuer, shelf) = Shelf::start().await;
    let plane = plane_of(&issuer, "", "").start().await.unwrap();
    plane.log().wait_for("it answers 404", PATIENCE).await.unwrap();
    shelf.publish(token(&issuer, &[0, 1])).await;
    assert_eq!(rejected(&plane, &issuer, 2).await, [1]);
}

#[tokio::test]
async fn a_list_is_asked_for_by_its_media_type_and_again_when_its_ttl_is_over() {
    let (issuer, shelf) = Shelf::start().await;
    shelf.put(answer(token(&issuer, &[0, 1]).claim("ttl", 1)));
    let rarely = config(&issuer, "").replace("\"20ms\"", "\"1h\"");
    let setup = crate::support::setup().issuer(&issuer, SETTINGS).config(&rarely);
    let plane = setup.start().await.unwrap();
    // The configured hour is longer than the second that the list is good for.
    shelf.publish(token(&issuer, &[1, 1]).claim("ttl", 1)).await;
    assert_eq!(rejected(&plane, &issuer, 2).await, [0, 1]);
    assert_eq!(shelf.accepted(), "application/statuslist+jwt");
}

#[tokio::test]
async fn a_list_at_a_private_address_must_be_meant() {
    let (issuer, shelf) = Shelf::start().await;
    shelf.put(answer(token(&issuer, &[1])));
    let setup = crate::support::setup().issuer(&issuer, "audiences = [\"portcullis\"]");
    let plane = setup.config(&config(&issuer, "")).start().await.unwrap();
    plane.log().wait_for("at the private address 127.0.0.1", PATIENCE).await.unwrap();
    assert_eq!((shelf.fetched(), rejected(&plane, &issuer, 1).await.len()), (0, 0));
}

#[tokio::test]
async fn operators_see_what_a_list_has_done_and_their_own_is_left_alone() {
    let (issuer, shelf, plane) = stage(&[2, 0]).await;
    let list = get(&plane, "/v1/revocations").await.json().unwrap();
    let theirs = &list["revocations"][0];
    assert_eq!(theirs["claims"]["/status/status_list/idx"], "0", "{theirs}");
    assert_eq!((&theirs["until_reinstated"], &theirs["kind"]), (&json!(true), &json!("claims")));
    let own = json!({"kind": "claims", "claims": theirs["claims"], "until_reinstated": true});
    assert_eq!(post(&plane, "/v1/revocations", own).await.status, 201);
    shelf.publish(token(&issuer, &[0, 0])).await;
    // An operator's word is not a provider's to take back.
    assert_eq!(rejected(&plane, &issuer, 2).await, [0]);
    assert_eq!(events(&plane, "undone").await.len(), 1);
}
