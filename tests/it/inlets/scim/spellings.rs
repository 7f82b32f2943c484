//! One meaning in the words of each provider.

use serde_json::{Value, json};

use super::{Stage, USER, USERS, user};
use crate::inlets::support::{events, last_received};

/// A PATCH that says whether a user is active: who sends it so, and its operations.
type Spelling = (&'static str, fn(bool) -> Value);

/// As Entra ID writes a boolean.
fn text(active: bool) -> &'static str {
    if active { "True" } else { "False" }
}

const SPELLINGS: [Spelling; 12] = [
    ("RFC 7644", |active| json!([{"op": "replace", "path": "active", "value": active}])),
    ("Okta", |active| json!([{"op": "replace", "value": {"active": active}}])),
    ("Entra", |active| json!([{"op": "Replace", "path": "active", "value": text(active)}])),
    ("Entra, an object", |active| json!([{"op": "Replace", "value": {"active": text(active)}}])),
    (
        "Entra, a list of one",
        |active| json!([{"op": "Replace", "path": "active", "value": [{"value": text(active)}]}]),
    ),
    (
        "Entra, a list of one with a reference",
        |active| json!([{"op": "Replace", "path": "active", "value": [{"$ref": null, "value": text(active)}]}]),
    ),
    ("Entra, added", |active| json!([{"op": "Add", "path": "active", "value": text(active)}])),
    ("Entra, among others", |active| {
        json!([
            {"op": "Replace", "path": "displayName", "value": "A B"},
            {"op": "Add", "path": "emails[type eq \"home\"].value", "value": "a@home.example"},
            {"op": "Replace", "path": "active", "value": text(active)},
            {"op": "Remove", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"},
        ])
    }),
    (
        "Entra, names with dots",
        |active| json!([{"op": "Replace", "value": {"name.givenName": "A", "active": text(active)}}]),
    ),
    (
        "with the schema",
        |active| json!([{"op": "replace", "path": format!("{USER}:active"), "value": active}]),
    ),
    ("the whole user", |active| {
        let mut whole = user("whole");
        whole
            .as_object_mut()
            .unwrap()
            .retain(|name, _| !matches!(name.as_str(), "userName" | "externalId" | "emails"));
        whole["active"] = json!(active);
        whole["id"] = json!("of the provider's own");
        json!([{"op": "replace", "value": whole}])
    }),
    ("twice, the last counts", |active| {
        json!([
            {"op": "replace", "path": "active", "value": !active},
            {"op": "replace", "path": "ACTIVE", "value": active},
        ])
    }),
];

#[tokio::test]
async fn every_spelling_revokes_at_once_and_reinstates() {
    let stage = Stage::new("").await;
    for (index, (name, operations)) in SPELLINGS.into_iter().enumerate() {
        let sub = format!("x-u{index}");
        let id = stage.create(&format!("u{index}")).await;
        for active in [false, true] {
            let reply = stage.patch(&id, operations(active)).await;
            assert_eq!(reply.status, 200, "{name}: {}", reply.text());
            assert_eq!(reply.header("content-type"), Some("application/scim+json"), "{name}");
            let now = reply.json().unwrap();
            assert_eq!((&now["id"], &now["active"]), (&json!(id), &json!(active)), "{name}");
            assert_eq!(stage.is_rejected(&sub).await, !active, "{name}");
            let received = last_received(&stage.plane).await;
            assert_eq!(
                (&received["signal"], received.get("refused")),
                (&json!("user changed"), None),
                "{name}"
            );
        }
        assert_eq!(events(&stage.plane, "revoked").await.len(), index + 1, "{name}");
    }
}

#[tokio::test]
async fn who_comes_inactive_does_not_get_in() {
    let stage = Stage::new("").await;
    for (name, active) in [("alice", json!(false)), ("bob", json!("False"))] {
        let mut body = user(name);
        body["active"] = active;
        let reply = stage.call("POST", USERS, Some(&body)).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        let made = reply.json().unwrap();
        assert_eq!(made["active"], false);
        assert!(stage.is_rejected(&format!("x-{name}")).await, "{name}");
        let received = last_received(&stage.plane).await;
        assert_eq!(received["signal"], "user created");
        assert_eq!(received["revocations"].as_array().unwrap().len(), 1, "{received}");
        // Gone while inactive: revoked it stays, and not twice.
        let revoked = events(&stage.plane, "revoked").await.len();
        let path = format!("{USERS}/{}", made["id"].as_str().unwrap());
        assert_eq!(stage.call("DELETE", &path, None).await.status, 204);
        assert!(stage.is_rejected(&format!("x-{name}")).await, "{name}");
        assert_eq!(events(&stage.plane, "revoked").await.len(), revoked);
    }
}

#[tokio::test]
async fn a_whole_user_says_it_too() {
    let stage = Stage::new("").await;
    let id = stage.create("alice").await;
    for (active, expect) in [
        (json!(false), false),
        (json!(true), true),
        (json!("False"), false),
        (json!(null), false),
        (json!("true"), true),
    ] {
        let mut body = user("alice");
        body["active"] = active;
        // It is read-only, whatever is sent (RFC 7644 section 3.5.1).
        body["id"] = json!("of the provider's own");
        let reply = stage.call("PUT", &format!("{USERS}/{id}"), Some(&body)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let now = reply.json().unwrap();
        assert_eq!((&now["id"], &now["active"]), (&json!(id), &json!(expect)), "{body}");
        assert_eq!(stage.is_rejected("x-alice").await, !expect, "{body}");
    }
}
