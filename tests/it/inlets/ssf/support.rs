//! A stream, and security events for it.

use std::time::Duration;

use portcullis_testbed::{ControlPlane, Issuer, Reply, Token};
use serde_json::{Value, json};

use crate::inlets::support::{AUDIENCE, SETTINGS, last_received};
use crate::support::setup;

pub(in crate::inlets) const AUTHORIZATION: &str = "Bearer of-the-stream";
pub(super) const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
pub(super) const STREAM_UPDATED: &str = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";

/// Said once it is known which members of subjects are critical: until then some events are held off.
pub(super) const KNOWN: &str = "the critical members of subjects are known";

/// The URI of a CAEP event.
pub(in crate::inlets) fn caep(name: &str) -> String {
    format!("https://schemas.openid.net/secevent/caep/event-type/{name}")
}

/// The URI of a RISC event.
pub(super) fn risc(name: &str) -> String {
    format!("https://schemas.openid.net/secevent/risc/event-type/{name}")
}

/// The lines of a stream that is pushed, with lines of its own.
pub(super) fn push_stream(name: &str, issuer: &Issuer, lines: &str) -> String {
    format!("[[ssf]]\nname = \"{name}\"\ntransmitter = \"{}\"\ndelivery = \"push\"\n{lines}\n", issuer.name())
}

/// A transmitter that pushes, and a control plane that knows it: the issuer's settings and the stream's.
pub(in crate::inlets) async fn stage(settings: &str, stream: &str) -> (Issuer, ControlPlane) {
    let issuer = Issuer::start().await.unwrap();
    let lines = format!("authorization_env = \"STREAM_AUTHORIZATION\"\n{stream}");
    let plane = setup()
        .issuer(&issuer, &format!("{SETTINGS}\n{settings}"))
        .config(&push_stream("idp", &issuer, &lines))
        .env("STREAM_AUTHORIZATION", AUTHORIZATION)
        .start()
        .await
        .unwrap();
    plane.log().wait_for(KNOWN, Duration::from_secs(30)).await.unwrap();
    (issuer, plane)
}

/// A security event token without a subject.
pub(super) fn bare(issuer: &Issuer, jti: &str, uri: &str, event: impl Into<Value>) -> Token {
    let event: Value = event.into();
    let token = issuer.token().header("typ", "secevent+jwt").claim("aud", AUDIENCE).jti(jti).no_expiry();
    token.claim("events", json!({ uri: event }))
}

/// A valid token about a user, to be spoilt.
pub(in crate::inlets) fn about(issuer: &Issuer, jti: &str, uri: &str, sub: &str) -> Token {
    bare(issuer, jti, uri, json!({})).claim("sub_id", iss_sub(issuer, sub))
}

pub(super) fn iss_sub(issuer: &Issuer, sub: &str) -> Value {
    json!({"format": "iss_sub", "iss": issuer.name(), "sub": sub})
}

/// Pushes a text as the transmitter does.
pub(super) async fn push_raw(plane: &ControlPlane, body: String) -> Reply {
    let call = plane.api().post("/inlets/ssf/push/idp").header("authorization", AUTHORIZATION);
    let call = call.header("content-type", "application/secevent+jwt").header("accept", "application/json");
    call.body(body).send().await.unwrap()
}

/// Pushes a token as the transmitter does.
pub(super) async fn push(plane: &ControlPlane, token: Token) -> Reply {
    push_raw(plane, token.sign().unwrap()).await
}

#[track_caller]
pub(super) fn accepted(reply: &Reply) {
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (202, ""), "{}", reply.text());
}

/// An error of RFC 8935 with that status and code, and the audit trail's code for the check that refused it.
pub(super) async fn refused(plane: &ControlPlane, reply: &Reply, status: u16, err: &str, check: &str) {
    assert_eq!(reply.status, status, "{check}: {}", reply.text());
    assert_eq!(reply.header("content-language"), Some("en"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let body = reply.json().unwrap();
    assert_eq!(body["err"], err, "{check}: {body}");
    assert!(body["description"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    let received = last_received(plane).await;
    assert_eq!((&received["inlet"], &received["refused"]), (&json!("ssf"), &json!(check)), "{received}");
}

/// Accepted without effect, and the audit trail says which check passed it over.
pub(super) async fn passed_over(plane: &ControlPlane, reply: &Reply, check: &str) {
    accepted(reply);
    let received = last_received(plane).await;
    assert_eq!(received["refused"], check, "{received}");
}
