//! API keys.

use serde_json::{Value, json};

use crate::support::{control_plane, get, key, post, problem, problem_at, text};

#[tokio::test]
async fn a_created_key_works_until_it_is_deleted() {
    let plane = control_plane().await;
    let reply = post(&plane, "/v1/keys", json!({"name": "ci", "scopes": ["read"]})).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let made = reply.json().unwrap();
    let (id, secret) = (text(&made, "/id").to_owned(), text(&made, "/key").to_owned());
    assert_eq!(reply.header("location"), Some(format!("/v1/keys/{id}").as_str()));
    let call = || plane.api().get("/v1/revocations").bearer(&secret).send();
    assert_eq!(call().await.unwrap().status, 200);

    let delete =
        plane.api().call("DELETE".parse().unwrap(), &format!("/v1/keys/{id}")).bearer(plane.admin_key());
    assert_eq!(delete.send().await.unwrap().status, 204);
    problem(&call().await.unwrap(), 401, "unauthorized");
}

#[tokio::test]
async fn the_list_shows_no_secret() {
    let plane = control_plane().await;
    let secret = key(&plane, &["revoke", "read"], &["https://a.example"]).await;
    let reply = get(&plane, "/v1/keys").await;
    let (_, tail) = secret.rsplit_once('_').unwrap();
    assert!(!reply.text().contains(tail));
    let list = reply.json().unwrap();
    let entry = list["keys"].as_array().unwrap().iter().find(|key| key["name"] == "test").unwrap();
    let mut scopes: Vec<&str> =
        entry["scopes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["read", "revoke"]);
    assert_eq!(entry["issuers"], json!(["https://a.example"]));
}

#[tokio::test]
async fn a_key_survives_a_restart_and_so_does_its_deletion() {
    let mut plane = control_plane().await;
    let kept = key(&plane, &["read"], &[]).await;
    let made = post(&plane, "/v1/keys", json!({"name": "gone", "scopes": ["read"]})).await.json().unwrap();
    let path = format!("/v1/keys/{}", text(&made, "/id"));
    let delete = plane.api().call("DELETE".parse().unwrap(), &path).bearer(plane.admin_key());
    assert_eq!(delete.send().await.unwrap().status, 204);

    plane.restart().await.unwrap();
    let status =
        async |key: &str| plane.api().get("/v1/edges").bearer(key).send().await.unwrap().status.as_u16();
    assert_eq!(status(&kept).await, 200);
    assert_eq!(status(text(&made, "/key")).await, 401);
}

#[tokio::test]
async fn a_key_that_makes_no_sense_is_refused() {
    let plane = control_plane().await;
    let cases = [
        (json!({"name": "", "scopes": ["read"]}), "key_name_invalid", "/name"),
        (json!({"name": "n", "scopes": []}), "key_scopes_missing", "/scopes"),
        (json!({"name": "n", "scopes": ["rule"]}), "invalid_field", "/scopes/0"),
        (
            json!({"name": "n", "scopes": ["admin"], "issuers": ["https://a"]}),
            "key_admin_limited",
            "/issuers",
        ),
        (json!({"name": "n", "scopes": ["read"], "issuers": [""]}), "key_issuers_invalid", "/issuers"),
        (json!({"name": "n", "scopes": ["read"], "expires": 1}), "invalid_field", "/expires"),
        (json!({"scopes": ["read"]}), "invalid_field", "/name"),
    ];
    for (request, code, pointer) in cases {
        problem_at(&post(&plane, "/v1/keys", request).await, 422, code, pointer);
    }
}

#[tokio::test]
async fn an_unknown_key_cannot_be_deleted() {
    let plane = control_plane().await;
    let delete = plane.api().call("DELETE".parse().unwrap(), "/v1/keys/nonsense").bearer(plane.admin_key());
    problem(&delete.send().await.unwrap(), 404, "not_found");
}
