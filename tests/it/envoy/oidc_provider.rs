//! `examples/oidc-provider`: a provider that is not ours ends a session, and Envoy rejects its token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_testbed::OidcProviderExample;
use serde_json::{Value, json};

use super::browser::Browser;
use super::support::{SOON, api, outcome, workers};

/// Requests on a connection each, so that both workers are met.
const SAMPLE: usize = 10;

#[tokio::test]
async fn a_logout_at_a_certified_provider_closes_the_gate() {
    let example = OidcProviderExample::start(env!("CARGO_BIN_EXE_portcullis")).await.unwrap();
    workers(&example.control_plane, 3).await;
    let browser = || Browser::new(example.site(), example.issuer());
    let (mut laptop, mut phone) = (browser(), browser());
    let (lost, kept) = (log_in(&mut laptop).await, log_in(&mut phone).await);
    let (claims, other) = (claims(&lost), claims(&kept));
    for claims in [&claims, &other] {
        assert_eq!((&claims["sub"], &claims["iss"]), (&json!("alice"), &json!(example.issuer())));
        assert!(claims["sid"].is_string(), "{claims}");
    }
    assert_ne!(claims["sid"], other["sid"]);
    all(&example, &lost, 200, None).await;
    all(&example, &kept, 200, None).await;

    log_out(&mut laptop).await;
    // The provider waits for Portcullis' answer, so the logout is on disk.
    example.provider.log().wait_for("Portcullis has the logout of alice", SOON).await.unwrap();
    let (received, revoked) = trail(&example).await;
    let revocation = revoked["revocation"].as_str().unwrap();
    for (name, value) in [("inlet", "backchannel-logout"), ("signal", "logout"), ("issuer", example.issuer())]
    {
        assert_eq!(received[name], value, "{received}");
    }
    assert_eq!(received["revocations"], json!([revocation]));
    assert_eq!(revoked["actor"]["via"], "backchannel-logout", "{revoked}");
    // Receipts of the newest version.
    workers(&example.control_plane, 3).await;

    let before = example.upstream.requests();
    all(&example, &lost, 401, Some("session_revoked")).await;
    assert_eq!(example.upstream.requests(), before);
    all(&example, &kept, 200, None).await;
    // She is logged out there, and may log in again.
    let again = log_in(&mut laptop).await;
    all(&example, &again, 200, None).await;
}

/// Alice's access token, as the application has it from the provider's token endpoint.
async fn log_in(browser: &mut Browser) -> String {
    let login = browser.open("/app").await;
    let consent = browser.submit(&login, &[("login", "alice"), ("password", "any")]).await;
    let page = browser.submit(&consent, &[]).await;
    assert_eq!(page.status, 200, "{}", page.text());
    page.text().trim().to_owned()
}

async fn log_out(browser: &mut Browser) {
    let question = browser.open("/session/end").await;
    let answer = browser.submit(&question, &[("logout", "yes")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap_or_else(|| panic!("no JWT: {token}"));
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Every worker of Envoy answers a request with this token so.
async fn all(example: &OidcProviderExample, token: &str, status: u16, code: Option<&str>) {
    for _ in 0..SAMPLE {
        let reply = example.envoy.http1().get("/").bearer(token).send().await.unwrap();
        assert_eq!(outcome(&reply), (status, code.map(str::to_owned)), "{}", reply.text());
    }
}

/// The one message, and what it became.
async fn trail(example: &OidcProviderExample) -> (Value, Value) {
    let page = api(&example.control_plane, "GET", "/v1/events?limit=1000", None).await;
    let of = |name: &str| {
        let events = page["events"].as_array().unwrap().iter().filter(|event| event["event"] == name);
        let events: Vec<&Value> = events.collect();
        assert_eq!(events.len(), 1, "{page}");
        events[0].clone()
    };
    (of("received"), of("revoked"))
}
