//! Issuers that sign, a control plane that knows them, and what became of a message.

use portcullis_testbed::{ControlPlane, Issuer, Reply, Token};
use serde_json::{Value, json};

pub(super) use crate::support::now;
use crate::support::{get, post, setup};

/// The client id that messages are for.
pub(super) const AUDIENCE: &str = "portcullis";
pub(super) const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What every issuer of a test is configured with: it is on this machine.
pub(super) const SETTINGS: &str = "audiences = [\"portcullis\"]\nallow_private_addresses = true";

/// An issuer and a control plane that takes its messages.
pub(super) async fn stage(settings: &str) -> (Issuer, ControlPlane) {
    let issuer = Issuer::start().await.unwrap();
    let plane = setup().issuer(&issuer, &format!("{SETTINGS}\n{settings}")).start().await.unwrap();
    (issuer, plane)
}

/// A valid logout token, to be spoilt.
pub(super) fn logout(issuer: &Issuer, jti: &str) -> Token {
    issuer
        .token()
        .header("typ", "logout+jwt")
        .claim("aud", AUDIENCE)
        .jti(jti)
        .claim("exp", now() + 120)
        .claim("events", json!({LOGOUT_EVENT: {}}))
}

/// Sends a logout token.
pub(super) async fn send_logout(plane: &ControlPlane, token: &str) -> Reply {
    send_form(plane, "/inlets/backchannel-logout", &format!("logout_token={token}")).await
}

/// Sends a form.
pub(super) async fn send_form(plane: &ControlPlane, path: &str, form: &str) -> Reply {
    let call = plane.api().post(path).header("content-type", "application/x-www-form-urlencoded");
    call.body(form.to_owned()).send().await.unwrap()
}

/// The code by which a token with these claims would be rejected.
pub(super) async fn rejected_as(plane: &ControlPlane, claims: Value) -> Option<String> {
    let answer = post(plane, "/v1/check", json!({ "claims": claims })).await.json().unwrap();
    answer["code"].as_str().map(str::to_owned)
}

/// The audit trail's events of that name.
pub(super) async fn events(plane: &ControlPlane, name: &str) -> Vec<Value> {
    let page = get(plane, "/v1/events?limit=1000").await.json().unwrap();
    page["events"].as_array().unwrap().iter().filter(|event| event["event"] == name).cloned().collect()
}

/// The last message in the audit trail.
pub(super) async fn last_received(plane: &ControlPlane) -> Value {
    events(plane, "received").await.pop().unwrap_or_default()
}

/// An OAuth error with that status and code, and the audit trail's code for the check that refused it.
pub(super) async fn refused(plane: &ControlPlane, reply: &Reply, status: u16, error: &str, check: &str) {
    assert_eq!(reply.status, status, "{check}: {}", reply.text());
    let body = reply.json().unwrap();
    assert_eq!(body["error"], error, "{check}: {body}");
    assert!(body["error_description"].is_string(), "{body}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let received = last_received(plane).await;
    assert_eq!(received["refused"], check, "{received}");
}
