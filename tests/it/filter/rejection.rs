//! What a rejected client is told.

use proxy_wasm_harness::State;

use super::support::{Authorized, Plane, session, synced};

fn plane() -> Plane {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    plane
}

#[test]
fn http_gets_rfc_6750() {
    let (envoy, _stream) = synced("", &plane());
    let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
    let reply = exchange.reply().unwrap();
    assert_eq!(reply.status, 401);
    let challenge = r#"Bearer error="invalid_token", error_description="The session has been revoked""#;
    assert_eq!(reply.headers.get("www-authenticate"), Some(challenge));
    assert_eq!(reply.headers.get("cache-control"), Some("no-store"));
    assert_eq!(exchange.details().as_deref(), Some("portcullis_session_revoked"));
    assert_eq!(exchange.filter_state("wasm.portcullis").as_deref(), Some("rejected;code=session_revoked"));
}

#[test]
fn grpc_gets_unauthenticated() {
    let (envoy, _stream) = synced("", &plane());
    let exchange = envoy
        .worker(0)
        .post("/pkg.Service/Call")
        .header("content-type", "application/grpc")
        .bearer(&session("s1"));
    let reply = exchange.send().reply().unwrap();
    assert_eq!(
        (reply.grpc_status, reply.text().as_str()),
        (Some(16), "session_revoked: The session has been revoked")
    );
}

#[test]
fn browsers_are_redirected_and_programs_are_not() {
    let (envoy, _stream) = synced(r#","reject":{"redirect":"https://login.example/"}"#, &plane());
    let accept = "text/html,application/xhtml+xml;q=0.9";
    let page = envoy.worker(0).get("/").header("accept", accept).bearer(&session("s1")).send();
    let reply = page.reply().unwrap();
    assert_eq!((reply.status, reply.headers.get("location")), (302, Some("https://login.example/")));
    let api = envoy.worker(0).get("/").header("accept", "application/json").bearer(&session("s1")).send();
    assert_eq!(api.reply().unwrap().status, 401);
    let post = envoy.worker(0).post("/").header("accept", accept).bearer(&session("s1")).send();
    assert_eq!(post.reply().unwrap().status, 401);
}

#[test]
fn status_and_body_are_the_operators() {
    let (envoy, _stream) = synced(r#","reject":{"status":403,"body":"go away"}"#, &plane());
    let exchange = envoy.worker(0).get("/").bearer(&session("s1")).send();
    let reply = exchange.reply().unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (403, "go away"));
    assert_eq!(exchange.state(), State::Replied);
}
