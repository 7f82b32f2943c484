//! Many revocations in one request.

use std::time::Duration;

use portcullis_testbed::{ControlPlane, Reply};
use serde_json::{Value, json};

use crate::support::{ISSUER, control_plane, get, key, lines, problem};

async fn batch(plane: &ControlPlane, key: &str, body: String) -> Reply {
    let call = plane.api().post("/v1/revocations/batch").bearer(key);
    call.header("content-type", "application/x-ndjson").body(body).send().await.unwrap()
}

fn session(sid: impl std::fmt::Display) -> String {
    format!("{}\n", json!({"kind": "session", "issuer": ISSUER, "value": sid.to_string()}))
}

#[tokio::test]
async fn each_line_is_accepted_or_refused_by_itself() {
    let plane = control_plane().await;
    let body = [
        session("s1"),
        "{\"kind\":\n".to_owned(),
        json!({"kind": "session", "issuer": ISSUER}).to_string() + "\n",
        "\n".to_owned(),
        session("s2"),
        json!({"kind": "subject", "issuer": ISSUER, "value": "a", "cutoff": "2100-01-01T00:00:00Z"})
            .to_string(),
    ];
    let reply = batch(&plane, plane.admin_key(), body.concat()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    let results = lines(&reply.text());
    let seen: Vec<(u64, Option<&str>)> = results
        .iter()
        .map(|result| (result["line"].as_u64().unwrap(), result["error"]["code"].as_str()))
        .collect();
    let expect = [
        (1, None),
        (2, Some("not_json")),
        (3, Some("value_missing")),
        (5, None),
        (6, Some("cutoff_in_future")),
    ];
    assert_eq!(seen, expect);
    assert!(results[0]["id"].is_string() && results[0]["version"].is_u64());
    let list = get(&plane, "/v1/revocations").await.json().unwrap();
    assert_eq!(list["revocations"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn more_lines_than_one_append_takes_are_all_in_force() {
    let plane = control_plane().await;
    let body: String = (0..2_500).map(session).collect();
    let results = lines(&batch(&plane, plane.admin_key(), body).await.text());
    assert_eq!(results.len(), 2_500);
    assert!(results.iter().all(|result| result["error"].is_null()));
    let check = json!({"claims": {"iss": ISSUER, "sid": "2499"}});
    let answer = crate::support::post(&plane, "/v1/check", check).await.json().unwrap();
    assert_eq!(answer["revoked"], true);
}

#[tokio::test]
async fn a_line_that_is_too_long_is_refused_and_the_next_is_not() {
    let plane = control_plane().await;
    let body = session("x".repeat(20_000)) + &session("s2");
    let results = lines(&batch(&plane, plane.admin_key(), body).await.text());
    assert_eq!(results[0]["error"]["code"], "too_large");
    assert!(results[1]["id"].is_string());
}

#[tokio::test]
async fn an_empty_batch_has_no_results() {
    let plane = control_plane().await;
    let reply = batch(&plane, plane.admin_key(), String::new()).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, ""));
}

#[tokio::test]
async fn a_caller_who_may_not_revoke_gets_a_status_and_not_results() {
    let plane = control_plane().await;
    let key = key(&plane, &["read"], &[]).await;
    problem(&batch(&plane, &key, session("s1")).await, 403, "scope");
    problem(&batch(&plane, &key, "not json\n".to_owned()).await, 403, "scope");
}

#[tokio::test]
async fn lines_of_another_issuer_are_refused_one_by_one() {
    let plane = control_plane().await;
    let key = key(&plane, &["revoke"], &[ISSUER]).await;
    let other = json!({"kind": "session", "issuer": "https://other.example", "value": "s"});
    let results = lines(&batch(&plane, &key, session("s1") + &other.to_string()).await.text());
    assert!(results[0]["id"].is_string());
    assert_eq!(results[1]["error"]["code"], "issuer");
}

#[tokio::test]
async fn another_content_type_is_refused() {
    let plane = control_plane().await;
    let call = plane.api().post("/v1/revocations/batch").bearer(plane.admin_key());
    let reply = call.header("content-type", "application/json").body(session("s1")).send().await.unwrap();
    problem(&reply, 415, "unsupported_media_type");
}

#[tokio::test]
async fn results_come_as_they_are_ready() {
    let plane = control_plane().await;
    // More than an append takes, so that the first results are there before the last line is read.
    let body: String = (0..1_200).map(session).collect();
    let call = plane.api().post("/v1/revocations/batch").bearer(plane.admin_key());
    let mut stream = call.header("content-type", "application/x-ndjson").body(body).open().await.unwrap();
    let first = stream.next_chunk().await.unwrap().unwrap();
    let first: Value = serde_json::from_slice(first.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(first["line"], 1);
    stream.ended(Duration::from_secs(30)).await.unwrap();
}
