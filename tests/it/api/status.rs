//! How the control plane is.

use portcullis_testbed::Issuer;
use serde_json::json;

use crate::support::{control_plane, get, key, problem, revoke_session, setup, text};

#[tokio::test]
async fn a_new_one_says_what_it_is_and_has() {
    let plane = control_plane().await;
    revoke_session(&plane, "s1").await;
    let status = get(&plane, "/v1/status").await.json().unwrap();
    assert_eq!(status["release"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&status["version"], &status["revocations"]), (&json!(1), &json!(1)));
    assert_eq!((&status["edges"], &status["workers"]), (&json!(0), &json!(0)));
    assert_eq!(status["heartbeat_ms"], 5_000);
    let file = std::fs::metadata(plane.dir().join("data/portcullis.db")).unwrap().len();
    assert_eq!(status["log"], json!({"bytes": file, "max_bytes": null}));
    assert!(status["disk"]["free_bytes"].as_u64() < status["disk"]["total_bytes"].as_u64(), "{status}");
    let expect = json!([
        {"name": "http", "address": plane.url().trim_start_matches("http://"), "tls": false},
        {"name": "edge", "address": plane.edge_address().to_string(), "tls": false},
    ]);
    assert_eq!(status["ports"], expect);
    assert_eq!((&status["certificate"], &status["filters"]), (&json!(null), &json!([])));
    let (now, started) = (text(&status, "/now"), text(&status, "/started_at"));
    assert!(now.starts_with("20") && started <= now, "{status}");
}

#[tokio::test]
async fn it_needs_a_key_that_may_read() {
    let plane = control_plane().await;
    let revoker = key(&plane, &["revoke"], &[]).await;
    problem(&plane.api().get("/v1/status").bearer(&revoker).send().await.unwrap(), 403, "scope");
}

#[tokio::test]
async fn a_limited_key_sees_its_own_issuers_streams_and_lists() {
    let (one, two) = (Issuer::start().await.unwrap(), Issuer::start().await.unwrap());
    let of = |issuer: &Issuer, name: &str| {
        format!(
            "[[ssf]]\nname = \"{name}\"\ntransmitter = \"{0}\"\ndelivery = \"push\"\nauthorization_env = \"PUSH\"\n\
             [[status_lists]]\nuri = \"{0}/lists/1\"\nissuer = \"{0}\"\n",
            issuer.name()
        )
    };
    let plane = setup()
        .issuer(&one, "audiences = [\"a\"]")
        .issuer(&two, "audiences = [\"a\"]")
        .config(&of(&one, "one"))
        .config(&of(&two, "two"))
        .env("PUSH", "Bearer of-the-stream")
        .start()
        .await
        .unwrap();
    let all = get(&plane, "/v1/status").await.json().unwrap();
    assert_eq!(
        (all["streams"].as_array().unwrap().len(), all["status_lists"].as_array().unwrap().len()),
        (2, 2)
    );
    let limited = key(&plane, &["read"], &[two.name()]).await;
    let own = plane.api().get("/v1/status").bearer(&limited).send().await.unwrap().json().unwrap();
    assert_eq!(own["streams"].as_array().unwrap().len(), 1, "{own}");
    assert_eq!(text(&own, "/streams/0/name"), "two");
    assert_eq!(text(&own, "/status_lists/0/uri"), format!("{}/lists/1", two.name()));
    assert!(!own.to_string().contains(one.name()), "{own}");
}
