//! What cannot be done to a user: each with its status, its `scimType` and its code in the audit trail.

use serde_json::{Value, json};

use super::{PATCH, Stage, USER, USERS, refused, user};
use crate::inlets::support::events;

/// Alice and Bob, and the path of Alice.
async fn stage() -> (Stage, String) {
    let stage = Stage::new("").await;
    let id = stage.create("alice").await;
    stage.create("bob").await;
    (stage, format!("{USERS}/{id}"))
}

/// Whether everything is as it was.
async fn unchanged(stage: &Stage, before: &Value) {
    assert_eq!(stage.find("").await, *before);
    assert_eq!(events(&stage.plane, "revoked").await, Vec::<Value>::new());
    assert_eq!(events(&stage.plane, "user_kept").await.len(), 2);
}

#[tokio::test]
async fn a_patch_that_makes_no_sense_is_refused() {
    let (stage, path) = stage().await;
    let before = stage.find("").await;
    let syntax = ((400, "invalidSyntax"), "invalid_syntax");
    for body in [
        json!([]),
        json!("x"),
        json!({}),
        json!({"schemas": [PATCH]}),
        json!({"schemas": PATCH, "Operations": [{"op": "replace", "path": "active", "value": false}]}),
        json!({"schemas": [USER], "Operations": [{"op": "replace", "path": "active", "value": false}]}),
        json!({"Operations": [{"op": "replace", "path": "active", "value": false}]}),
        json!({"schemas": [PATCH], "Operations": {"op": "replace", "path": "active", "value": false}}),
        json!({"schemas": [PATCH], "Operations": [], "operations": []}),
    ] {
        refused(&stage, &stage.call("PATCH", &path, Some(&body)).await, syntax.0, syntax.1, "user changed")
            .await;
    }
    unchanged(&stage, &before).await;
}

#[tokio::test]
async fn an_operation_that_cannot_be_done_is_refused() {
    let (stage, path) = stage().await;
    let before = stage.find("").await;
    let id = path.rsplit('/').next().unwrap();
    let set = |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
    let many: Vec<Value> = (0..101).map(|_| json!({"op": "add", "path": "title", "value": "x"})).collect();
    let addresses: Vec<Value> = (0..21).map(|index| json!({"value": format!("{index}@x")})).collect();
    let two_primary = json!([{"value": "a@x", "primary": true}, {"value": "b@x", "primary": true}]);
    let syntax = ((400, "invalidSyntax"), "invalid_syntax");
    let bad_path = ((400, "invalidPath"), "invalid_path");
    let filter = ((400, "invalidFilter"), "invalid_filter");
    let target = ((400, "noTarget"), "no_target");
    let value = ((400, "invalidValue"), "invalid_value");
    let fixed = ((400, "mutability"), "mutability");
    let taken = ((409, "uniqueness"), "uniqueness");
    for ((answer, check), operations) in [
        (syntax, json!([])),
        (syntax, json!(["x"])),
        (syntax, json!(many)),
        (syntax, json!([{"op": "move", "path": "active", "value": false}])),
        (syntax, json!([{"path": "active", "value": false}])),
        (syntax, json!([{"op": "replace", "value": false}])),
        (syntax, json!([{"op": "replace", "Op": "add", "path": "active", "value": false}])),
        (bad_path, set("a b", json!(false))),
        (bad_path, set(".active", json!(false))),
        (bad_path, set("active.value", json!(false))),
        (bad_path, set("active[value eq \"x\"]", json!(false))),
        (bad_path, set("userName[value pr].x", json!("carol"))),
        (bad_path, set("emails[type eq \"work\"]value", json!("x"))),
        (bad_path, set("emails[type eq \"work\"].", json!("x"))),
        (bad_path, set("addresses[type eq \"work\"", json!("x"))),
        (bad_path, json!([{"op": "replace", "path": 7, "value": false}])),
        (filter, set("emails[type", json!("x"))),
        (filter, set("emails[type gt \"a\"].value", json!("x"))),
        (filter, set("emails[display eq \"a\"].value", json!("x"))),
        (target, json!([{"op": "remove"}])),
        (target, set("emails[type eq \"home\"].value", json!("x@y"))),
        (target, set("emails[type eq \"home\"]", json!({"value": "x@y"}))),
        (target, json!([{"op": "remove", "path": "emails[type eq \"home\"].type"}])),
        (value, json!([{"op": "replace", "path": "active"}])),
        (value, set("active", json!("no"))),
        (value, set("active", json!(0))),
        (value, set("active", json!([]))),
        (value, set("active", json!([{"value": false}, {"value": false}]))),
        (value, set("userName", json!(""))),
        (value, set("userName", json!(7))),
        (value, set("userName", json!("a\u{1b}"))),
        (value, set("userName", json!("a".repeat(1_025)))),
        (value, json!([{"op": "remove", "path": "externalId"}])),
        (value, set("emails", json!([{"type": "work"}]))),
        (value, set("emails", json!(addresses))),
        (value, set("emails", two_primary)),
        (value, set("emails[type eq \"work\"].value", json!(""))),
        (fixed, set("id", json!("8"))),
        (fixed, json!([{"op": "remove", "path": "active"}])),
        (fixed, json!([{"op": "remove", "path": "userName"}])),
        (taken, set("userName", json!("BOB"))),
        (taken, set("externalId", json!("x-bob"))),
    ] {
        let reply = stage.patch(id, operations.clone()).await;
        assert_eq!(reply.status.as_u16(), answer.0, "{operations}: {}", reply.text());
        refused(&stage, &reply, answer, check, "user changed").await;
    }
    unchanged(&stage, &before).await;
}

#[tokio::test]
async fn of_a_patch_all_is_done_or_nothing() {
    let (stage, path) = stage().await;
    let before = stage.find("").await;
    let id = path.rsplit('/').next().unwrap();
    let first = json!({"op": "replace", "path": "active", "value": false});
    for (answer, check, second) in [
        ((400, "invalidPath"), "invalid_path", json!({"op": "replace", "path": "a b", "value": "x"})),
        ((400, "noTarget"), "no_target", json!({"op": "remove"})),
        ((400, "invalidValue"), "invalid_value", json!({"op": "replace", "path": "userName", "value": ""})),
        ((400, "mutability"), "mutability", json!({"op": "remove", "path": "userName"})),
        ((409, "uniqueness"), "uniqueness", json!({"op": "replace", "path": "userName", "value": "bob"})),
    ] {
        for operations in [json!([first, second]), json!([second, first])] {
            let reply = stage.patch(id, operations).await;
            refused(&stage, &reply, answer, check, "user changed").await;
            assert!(!stage.is_rejected("x-alice").await);
        }
    }
    unchanged(&stage, &before).await;
}

/// The status and `scimType` of an answer, and the audit trail's code.
type Answer = ((u16, &'static str), &'static str);
/// How a user differs from a valid one.
type Spoil = Box<dyn Fn(&mut Value)>;

fn with(name: &'static str, value: Value) -> Spoil {
    Box::new(move |user| user[name] = value.clone())
}

fn without(name: &'static str) -> Spoil {
    Box::new(move |user| {
        user.as_object_mut().unwrap().remove(name);
    })
}

#[tokio::test]
async fn a_user_that_makes_no_sense_is_neither_created_nor_replaced() {
    let (stage, path) = stage().await;
    let before = stage.find("").await;
    let addresses: Vec<Value> = (0..21).map(|index| json!({"value": format!("{index}@x")})).collect();
    let two_primary = json!([{"value": "a@x", "primary": true}, {"value": "b@x", "primary": true}]);
    let syntax = ((400, "invalidSyntax"), "invalid_syntax");
    let value = ((400, "invalidValue"), "invalid_value");
    let taken = ((409, "uniqueness"), "uniqueness");
    let cases: Vec<(Answer, Spoil)> = vec![
        (syntax, Box::new(|user| *user = json!([]))),
        (syntax, without("schemas")),
        (syntax, with("schemas", json!([PATCH]))),
        (syntax, with("USERNAME", json!("x"))),
        (value, without("userName")),
        (value, with("userName", json!(7))),
        (value, with("userName", json!("a".repeat(1_025)))),
        (value, without("externalId")),
        (value, with("externalId", json!("a\nb"))),
        (value, with("active", json!("perhaps"))),
        (value, with("active", json!([{"value": false}]))),
        (value, with("emails", json!([{"type": "work"}]))),
        (value, with("emails", json!(addresses))),
        (value, with("emails", two_primary)),
        (taken, with("userName", json!("BOB"))),
        (taken, with("externalId", json!("x-bob"))),
    ];
    for ((answer, check), spoil) in cases {
        for (method, path, name, signal) in
            [("POST", USERS, "carol", "user created"), ("PUT", &path, "alice", "user replaced")]
        {
            let mut body = user(name);
            spoil(&mut body);
            refused(&stage, &stage.call(method, path, Some(&body)).await, answer, check, signal).await;
        }
    }
    unchanged(&stage, &before).await;
}

#[tokio::test]
async fn who_is_not_there_cannot_be_changed() {
    let (stage, _) = stage().await;
    let before = stage.find("").await;
    let path = format!("{USERS}/none");
    let patch =
        json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": false}]});
    for (method, body, signal) in [
        ("PUT", Some(user("carol")), "user replaced"),
        ("PATCH", Some(patch), "user changed"),
        ("DELETE", None, "user deleted"),
    ] {
        let reply = stage.call(method, &path, body.as_ref()).await;
        refused(&stage, &reply, (404, ""), "not_found", signal).await;
    }
    unchanged(&stage, &before).await;
}
