//! Where issuers' keys come from, and what happens when they do not.

use portcullis_testbed::{BrokenKeys, ControlPlane, Issuer};
use serde_json::{Value, json};

use super::support::{SETTINGS, logout, refused, send_logout, stage};
use crate::support::{get, setup};

async fn send(plane: &ControlPlane, issuer: &Issuer, jti: &str) -> u16 {
    let token = logout(issuer, jti).sid("s1").sign().unwrap();
    send_logout(plane, &token).await.status.as_u16()
}

async fn issuer_status(plane: &ControlPlane) -> Value {
    get(plane, "/v1/issuers").await.json().unwrap()["issuers"][0].clone()
}

#[tokio::test]
async fn keys_are_found_by_discovery() {
    let issuer = Issuer::start().await.unwrap();
    let config = format!("[[issuers]]\nissuer = \"{}\"\n{SETTINGS}\n", issuer.name());
    let plane = setup().config(&config).start().await.unwrap();
    assert_eq!(send(&plane, &issuer, "m1").await, 200);
    let status = issuer_status(&plane).await;
    assert_eq!(status["keys"], json!([{"kid": issuer.kid()}]));
    assert!(status["keys_fetched_at"].is_string(), "{status}");
    let metrics = plane.api().get("/metrics").send().await.unwrap().text();
    let gauge = format!("issuer_keys_fetched_timestamp_seconds{{issuer=\"{}\"}}", issuer.name());
    assert!(metrics.contains(&gauge), "{metrics}");
}

#[tokio::test]
async fn a_key_that_is_not_known_has_the_keys_fetched_again() {
    let (issuer, plane) = stage("").await;
    assert_eq!(send(&plane, &issuer, "m1").await, 200);
    issuer.replace().await.unwrap();
    assert_eq!(send(&plane, &issuer, "m2").await, 200);
    assert_eq!(issuer_status(&plane).await["keys"], json!([{"kid": issuer.kid()}]));
}

#[tokio::test]
async fn strangers_key_ids_do_not_hammer_the_provider() {
    let (issuer, plane) = stage("").await;
    let mut statuses = Vec::new();
    for index in 0..30 {
        let token = logout(&issuer, &format!("m{index}")).sid("s").header("kid", format!("k{index}"));
        statuses.push(send_logout(&plane, &token.sign().unwrap()).await.status.as_u16());
    }
    // Beyond the bound it may be a new key: worth sending again.
    assert_eq!((statuses[0], statuses[29]), (400, 503), "{statuses:?}");
    // At most six in a minute, and the one at the start.
    assert!(issuer.fetched() <= 7, "{}", issuer.fetched());
    assert_eq!(send(&plane, &issuer, "good").await, 200);
}

#[tokio::test]
async fn a_provider_that_is_down_at_the_start_is_asked_again() {
    let issuer = Issuer::start().await.unwrap();
    issuer.break_keys(Some(BrokenKeys::Unavailable));
    let plane = setup().issuer(&issuer, SETTINGS).start().await.unwrap();
    let token = logout(&issuer, "m1").sid("s1").sign().unwrap();
    let reply = send_logout(&plane, &token).await;
    refused(&plane, &reply, 503, "temporarily_unavailable", "keys_unavailable").await;
    assert!(reply.header("retry-after").is_some());
    assert!(issuer_status(&plane).await["keys_failure"].as_str().unwrap().contains("503"));
    issuer.break_keys(None);
    // What was refused for a while only is not a repetition.
    assert_eq!(send_logout(&plane, &token).await.status, 200);
    assert!(issuer_status(&plane).await.get("keys_failure").is_none());
}

#[tokio::test]
async fn keys_are_kept_while_the_provider_is_down() {
    let (issuer, plane) = stage("keys_max_age = \"1ms\"").await;
    assert_eq!(send(&plane, &issuer, "m1").await, 200);
    for broken in [BrokenKeys::Unavailable, BrokenKeys::Empty, BrokenKeys::Huge, BrokenKeys::Redirect] {
        issuer.break_keys(Some(broken));
        // Has them fetched again, in vain.
        let stranger = logout(&issuer, "x").sid("s").header("kid", "other").sign().unwrap();
        let reply = send_logout(&plane, &stranger).await;
        refused(&plane, &reply, 400, "invalid_request", "kid_unknown").await;
        assert!(issuer_status(&plane).await["keys_failure"].is_string(), "{broken:?}");
        assert_eq!(send(&plane, &issuer, &format!("{broken:?}")).await, 200);
    }
}

/// The failure of a fetch with these lines of configuration, for a token that would be good.
pub(super) async fn failure(token: &str, config: &str) -> String {
    let plane = setup().config(config).start().await.unwrap();
    let reply = send_logout(&plane, token).await;
    refused(&plane, &reply, 503, "temporarily_unavailable", "keys_unavailable").await;
    issuer_status(&plane).await["keys_failure"].as_str().unwrap().to_owned()
}

fn signed(issuer: &Issuer) -> String {
    logout(issuer, "m1").sid("s1").sign().unwrap()
}

#[tokio::test]
async fn keys_at_a_private_address_must_be_meant() {
    let issuer = Issuer::start().await.unwrap();
    let entry = |jwks_uri: &str| {
        format!(
            "[[issuers]]\nissuer = \"{}\"\njwks_uri = \"{jwks_uri}\"\naudiences = [\"portcullis\"]\n",
            issuer.name()
        )
    };
    let port = issuer.address().port();
    // By number and by a name that resolves to one.
    for uri in [format!("http://127.0.0.1:{port}/jwks"), format!("http://localhost:{port}/jwks")] {
        let failure = failure(&signed(&issuer), &entry(&uri)).await;
        assert!(failure.contains("private address"), "{failure}");
    }
    assert_eq!(issuer.fetched(), 0);
    let failure = failure(&signed(&issuer), &entry("ftp://127.0.0.1/jwks")).await;
    assert!(failure.contains("not an https URL"), "{failure}");
}

#[tokio::test]
async fn redirects_are_not_followed_and_large_answers_not_read() {
    for (broken, says) in [(BrokenKeys::Redirect, "redirect (307)"), (BrokenKeys::Huge, "larger than")] {
        let issuer = Issuer::start().await.unwrap();
        issuer.break_keys(Some(broken));
        let config = format!(
            "[[issuers]]\nissuer = \"{}\"\njwks_uri = \"{}\"\n{SETTINGS}\n",
            issuer.name(),
            issuer.jwks_uri()
        );
        let failure = failure(&signed(&issuer), &config).await;
        assert!(failure.contains(says), "{failure}");
    }
}

#[tokio::test]
async fn an_issuer_accepts_the_algorithms_that_it_is_configured_with() {
    let (issuer, plane) = stage("algorithms = [\"ES256\"]").await;
    let token = logout(&issuer, "m1").sid("s1").sign().unwrap();
    let reply = send_logout(&plane, &token).await;
    refused(&plane, &reply, 400, "invalid_request", "algorithm_not_accepted").await;
}

#[tokio::test]
async fn keys_come_by_tls_from_whom_the_operator_trusts() {
    let issuer = Issuer::start().await.unwrap();
    let (address, dir) = crate::cli::https::server(&issuer.jwks().to_string());
    let config = format!(
        "[[issuers]]\nissuer = \"{}\"\njwks_uri = \"https://{address}/jwks\"\n{SETTINGS}\n",
        issuer.name()
    );
    let failure = failure(&signed(&issuer), &config).await;
    assert!(failure.contains("certificate"), "{failure}");
    let ca = dir.path().join("ca.pem");
    let trusting = setup().config(&config).env("PORTCULLIS_INLETS_CA_FILE", ca.to_str().unwrap());
    assert_eq!(send(&trusting.start().await.unwrap(), &issuer, "m1").await, 200);
}

/// Documents by their paths.
type Documents = [(&'static str, &'static str)];

/// A provider whose discovery documents and keys are these, by path; its address goes in where `HOST` stands.
pub(super) async fn provider<T: AsRef<str>>(documents: &[(&'static str, T)]) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let router = documents.iter().fold(axum::Router::new(), |router, (path, text)| {
        let text = text.as_ref().replace("HOST", &host);
        router.route(path, axum::routing::get(async move || text))
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    host
}

/// OpenID Connect Discovery 1.0, section 4.3, and that of transmitters where there is none.
#[tokio::test]
async fn a_discovery_document_must_be_the_issuers_own() {
    const OPENID: &str = "/.well-known/openid-configuration";
    const SSF: &str = "/.well-known/ssf-configuration";
    let cases: &[(&Documents, Option<&str>)] = &[
        (
            &[(OPENID, r#"{"issuer":"https://other.example","jwks_uri":"HOST/jwks"}"#)],
            Some("names another issuer"),
        ),
        (&[(OPENID, r#"{"issuer":"HOST/","jwks_uri":"HOST/jwks"}"#)], Some("names another issuer")),
        (&[(OPENID, r#"{"issuer":7,"jwks_uri":"HOST/jwks"}"#)], Some("names another issuer")),
        (&[(OPENID, r#"{"issuer":"HOST"}"#)], Some("no jwks_uri in it")),
        (
            &[(OPENID, r#"{"issuer":"HOST","issuer":"HOST","jwks_uri":"HOST/jwks"}"#)],
            Some("not JSON without duplicate"),
        ),
        (&[(OPENID, "<html>")], Some("not JSON")),
        (&[(OPENID, r#"{"issuer":"HOST","jwks_uri":"ftp://127.0.0.1/jwks"}"#)], Some("not an https URL")),
        (&[], Some("404")),
        (&[(SSF, r#"{"issuer":"https://other.example","jwks_uri":"HOST/jwks"}"#)], Some("404")),
        (&[(SSF, r#"{"issuer":"HOST","jwks_uri":"HOST/jwks"}"#), ("/jwks", KEYS)], None),
        (&[(OPENID, r#"{"issuer":"HOST","jwks_uri":"HOST/jwks"}"#), ("/jwks", KEYS)], None),
    ];
    for (documents, failure) in cases {
        let name = provider(documents).await;
        let config = format!("[[issuers]]\nissuer = \"{name}\"\n{SETTINGS}\n");
        let plane = setup().config(&config).start().await.unwrap();
        let outcome = if failure.is_some() { "cannot be fetched" } else { "are there" };
        let outcome = format!("the keys of the issuer {outcome}");
        plane.log().wait_for(&outcome, std::time::Duration::from_secs(20)).await.unwrap();
        let status = issuer_status(&plane).await;
        match failure {
            None => assert_eq!(status["keys"], json!([{"kid": "k1"}]), "{documents:?}: {status}"),
            Some(says) => {
                let failure = status["keys_failure"].as_str().unwrap_or_default();
                assert!(failure.contains(says), "{documents:?}: {status}");
            }
        }
    }
}

/// A published key (RFC 8037 appendix A.2).
const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
