//! Edges, issuers, probes and counters.

use portcullis_testbed::Issuer;
use serde_json::json;

use crate::support::{control_plane, get, key, lines, post, problem_at, revoke_session, setup, text};

#[tokio::test]
async fn without_edges_the_list_has_only_the_version() {
    let plane = control_plane().await;
    let version = revoke_session(&plane, "s1").await["version"].clone();
    let edges = get(&plane, "/v1/edges").await.json().unwrap();
    assert_eq!(edges, json!({"version": version, "edges": []}));
}

#[tokio::test]
async fn issuers_are_listed_as_configured() {
    let issuer = Issuer::start().await.unwrap();
    let settings = "max_token_lifetime = \"15m\"\nclock_skew = \"500ms\"\ncutoff_claim = \"auth_time\"\n\
        audiences = [\"portcullis\"]";
    let plane = setup().issuer(&issuer, settings).start().await.unwrap();
    let list = get(&plane, "/v1/issuers").await.json().unwrap();
    assert_eq!(list["issuers"].as_array().unwrap().len(), 1);
    let seen = &list["issuers"][0];
    assert_eq!((text(seen, "/issuer"), text(seen, "/jwks_uri")), (issuer.name(), issuer.jwks_uri().as_str()));
    assert_eq!(seen["max_token_lifetime_seconds"], 900);
    assert_eq!(seen["max_session_lifetime_seconds"], 86_400);
    assert_eq!((&seen["clock_skew_ms"], &seen["cutoff_claim"]), (&json!(500), &json!("auth_time")));
    assert_eq!(seen["audiences"], json!(["portcullis"]));
}

#[tokio::test]
async fn a_configured_issuer_is_not_warned_of() {
    let issuer = Issuer::start().await.unwrap();
    let plane = setup().issuer(&issuer, "").start().await.unwrap();
    let request = json!({"kind": "session", "issuer": issuer.name(), "value": "s1"});
    let made = post(&plane, "/v1/revocations", request).await.json().unwrap();
    assert!(made.get("warnings").is_none(), "{made}");
}

#[tokio::test]
async fn an_issuer_that_matches_no_configured_one_is_warned_of_with_the_one_that_is_nearly_it() {
    let issuer = Issuer::start().await.unwrap();
    let plane = setup().issuer(&issuer, "").start().await.unwrap();
    let near = format!("{}/", issuer.name());
    let says = format!("no token of the configured issuers ({0}) matches; did you mean {0}?", issuer.name());
    let request = json!({"kind": "session", "issuer": near, "value": "s1"});
    let made = post(&plane, "/v1/revocations", request.clone()).await.json().unwrap();
    assert!(text(&made, "/warnings/0").contains(&says), "{made}");
    let call = plane.api().post("/v1/revocations/batch").bearer(plane.admin_key());
    let call = call.header("content-type", "application/x-ndjson").body(request.to_string());
    let line = lines(&call.send().await.unwrap().text()).remove(0);
    assert!(text(&line, "/warnings/0").contains(&says), "{line}");
    let of = |issuer: &str| json!({"name": "ci", "scopes": ["revoke"], "issuers": [issuer]});
    let made = post(&plane, "/v1/keys", of(&near)).await.json().unwrap();
    assert!(text(&made, "/warnings/0").contains(&says), "{made}");
    let made = post(&plane, "/v1/keys", of(issuer.name())).await.json().unwrap();
    assert!(made.get("warnings").is_none(), "{made}");
}

#[tokio::test]
async fn the_only_issuer_need_not_be_named() {
    let issuer = Issuer::start().await.unwrap();
    let plane = setup().issuer(&issuer, "").start().await.unwrap();
    for kind in ["session", "subject", "token", "client", "key"] {
        let made = post(&plane, "/v1/revocations", json!({"kind": kind, "value": "v"})).await;
        assert_eq!(text(&made.json().unwrap(), "/issuer"), issuer.name());
    }
    let body = json!({"kind": "session", "value": "s2"}).to_string();
    let call = plane.api().post("/v1/revocations/batch").bearer(plane.admin_key());
    let reply = call.header("content-type", "application/x-ndjson").body(body).send().await.unwrap();
    assert!(lines(&reply.text())[0]["id"].is_string());
    for sid in ["v", "s2"] {
        let answer = post(&plane, "/v1/check", json!({"claims": {"sid": sid}})).await.json().unwrap();
        assert_eq!(text(&answer, "/code"), "session_revoked");
    }
    // What names another means another; claims and raw tokens have no default.
    let other = json!({"claims": {"sid": "v", "iss": "https://other.example"}});
    assert_eq!(post(&plane, "/v1/check", other).await.json().unwrap()["revoked"], false);
    let claims = json!({"kind": "claims", "claims": {"tenant": "t"}});
    let made = post(&plane, "/v1/revocations", claims).await.json().unwrap();
    assert_eq!(made["claims"], json!({"tenant": "t"}));
}

#[tokio::test]
async fn of_several_issuers_one_must_be_named() {
    let (one, two) = (Issuer::start().await.unwrap(), Issuer::start().await.unwrap());
    let plane = setup().issuer(&one, "").issuer(&two, "").start().await.unwrap();
    let request = json!({"kind": "session", "value": "v"});
    let reply = post(&plane, "/v1/revocations", request.clone()).await;
    problem_at(&reply, 422, "issuer_missing", "/issuer");
    assert!(reply.text().contains(one.name()) && reply.text().contains(two.name()));
    // Who is limited is not told of others.
    let limited = key(&plane, &["revoke"], &[one.name()]).await;
    let reply = plane.api().post("/v1/revocations").bearer(&limited).json(&request).send().await.unwrap();
    assert!(reply.text().contains(one.name()) && !reply.text().contains(two.name()));
}

#[tokio::test]
async fn probes_need_no_key() {
    let plane = control_plane().await;
    revoke_session(&plane, "s1").await;
    let live = plane.api().get("/livez").send().await.unwrap();
    assert_eq!((live.status.as_u16(), live.json().unwrap()), (200, json!({"status": "live"})));
    let ready = plane.api().get("/readyz").send().await.unwrap();
    assert_eq!(
        (ready.status.as_u16(), ready.json().unwrap()),
        (200, json!({"status": "ready", "version": 1}))
    );
}

#[tokio::test]
async fn requests_are_counted_by_route_and_not_by_path() {
    let plane = control_plane().await;
    get(&plane, "/v1/revocations/r1-0000").await;
    get(&plane, "/nonsense").await;
    let reply = plane.api().get("/metrics").send().await.unwrap();
    assert!(
        reply.header("content-type").is_some_and(|value| value.starts_with("application/openmetrics-text"))
    );
    let text = reply.text();
    for line in [
        r#"portcullis_control_http_requests_total{method="GET",route="/v1/revocations/{id}",status="404"} 1"#,
        r#"portcullis_control_http_requests_total{method="GET",route="unmatched",status="404"} 1"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("nonsense") && !text.contains("r1-0000"));
}
