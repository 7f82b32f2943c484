//! Putting revocations in force, and finding them.

use serde_json::{Value, json};

use crate::support::{ISSUER, control_plane, get, lines, post, problem, revoke_session, text};

#[tokio::test]
async fn a_session_is_revoked_without_a_cutoff_and_found_again() {
    let plane = control_plane().await;
    let request = json!({"kind": "session", "issuer": ISSUER, "value": "s1", "reason": "laptop stolen"});
    let reply = post(&plane, "/v1/revocations", request).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let made = reply.json().unwrap();
    let location = format!("/v1/revocations/{}", text(&made, "/id"));
    assert_eq!(reply.header("location"), Some(location.as_str()));
    assert_eq!(reply.header("cache-control"), Some("no-store"));

    let mut found = get(&plane, &location).await.json().unwrap();
    for (field, expect) in [
        ("kind", json!("session")),
        ("issuer", json!(ISSUER)),
        ("value", json!("s1")),
        ("cutoff", Value::Null),
        ("cutoff_claim", json!("iat")),
        ("until_reinstated", json!(false)),
        ("status", json!("active")),
        ("reason", json!("laptop stolen")),
    ] {
        assert_eq!(found[field], expect, "{field}: {found}");
    }
    assert_eq!(found["created_by"]["via"], "api");
    // The answer to the call has the same members, and a warning; what edges say comes later.
    found["warnings"] = made["warnings"].clone();
    assert_eq!(found["tried"]["count"], 0, "{found}");
    found.as_object_mut().unwrap().retain(|name, _| !["tried", "enforced"].contains(&name.as_str()));
    assert_eq!(made, found);
}

#[tokio::test]
async fn every_kind_is_taken() {
    let plane = control_plane().await;
    let of = |kind: &str| json!({"kind": kind, "issuer": ISSUER, "value": "v"});
    let requests = [
        of("session"),
        of("subject"),
        of("token"),
        of("client"),
        of("key"),
        json!({"kind": "issuer", "issuer": ISSUER}),
        json!({"kind": "claims", "claims": {"iss": ISSUER, "tenant": 42, "admin": true}}),
        json!({"kind": "token", "token": "opaque-token"}),
    ];
    for request in requests {
        let reply = post(&plane, "/v1/revocations", request.clone()).await;
        assert_eq!(reply.status, 201, "{request}: {}", reply.text());
        assert_eq!(reply.json().unwrap()["kind"], request["kind"]);
    }
}

#[tokio::test]
async fn a_subject_is_cut_off_now_and_a_session_ends_for_good() {
    let plane = control_plane().await;
    let of = |kind: &str| json!({"kind": kind, "issuer": ISSUER, "value": "v"});
    let subject = post(&plane, "/v1/revocations", of("subject")).await.json().unwrap();
    assert!(subject["cutoff"].is_string() && subject["expires_at"].is_string(), "{subject}");
    let session = post(&plane, "/v1/revocations", of("session")).await.json().unwrap();
    assert!(session["cutoff"].is_null() && session["expires_at"].is_string(), "{session}");
}

#[tokio::test]
async fn until_reinstated_has_neither_cutoff_nor_end() {
    let plane = control_plane().await;
    let request = json!({"kind": "subject", "issuer": ISSUER, "value": "alice", "until_reinstated": true});
    let made = post(&plane, "/v1/revocations", request).await.json().unwrap();
    assert_eq!((&made["cutoff"], &made["expires_at"]), (&Value::Null, &Value::Null));
    assert_eq!(made["until_reinstated"], true);
}

#[tokio::test]
async fn a_cutoff_may_be_given_in_either_form() {
    let plane = control_plane().await;
    let mut cutoffs = Vec::new();
    for cutoff in [json!("2026-01-01T00:00:00Z"), json!(1_767_225_600)] {
        let request = json!({"kind": "client", "issuer": ISSUER, "value": "app", "cutoff": cutoff,
            "expires_at": "2100-01-01T00:00:00Z"});
        let made = post(&plane, "/v1/revocations", request).await.json().unwrap();
        cutoffs.push(made["cutoff"].clone());
    }
    // The second and the default clock skew of a second.
    assert_eq!(cutoffs, ["2026-01-01T00:00:01Z", "2026-01-01T00:00:01Z"]);
}

#[tokio::test]
async fn of_a_raw_token_only_the_hash_is_kept() {
    let plane = control_plane().await;
    let made = post(&plane, "/v1/revocations", json!({"kind": "token", "token": "abc"})).await;
    let sha256 = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(made.json().unwrap()["value"], sha256);

    let request = json!({"kind": "token", "value": sha256});
    let again = post(&plane, "/v1/revocations", request).await;
    assert_eq!(again.json().unwrap()["value"], sha256);
}

#[tokio::test]
async fn an_issuer_that_is_not_configured_is_warned_of() {
    let plane = control_plane().await;
    let made = revoke_session(&plane, "s1").await;
    assert_eq!(
        text(&made, "/warnings/0"),
        format!("issuer {ISSUER} is not configured: default lifetimes apply")
    );
}

#[tokio::test]
async fn waiting_without_edges_answers_at_once_that_there_are_none() {
    let plane = control_plane().await;
    let request = json!({"kind": "session", "issuer": ISSUER, "value": "s1"});
    let made = post(&plane, "/v1/revocations?wait=60s", request).await.json().unwrap();
    assert_eq!(made["receipts"], json!({"applied": 0, "pending": 0, "edges": [], "gone": []}));
}

#[tokio::test]
async fn the_list_is_newest_first_in_pages() {
    let plane = control_plane().await;
    for sid in ["s1", "s2", "s3"] {
        revoke_session(&plane, sid).await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/revocations?limit=2".to_owned();
    loop {
        let page = get(&plane, &path).await.json().unwrap();
        let values = page["revocations"].as_array().unwrap().iter();
        seen.extend(values.map(|revocation| text(revocation, "/value").to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/revocations?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["s3", "s2", "s1"]);
}

#[tokio::test]
async fn the_list_is_filtered() {
    let plane = control_plane().await;
    let body = [
        json!({"kind": "session", "issuer": ISSUER, "value": "s1"}),
        json!({"kind": "subject", "issuer": ISSUER, "value": "alice"}),
        json!({"kind": "subject", "issuer": "https://other.example", "value": "alice"}),
    ];
    let body: String = body.iter().map(|line| format!("{line}\n")).collect();
    let call = plane.api().post("/v1/revocations/batch").bearer(plane.admin_key());
    let reply = call.header("content-type", "application/x-ndjson").body(body).send().await.unwrap();
    assert_eq!(lines(&reply.text()).len(), 3);

    for (query, expect) in [
        ("kind=subject", 2),
        ("value=alice&issuer=https%3A%2F%2Fidp.example", 1),
        ("issuer=https%3A%2F%2Fother.example", 1),
        ("kind=key", 0),
        ("status=ended", 0),
        ("status=all", 3),
    ] {
        let page = get(&plane, &format!("/v1/revocations?{query}")).await.json().unwrap();
        assert_eq!(page["revocations"].as_array().unwrap().len(), expect, "{query}: {page}");
    }
}

#[tokio::test]
async fn an_id_that_no_revocation_has_is_not_found() {
    let plane = control_plane().await;
    problem(&get(&plane, "/v1/revocations/r999-0000").await, 404, "not_found");
    for id in ["nonsense", "%ff", "r1%2d0000", "%2e%2e", "R1-0000"] {
        problem(&get(&plane, &format!("/v1/revocations/{id}")).await, 404, "not_found");
    }
}

#[tokio::test]
async fn a_mistyped_id_is_no_other_revocation() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    let last = if id.ends_with('0') { '1' } else { '0' };
    let mistyped = format!("{}{last}", &id[..id.len() - 1]);
    problem(&get(&plane, &format!("/v1/revocations/{mistyped}")).await, 404, "not_found");
    let undo = post(&plane, &format!("/v1/revocations/{mistyped}/undo"), json!({})).await;
    problem(&undo, 404, "not_found");
    assert_eq!(get(&plane, &format!("/v1/revocations/{id}")).await.json().unwrap()["status"], "active");
}
