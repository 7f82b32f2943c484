//! Reinstating and undoing.

use serde_json::json;

use crate::support::{control_plane, get, post, problem, problem_at, revoke_session, text};

#[tokio::test]
async fn reinstating_leaves_a_cutoff_and_an_end() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    let reply = post(&plane, &format!("/v1/revocations/{id}/reinstate"), json!({"reason": "found it"})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let now = reply.json().unwrap();
    assert_eq!((text(&now, "/id"), text(&now, "/status")), (id.as_str(), "reinstated"));
    assert!(
        now["cutoff"].is_string() && now["expires_at"].is_string() && now["reinstated_at"].is_string(),
        "{now}"
    );
}

#[tokio::test]
async fn undoing_ends_a_revocation() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    let undone = post(&plane, &format!("/v1/revocations/{id}/undo"), json!({})).await.json().unwrap();
    assert_eq!(undone["status"], "undone");
    assert!(undone["ended_at"].is_string());

    let active = get(&plane, "/v1/revocations").await.json().unwrap();
    assert_eq!(active["revocations"], json!([]));
    let ended = get(&plane, "/v1/revocations?status=ended").await.json().unwrap();
    assert_eq!(text(&ended, "/revocations/0/id"), id);
}

#[tokio::test]
async fn the_body_may_be_left_out() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    let call = plane.api().post(&format!("/v1/revocations/{id}/undo")).bearer(plane.admin_key());
    assert_eq!(call.send().await.unwrap().status, 200);
}

#[tokio::test]
async fn what_is_undone_cannot_be_taken_back_again() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    post(&plane, &format!("/v1/revocations/{id}/undo"), json!({})).await;
    for verb in ["undo", "reinstate"] {
        let again = post(&plane, &format!("/v1/revocations/{id}/{verb}"), json!({})).await;
        problem(&again, 409, "not_in_force");
    }
}

#[tokio::test]
async fn what_is_reinstated_can_still_be_undone_but_not_reinstated() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    let reinstate = format!("/v1/revocations/{id}/reinstate");
    assert_eq!(post(&plane, &reinstate, json!({})).await.status, 200);
    problem(&post(&plane, &reinstate, json!({})).await, 409, "already_reinstated");
    assert_eq!(post(&plane, &format!("/v1/revocations/{id}/undo"), json!({})).await.status, 200);
}

#[tokio::test]
async fn receipts_are_given_for_taking_back_as_well() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    let undone = post(&plane, &format!("/v1/revocations/{id}/undo?wait=1s"), json!({})).await.json().unwrap();
    assert_eq!(undone["receipts"]["pending"], 0);
}

#[tokio::test]
async fn an_unknown_field_is_refused_and_nothing_taken_back() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    let reply = post(&plane, &format!("/v1/revocations/{id}/undo"), json!({"why": "mistake"})).await;
    problem_at(&reply, 422, "invalid_field", "/why");
    assert_eq!(get(&plane, &format!("/v1/revocations/{id}")).await.json().unwrap()["status"], "active");
}

#[tokio::test]
async fn an_unknown_id_cannot_be_taken_back() {
    let plane = control_plane().await;
    for path in ["r7-0000/undo", "r7-0000/reinstate", "nonsense/undo", "%2e%2e/undo"] {
        problem(&post(&plane, &format!("/v1/revocations/{path}"), json!({})).await, 404, "not_found");
    }
}
