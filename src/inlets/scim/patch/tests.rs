use serde_json::json;

use super::*;

fn user() -> User {
    User {
        id: "7".into(),
        user_name: "alice".into(),
        external_id: "x".into(),
        emails: vec![Email { value: "a@work".into(), kind: "work".into(), primary: true }],
        active: true,
        ..User::default()
    }
}

fn patched(operations: &serde_json::Value) -> Result<User, ErrorKind> {
    let body = json!({"schemas": [SCHEMA], "Operations": operations}).to_string();
    let changes = read(&Json::parse(body.as_bytes()).unwrap());
    changes.and_then(|changes| apply(&user(), &changes)).map_err(|error| error.kind)
}

#[test]
fn every_spelling_of_inactive_is_understood() {
    for operations in [
        json!([{"op": "replace", "path": "active", "value": false}]),
        json!([{"op": "Replace", "path": "active", "value": "False"}]),
        json!([{"op": "REPLACE", "path": "Active", "value": "false"}]),
        json!([{"op": "replace", "value": {"active": false}}]),
        json!([{"op": "replace", "value": {"id": "7", "active": "False", "name": {"givenName": "A"}}}]),
        json!([{"op": "Add", "path": "active", "value": false}]),
        json!([{"op": "Replace", "path": "active", "value": [{"value": "False"}]}]),
        json!([{"op": "Replace", "path": "active", "value": [{"$ref": null, "value": false}]}]),
        json!([{"op": "Replace", "value": {"active": [{"value": "False"}]}}]),
        json!([{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:active", "value": false}]),
        json!([{"op": "replace", "path": "", "value": {"urn:ietf:params:scim:schemas:core:2.0:User:active": false}}]),
    ] {
        assert_eq!(patched(&operations), Ok(User { active: false, ..user() }), "{operations}");
    }
}

#[test]
fn attributes_and_addresses_change() {
    let check = |operation: serde_json::Value, expect: User| {
        assert_eq!(patched(&json!([operation])), Ok(expect), "{operation}");
    };
    let email = |value: &str, kind: &str, primary| Email { value: value.into(), kind: kind.into(), primary };
    let with = |emails: Vec<Email>| User { emails, ..user() };
    check(
        json!({"op": "replace", "path": "userName", "value": "bob"}),
        User { user_name: "bob".into(), ..user() },
    );
    check(json!({"op": "remove", "path": "externalId"}), User { external_id: String::new(), ..user() });
    check(json!({"op": "replace", "path": "name.givenName", "value": "A"}), user());
    check(
        json!({"op": "add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "x"}),
        user(),
    );
    check(json!({"op": "replace", "path": "addresses[type eq \"work\"].country", "value": "x"}), user());
    let work = json!({"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "b@work"});
    check(work, with(vec![email("b@work", "work", true)]));
    let as_member = json!({"op": "replace", "value": {"emails[type eq \"work\"].value": "b@work"}});
    check(as_member, with(vec![email("b@work", "work", true)]));
    let listed =
        json!({"op": "Replace", "path": "emails[type eq \"work\"].value", "value": [{"value": "b@work"}]});
    check(listed, with(vec![email("b@work", "work", true)]));
    check(
        json!({"op": "Replace", "path": "userName", "value": [{"$ref": null, "value": "bob"}]}),
        User { user_name: "bob".into(), ..user() },
    );
    let home = json!({"op": "add", "path": "emails[type eq \"home\"].value", "value": "a@home"});
    check(home, with(vec![email("a@work", "work", true), email("a@home", "home", false)]));
    let primary = json!({"op": "add", "path": "emails", "value": [{"value": "c@x", "primary": "True"}]});
    check(primary, with(vec![email("a@work", "work", false), email("c@x", "", true)]));
    check(
        json!({"op": "replace", "path": "emails", "value": [{"value": "c@x"}]}),
        with(vec![email("c@x", "", false)]),
    );
    for all in ["emails", "emails[type eq \"work\"]", "emails.value", "emails[value ew \"work\"].value"] {
        check(json!({"op": "remove", "path": all}), with(Vec::new()));
    }
    check(json!({"op": "Remove", "path": "emails", "value": [{"value": "a@work"}]}), with(Vec::new()));
    check(
        json!({"op": "remove", "path": "emails[type eq \"work\"].primary"}),
        with(vec![email("a@work", "work", false)]),
    );
}

#[test]
fn what_cannot_be_done_is_refused_with_its_kind() {
    let many: Vec<_> = (0..101).map(|_| json!({"op": "add", "path": "title", "value": "x"})).collect();
    for (kind, operations) in [
        (ErrorKind::InvalidSyntax, json!([])),
        (ErrorKind::InvalidSyntax, json!("x")),
        (ErrorKind::InvalidSyntax, json!([{"op": "move", "path": "active", "value": false}])),
        (ErrorKind::InvalidSyntax, json!([{"path": "active", "value": false}])),
        (ErrorKind::InvalidSyntax, json!([{"op": "replace", "value": false}])),
        (ErrorKind::InvalidSyntax, json!([{"op": "replace", "Op": "add", "path": "active", "value": false}])),
        (ErrorKind::InvalidSyntax, json!(many)),
        (ErrorKind::InvalidPath, json!([{"op": "replace", "path": "a b", "value": false}])),
        (ErrorKind::InvalidPath, json!([{"op": "replace", "path": "active.x", "value": false}])),
        (ErrorKind::InvalidPath, json!([{"op": "replace", "path": 7, "value": false}])),
        (
            ErrorKind::InvalidPath,
            json!([{"op": "replace", "path": "active[value eq \"x\"]", "value": false}]),
        ),
        (ErrorKind::InvalidPath, json!([{"op": "replace", "path": "userName[value pr].x", "value": "b"}])),
        (ErrorKind::InvalidPath, json!([{"op": "remove", "path": "externalId[value eq \"x\"]"}])),
        (ErrorKind::InvalidFilter, json!([{"op": "replace", "path": "emails[type", "value": "x"}])),
        (ErrorKind::NoTarget, json!([{"op": "remove"}])),
        (
            ErrorKind::NoTarget,
            json!([{"op": "replace", "path": "emails[type eq \"home\"].value", "value": "x"}]),
        ),
        (ErrorKind::InvalidValue, json!([{"op": "replace", "path": "active", "value": "no"}])),
        (ErrorKind::InvalidValue, json!([{"op": "replace", "path": "active"}])),
        (ErrorKind::InvalidValue, json!([{"op": "replace", "path": "active", "value": []}])),
        (ErrorKind::InvalidValue, json!([{"op": "replace", "path": "active", "value": [false]}])),
        (ErrorKind::InvalidValue, json!([{"op": "replace", "path": "active", "value": [{}]}])),
        (
            ErrorKind::InvalidValue,
            json!([{"op": "replace", "path": "active", "value": [{"value": false}, {"value": false}]}]),
        ),
        (ErrorKind::InvalidValue, json!([{"op": "replace", "path": "userName", "value": ""}])),
        (ErrorKind::InvalidValue, json!([{"op": "replace", "path": "userName", "value": "a\u{1b}"}])),
        (ErrorKind::InvalidValue, json!([{"op": "replace", "path": "emails", "value": [{"type": "work"}]}])),
        (ErrorKind::Mutability, json!([{"op": "replace", "path": "id", "value": "8"}])),
        (ErrorKind::Mutability, json!([{"op": "remove", "path": "active"}])),
        (ErrorKind::Mutability, json!([{"op": "remove", "path": "userName"}])),
    ] {
        assert_eq!(patched(&operations), Err(kind), "{operations}");
    }
}
