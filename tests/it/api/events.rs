//! The audit trail.

use serde_json::json;

use crate::support::{ISSUER, control_plane, get, key, post, problem, problem_at, revoke_session, run, text};

#[tokio::test]
async fn every_change_is_there_in_order_with_who_made_it() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    post(&plane, &format!("/v1/revocations/{id}/reinstate"), json!({"reason": "found it"})).await;
    post(&plane, &format!("/v1/revocations/{id}/undo"), json!({"reason": "mistake"})).await;
    key(&plane, &["read"], &[]).await;

    let trail = get(&plane, "/v1/events").await.json().unwrap();
    let events = trail["events"].as_array().unwrap();
    let names: Vec<&str> = events.iter().map(|event| text(event, "/event")).collect();
    assert_eq!(names, ["revoked", "reinstated", "undone", "key_created"]);
    assert!(events.windows(2).all(|pair| pair[0]["version"].as_u64() < pair[1]["version"].as_u64()));
    assert_eq!(text(&events[0], "/revocation"), id);
    assert_eq!((text(&events[0], "/kind"), text(&events[0], "/value")), ("session", "s1"));
    assert_eq!((text(&events[0], "/issuer"), text(&events[0], "/reason")), (ISSUER, "test"));
    assert_eq!(text(&events[2], "/reason"), "mistake");
    assert!(events.iter().all(|event| event["actor"]["via"] == "api"));
    assert_eq!(events[3]["scopes"], json!(["read"]));
}

#[tokio::test]
async fn the_trail_is_read_in_pages() {
    let plane = control_plane().await;
    for sid in ["s1", "s2", "s3"] {
        revoke_session(&plane, sid).await;
    }
    let mut seen = Vec::new();
    let mut after = "0".to_owned();
    loop {
        let page = get(&plane, &format!("/v1/events?limit=2&after={after}")).await.json().unwrap();
        let events = page["events"].as_array().unwrap().iter();
        seen.extend(events.map(|event| text(event, "/value").to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        after = next.to_owned();
    }
    assert_eq!(seen, ["s1", "s2", "s3"]);
}

#[tokio::test]
async fn the_trail_of_one_revocation() {
    let plane = control_plane().await;
    revoke_session(&plane, "s1").await;
    let id = text(&revoke_session(&plane, "s2").await, "/id").to_owned();
    post(&plane, &format!("/v1/revocations/{id}/undo"), json!({})).await;
    let trail = get(&plane, &format!("/v1/events?revocation={id}")).await.json().unwrap();
    let events = trail["events"].as_array().unwrap();
    assert_eq!(events.iter().map(|event| text(event, "/event")).collect::<Vec<_>>(), ["revoked", "undone"]);
}

#[tokio::test]
async fn bad_parameters_are_refused() {
    let plane = control_plane().await;
    problem(&get(&plane, "/v1/events?after=abc").await, 400, "invalid_query");
    problem(&get(&plane, "/v1/events?since=1").await, 400, "invalid_query");
    problem(&get(&plane, "/v1/events?revocation=nonsense").await, 404, "not_found");
}

#[tokio::test]
async fn the_audit_trail_is_verified_and_a_head_recognized_later() {
    let plane = control_plane().await;
    revoke_session(&plane, "s1").await;
    let first = post(&plane, "/v1/events/verify", json!({})).await.json().unwrap();
    assert_eq!((&first["intact"], &first["dropped"]), (&json!(true), &json!(0)), "{first}");
    let head = text(&first, "/head").to_owned();
    assert_eq!(head.split(':').next(), Some(first["events"].to_string().as_str()));
    revoke_session(&plane, "s2").await;
    let later = post(&plane, "/v1/events/verify", json!({"head": head})).await.json().unwrap();
    assert_eq!((&later["intact"], later.get("problem")), (&json!(true), None), "{later}");
    assert_ne!(later["head"], head.as_str());

    let other = format!("1:{}", "0".repeat(64));
    let refused = post(&plane, "/v1/events/verify", json!({"head": other})).await.json().unwrap();
    assert_eq!(refused["problem"], "the head that is expected was never this log's");
    problem_at(&post(&plane, "/v1/events/verify", json!({"head": "1"})).await, 422, "invalid_field", "/head");

    let ran = run(&plane, &["events", "verify", "--head", &head], 0).await;
    assert!(ran.stdout.starts_with("intact: ") && ran.stdout.contains("head "), "{}", ran.stdout);
    let ran = run(&plane, &["events", "verify", "--head", &other], 1).await;
    assert!(ran.stderr.contains("was never this log's"), "{}", ran.stderr);
}
