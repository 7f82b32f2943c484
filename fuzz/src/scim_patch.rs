//! SCIM PATCH: what comes out is a user as the schema has it, and can be written as a PATCH that yields it again.

use portcullis::inlets::scim::patch;
use portcullis::state::{Email, User};
use portcullis_core::json::Json;
use serde_json::{Value, json};

const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// The body of a request, or, where it starts like a list, its operations.
pub fn run(bytes: &[u8]) {
    let whole =
        [br#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":"#, bytes, b"}"];
    let body = if bytes.starts_with(b"[") { whole.concat() } else { bytes.to_vec() };
    let Ok(body) = Json::parse(&body) else { return };
    let Ok(changes) = patch::read(&body) else { return };
    for before in [before(), User { emails: Vec::new(), active: false, ..before() }] {
        let Ok(after) = patch::apply(&before, &changes) else { continue };
        assert_eq!((&after.id, &after.issuer), (&before.id, &before.issuer));
        check(&after);
        let written = write(&after);
        let written = written.to_string();
        let body = Json::parse(written.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let again = patch::read(&body).and_then(|changes| patch::apply(&before, &changes));
        let again = again.unwrap_or_else(|error| panic!("{after:?} cannot be written: {}", error.detail));
        assert_eq!(again, after, "{written}");
    }
}

fn before() -> User {
    User {
        issuer: "https://idp.example".into(),
        id: "7".into(),
        user_name: "alice".into(),
        external_id: "x".into(),
        emails: vec![
            Email { value: "a@work".into(), kind: "work".into(), primary: true },
            Email { value: "a@home".into(), kind: "home".into(), primary: false },
        ],
        active: true,
    }
}

/// RFC 7643 section 4.1, and the bounds of what is kept.
fn check(user: &User) {
    let can_be_kept = |text: &str| text.len() <= 1_024 && !text.chars().any(char::is_control);
    assert!(!user.user_name.is_empty() && can_be_kept(&user.user_name), "{user:?}");
    assert!(can_be_kept(&user.external_id) && user.emails.len() <= 20, "{user:?}");
    for email in &user.emails {
        assert!(!email.value.is_empty() && can_be_kept(&email.value) && can_be_kept(&email.kind), "{user:?}");
    }
    // Section 2.4: at most one value is primary.
    assert!(user.emails.iter().filter(|email| email.primary).count() <= 1, "{user:?}");
}

/// One operation that sets everything.
fn write(user: &User) -> Value {
    let emails = user
        .emails
        .iter()
        .map(|email| json!({"value": email.value, "type": email.kind, "primary": email.primary}));
    let all = json!({
        "userName": user.user_name,
        "externalId": user.external_id,
        "active": user.active,
        "emails": emails.collect::<Vec<_>>(),
    });
    json!({"schemas": [SCHEMA], "Operations": [{"op": "replace", "value": all}]})
}
