//! Tokens that jwt_authn accepts, and what revocations do to them.

use portcullis_testbed::Reply;
use serde_json::json;

use super::support::{SOON, outcome, peers, unix_now, world};

const PASSES: (u16, Option<String>) = (200, None);

fn rejected(code: &str) -> (u16, Option<String>) {
    (401, Some(code.to_owned()))
}

#[tokio::test]
async fn a_session_is_revoked_and_the_mistake_undone() {
    let world = world().await;
    let (one, two) = (world.session("alice", "s1"), world.session("alice", "s2"));
    assert_eq!((world.outcome(&one).await, world.outcome(&two).await), (PASSES, PASSES));

    let revocation = world.revoke("session", "s1").await;
    assert_eq!(revocation["receipts"]["edges"][0]["workers"], 3, "{revocation}");
    // Both workers take connections; sixteen of them reach each.
    for _ in 0..16 {
        assert_eq!(world.outcome(&one).await, rejected("session_revoked"));
    }
    assert_eq!(world.outcome(&two).await, PASSES);
    world
        .envoy
        .wait_for_access("401 portcullis_session_revoked rejected;code=session_revoked /", SOON)
        .await
        .unwrap();

    let id = revocation["id"].as_str().unwrap();
    world.api("POST", &format!("/v1/revocations/{id}/undo?wait=20s"), Some(&json!({}))).await;
    for _ in 0..16 {
        assert_eq!(world.outcome(&one).await, PASSES);
    }
}

#[tokio::test]
async fn a_user_is_revoked_and_logs_in_again() {
    let world = world().await;
    let old = world.issuer.token().sub("alice").iat(unix_now() - 60).sign().unwrap();
    assert_eq!(world.outcome(&old).await, PASSES);
    world.revoke("subject", "alice").await;
    assert_eq!(world.outcome(&old).await, rejected("subject_revoked"));
    // The second in which the user was revoked is rejected as a whole; the next one is not.
    let new = world.issuer.token().sub("alice").iat(unix_now() + 2).sign().unwrap();
    assert_eq!(world.outcome(&new).await, PASSES);
    assert_eq!(world.outcome(&old).await, rejected("subject_revoked"));
    assert_eq!(world.outcome(&world.session("bob", "b1")).await, PASSES);
}

#[tokio::test]
async fn a_disabled_user_stays_out_until_reinstated() {
    let world = world().await;
    let body =
        json!({"kind": "subject", "issuer": world.issuer.name(), "value": "alice", "until_reinstated": true});
    let revocation = world.api("POST", "/v1/revocations?wait=20s", Some(&body)).await;
    let now = unix_now();
    let token = |iat| world.issuer.token().sub("alice").iat(iat).sign().unwrap();
    assert_eq!(world.outcome(&token(now + 5)).await, rejected("subject_revoked"));
    let id = revocation["id"].as_str().unwrap();
    world.api("POST", &format!("/v1/revocations/{id}/reinstate?wait=20s"), Some(&json!({}))).await;
    assert_eq!(world.outcome(&token(now - 5)).await, rejected("subject_revoked"));
    assert_eq!(world.outcome(&token(unix_now() + 2)).await, PASSES);
}

#[tokio::test]
async fn every_kind_rejects_what_it_names() {
    let world = world().await;
    let issuer = world.issuer.name().to_owned();
    let token = |sub: &str| {
        world.issuer.token().sub(sub).jti(&format!("{sub}-jti")).claim("azp", format!("{sub}-app"))
    };
    let raw = token("raw").sign().unwrap();
    let cases = [
        (
            json!({"kind": "token", "issuer": issuer, "value": "t-jti"}),
            token("t").sign().unwrap(),
            "token_revoked",
        ),
        (json!({"kind": "token", "token": raw}), raw.clone(), "token_revoked"),
        (
            json!({"kind": "client", "issuer": issuer, "value": "c-app"}),
            token("c").sign().unwrap(),
            "client_revoked",
        ),
        (
            json!({"kind": "claims", "claims": {"iss": issuer, "tenant": 7, "groups": "ops"}}),
            token("m").claim("tenant", 7).claim("groups", json!(["dev", "ops"])).sign().unwrap(),
            "claims_revoked",
        ),
    ];
    let innocent = token("innocent").claim("tenant", 7).sign().unwrap();
    for (body, token, code) in &cases {
        assert_eq!(world.outcome(token).await, PASSES, "{body}");
        world.api("POST", "/v1/revocations?wait=20s", Some(body)).await;
        assert_eq!(world.outcome(token).await, rejected(code), "{body}");
        assert_eq!(world.outcome(&innocent).await, PASSES, "{body}");
    }
    world.revoke("key", world.issuer.kid()).await;
    assert_eq!(world.outcome(&innocent).await, rejected("key_revoked"));
}

#[tokio::test]
async fn two_issuers_with_the_same_subject_are_two_users() {
    let world = world().await;
    let body = json!({"kind": "subject", "issuer": "https://other.example", "value": "alice"});
    world.api("POST", "/v1/revocations?wait=20s", Some(&body)).await;
    assert_eq!(world.outcome(&world.session("alice", "s1")).await, PASSES);
}

#[tokio::test]
async fn claims_that_jwt_authn_verified_are_enough() {
    let peers = peers().await;
    let bootstrap = peers.bootstrap().plugin("tokens", json!([{"jwt_authn": "payload"}]));
    let world = peers.with(bootstrap).await;
    world.synced().await;
    let token = |sub: &str, tenant: u32| {
        let roles = json!({"roles": ["user", format!("{sub}-role")]});
        world
            .issuer
            .token()
            .sub(sub)
            .sid(&format!("{sub}-s"))
            .claim("tenant", tenant)
            .claim("realm_access", roles)
    };
    let (alice, bob) = (token("alice", 42).sign().unwrap(), token("bob", 43).sign().unwrap());
    let issuer = world.issuer.name();
    for body in [
        json!({"kind": "session", "issuer": issuer, "value": "alice-s"}),
        json!({"kind": "subject", "issuer": issuer, "value": "alice"}),
        json!({"kind": "claims", "claims": {"iss": issuer, "tenant": 42}}),
        json!({"kind": "claims", "claims": {"iss": issuer, "/realm_access/roles": "alice-role"}}),
    ] {
        assert_eq!(world.outcome(&alice).await, PASSES, "{body}");
        let revocation = world.api("POST", "/v1/revocations?wait=20s", Some(&body)).await;
        assert_eq!(world.outcome(&alice).await.0, 401, "{body}");
        assert_eq!(world.outcome(&bob).await, PASSES, "{body}");
        let undo = format!("/v1/revocations/{}/undo?wait=20s", revocation["id"].as_str().unwrap());
        world.api("POST", &undo, Some(&json!({}))).await;
    }
}

#[tokio::test]
async fn what_jwt_authn_reads_loosely_is_not_a_way_around() {
    let world = world().await;
    let token = world.session("alice", "s1");
    world.revoke("session", "s1").await;
    let send = |value: String| {
        let call = world.client().get("/").header("authorization", &value);
        async move { call.send().await.unwrap() }
    };
    for value in [
        format!("Bearer  {token}"),
        format!("Bearer {token}=="),
        format!("Bearer ,{token}"),
        format!("Basic YTpi Bearer {token}"),
        format!("DPoP x,Bearer {token}"),
        format!("fooBearer {token}"),
    ] {
        let reply: Reply = send(value.clone()).await;
        assert_eq!(reply.status.as_u16(), 401, "{value}");
        assert!(
            outcome(&reply).1.is_some_and(|code| code.contains("revoked") || code == "token_malformed"),
            "{value}"
        );
    }
    let two =
        world.client().get("/").header("authorization", "Basic YTpi").bearer(&token).send().await.unwrap();
    assert_eq!(outcome(&two), rejected("token_malformed"));
}

#[tokio::test]
async fn grpc_calls_get_unauthenticated() {
    let world = world().await;
    world.revoke("session", "s1").await;
    let call = world.envoy.http2().post("/grpc.Echo/Once").header("content-type", "application/grpc");
    let reply = call.bearer(&world.session("alice", "s1")).send().await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.grpc_status()), (200, Some(16)));
}

#[tokio::test]
async fn a_marked_request_reaches_the_service_with_the_verdict() {
    let peers = peers().await;
    let bootstrap = peers.bootstrap().plugin("mode", "mark");
    let world = peers.with(bootstrap).await;
    world.synced().await;
    world.revoke("session", "s1").await;
    let echo = async |sid: &str| {
        let call =
            world.client().get("/").header("x-portcullis", "forged").bearer(&world.session("alice", sid));
        call.send().await.unwrap().json().unwrap()["headers"]["x-portcullis"].clone()
    };
    assert_eq!(echo("s1").await, "revoked; kind=session");
    assert!(echo("s2").await.is_null());
}

#[tokio::test]
async fn the_counters_have_labels() {
    let world = world().await;
    world.revoke("session", "s1").await;
    world.get(&world.session("alice", "s1")).await;
    let name = "wasmcustom.portcullis_requests_total.outcome.rejected.code.session_revoked";
    world.envoy.wait_for_stat(name, |value| value == 1, SOON).await.unwrap();
    let text = world.envoy.admin_get("/stats/prometheus").await.unwrap();
    let line = r#"portcullis_requests_total{outcome="rejected",code="session_revoked"} 1"#;
    let swapped = r#"portcullis_requests_total{code="session_revoked",outcome="rejected"} 1"#;
    assert!(text.contains(line) || text.contains(swapped), "{text:.2000}");
}
