//! Who may call.

use serde_json::{Value, json};

use crate::support::{ISSUER, control_plane, key, post, problem, revoke_session, text};

#[tokio::test]
async fn without_a_key_every_call_is_refused_alike() {
    let plane = control_plane().await;
    for path in
        ["/v1/revocations", "/v1/edges", "/v1/events", "/v1/issuers", "/v1/keys", "/v1/revocations/r1-0000"]
    {
        let reply = plane.api().get(path).send().await.unwrap();
        problem(&reply, 401, "unauthorized");
        assert!(reply.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_whatever_is_wrong_with_it() {
    let plane = control_plane().await;
    let good = key(&plane, &["read"], &[]).await;
    let (id, _) = good.rsplit_once('_').unwrap();
    let known_id = format!("{id}_wrong");
    let values = ["Bearer nonsense", "Bearer ", "Basic abc", "nonsense", &format!("Bearer {known_id}")];
    for value in values {
        let reply = plane.api().get("/v1/revocations").header("authorization", value).send().await.unwrap();
        problem(&reply, 401, "unauthorized");
    }
}

#[tokio::test]
async fn two_credentials_are_none() {
    let plane = control_plane().await;
    let call = plane.api().get("/v1/revocations").bearer(plane.admin_key()).bearer("other");
    problem(&call.send().await.unwrap(), 401, "unauthorized");
}

/// The statuses of a read, a revocation and an administrative call with a key of that scope.
async fn statuses(scope: &str) -> [u16; 3] {
    let plane = control_plane().await;
    let key = key(&plane, &[scope], &[]).await;
    let request = json!({"kind": "session", "issuer": ISSUER, "value": "s1"});
    let read = plane.api().get("/v1/revocations").bearer(&key).send().await.unwrap();
    let revoke = plane.api().post("/v1/revocations").bearer(&key).json(&request).send().await.unwrap();
    let admin = plane.api().get("/v1/keys").bearer(&key).send().await.unwrap();
    for reply in [&read, &revoke, &admin] {
        if reply.status == 403 {
            problem(reply, 403, "scope");
        }
    }
    [read.status.as_u16(), revoke.status.as_u16(), admin.status.as_u16()]
}

#[tokio::test]
async fn a_scope_allows_what_it_says_and_nothing_else() {
    assert_eq!(statuses("read").await, [200, 403, 403]);
    assert_eq!(statuses("revoke").await, [403, 201, 403]);
    assert_eq!(statuses("edge").await, [403, 403, 403]);
    assert_eq!(statuses("admin").await, [200, 201, 200]);
}

#[tokio::test]
async fn a_key_of_one_issuer_may_not_revoke_for_another() {
    let plane = control_plane().await;
    let key = key(&plane, &["revoke", "read"], &[ISSUER]).await;
    let revoke = |request: Value| plane.api().post("/v1/revocations").bearer(&key).json(&request).send();
    let other =
        revoke(json!({"kind": "session", "issuer": "https://other.example", "value": "s1"})).await.unwrap();
    problem(&other, 403, "issuer");
    // Neither may it act where no issuer is named.
    problem(&revoke(json!({"kind": "token", "token": "opaque"})).await.unwrap(), 403, "issuer");
    let own = revoke(json!({"kind": "session", "issuer": ISSUER, "value": "s1"})).await.unwrap();
    assert_eq!(own.status, 201, "{}", own.text());
}

#[tokio::test]
async fn a_key_of_one_issuer_neither_sees_nor_undoes_what_is_of_another() {
    let plane = control_plane().await;
    let limited = key(&plane, &["revoke", "read"], &["https://other.example"]).await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    let list = plane.api().get("/v1/revocations").bearer(&limited).send().await.unwrap();
    assert_eq!(list.json().unwrap()["revocations"], json!([]));
    let read = plane.api().get(&format!("/v1/revocations/{id}")).bearer(&limited).send().await.unwrap();
    assert!(matches!(read.status.as_u16(), 403 | 404), "{}", read.text());
    let undo = plane.api().post(&format!("/v1/revocations/{id}/undo")).bearer(&limited).send().await.unwrap();
    assert!(matches!(undo.status.as_u16(), 403 | 404), "{}", undo.text());
    assert_eq!(
        crate::support::get(&plane, &format!("/v1/revocations/{id}")).await.json().unwrap()["status"],
        "active"
    );
}

#[tokio::test]
async fn the_edge_credential_may_not_revoke() {
    let plane = control_plane().await;
    let request = json!({"kind": "session", "issuer": ISSUER, "value": "s1"});
    let call = plane.api().post("/v1/revocations").bearer(plane.edge_key()).json(&request);
    problem(&call.send().await.unwrap(), 403, "scope");
    assert_eq!(post(&plane, "/v1/revocations", request).await.status, 201);
}
