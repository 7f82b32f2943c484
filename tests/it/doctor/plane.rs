//! Mistakes at the control plane, and whoever cannot ask it.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::header::DATE;
use axum::routing::get as route;
use axum::{Json, Router};
use portcullis_testbed::{Authority, BrokenKeys, Issuer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{finding, finds};
use crate::support::{control_plane, get, key, now, post, run, run_as, setup};

type Shared = Arc<Mutex<Value>>;

/// Keys, by a clock that is many years ahead.
async fn ahead(State(keys): State<Shared>) -> ([(axum::http::HeaderName, &'static str); 1], Json<Value>) {
    let keys = keys.lock().unwrap().clone();
    ([(DATE, "Sat, 01 Jan 2050 00:00:00 GMT")], Json(keys))
}

#[tokio::test]
async fn a_control_plane_with_ten_mistakes() {
    let shared = Shared::default();
    let fast = Issuer::start_with(Router::new().route("/ahead", route(ahead)).with_state(shared.clone()))
        .await
        .unwrap();
    *shared.lock().unwrap() = fast.jwks();
    let broken = Issuer::start().await.unwrap();
    broken.break_keys(Some(BrokenKeys::Unavailable));
    let (authority, dir) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
    let now = now();
    let day = 86_400;
    authority.issue_for(&["localhost"], now - 90 * day, now + 2 * day).unwrap().write(dir.path()).unwrap();
    let settings = "audiences = [\"portcullis\"]\nallow_private_addresses = true";
    let config = format!(
        "[[issuers]]\nissuer = \"{0}\"\njwks_uri = \"{0}/ahead\"\n{settings}\n\
         [[ssf]]\nname = \"idp\"\ntransmitter = \"{0}\"\ndelivery = \"poll\"\ntoken_env = \"SSF_TOKEN\"\n\
         [[status_lists]]\nuri = \"{0}/lists/1\"\nissuer = \"{0}\"\npoll_interval = \"1s\"\n\
         [tls]\ncertificate_file = \"{1}/tls.crt\"\nkey_file = \"{1}/tls.key\"\nports = [\"edge\"]\n",
        fast.name(),
        dir.path().display(),
    );
    let mut plane = setup()
        .issuer(&broken, settings)
        .config(&config)
        .env("SSF_TOKEN", "a-token-for-tests")
        .env("PORTCULLIS_LISTEN_HTTP", "0.0.0.0:0")
        .arg("--allow-plaintext")
        .start()
        .await
        .unwrap();
    let typo = json!({"kind": "session", "issuer": "https://idp.exmaple", "value": "s1"});
    assert_eq!(post(&plane, "/v1/revocations", typo).await.status, 201);
    let status = get(&plane, "/v1/status").await.json().unwrap();
    let bytes = status["log"]["bytes"].as_u64().unwrap();
    plane.reconfigure(&format!("[log]\nmax_bytes = {}\n", bytes + bytes / 20)).await.unwrap();
    std::fs::write(dir.path().join("tls.key"), "half written").unwrap();

    let expect = [
        "certificate_expiring",
        "certificate_reload",
        "edge_none",
        "issuer_clock_ahead",
        "issuer_keys_missing",
        "issuer_unconfigured",
        "log_nearly_full",
        "plaintext",
        "status_list_failing",
        "stream_failing",
    ];
    let report = finds(&plane, &[], &expect).await;
    assert_eq!(finding(&report, "issuer_keys_missing").0, format!("issuer {}", broken.name()));
    assert_eq!(finding(&report, "issuer_clock_ahead").0, format!("issuer {}", fast.name()));
    assert_eq!(finding(&report, "issuer_unconfigured").0, "issuer https://idp.exmaple");
    assert_eq!((&report["errors"], &report["warnings"]), (&json!(5), &json!(5)));
    // The gravest first, for people as for programs.
    let words = run(&plane, &["doctor"], 1).await;
    assert_eq!(words.stderr, "error: 5 errors and 5 warnings found\n");
    let lines: Vec<&str> = words.stdout.lines().collect();
    assert!(
        lines.len() == 20 && lines[0].starts_with("error: ") && lines[1].starts_with(" hint: "),
        "{lines:?}"
    );
    assert!(lines[18].starts_with("warning: "), "{lines:?}");
}

#[tokio::test]
async fn keys_that_were_fetched_and_cannot_be_fetched_again() {
    let issuer = Issuer::start().await.unwrap();
    let settings = "allow_private_addresses = true\nkeys_max_age = \"1s\"";
    let plane = setup().issuer(&issuer, settings).start().await.unwrap();
    finds(&plane, &[], &["edge_none"]).await;
    issuer.break_keys(Some(BrokenKeys::Unavailable));
    finds(&plane, &[], &["edge_none", "issuer_keys_stale"]).await;
}

#[tokio::test]
async fn a_clock_that_is_off() {
    let plane = control_plane().await;
    let mut router = Router::new();
    for path in ["/v1/status", "/v1/issuers", "/v1/revocations", "/v1/edges"] {
        let mut answer = get(&plane, path).await.json().unwrap();
        if path == "/v1/status" {
            answer["now"] = "2020-01-01T00:00:00Z".into();
        }
        router = router.route(path, route(async move || Json(answer)));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let ran =
        run(&plane, &["doctor", "--url", &url, "--ignore", "edge_none", "--ignore", "issuer_none"], 1).await;
    assert!(ran.stdout.contains("s behind this machine's [clock_differs]"), "{}", ran.stdout);
    server.abort();
}

#[tokio::test]
async fn whoever_may_not_ask_or_cannot_is_told_why() {
    let plane = control_plane().await;
    finds(&plane, &[], &["edge_none", "issuer_none"]).await;
    let revoker = key(&plane, &["revoke"], &[]).await;
    let nobody = "http://127.0.0.1:1";
    for (key, args, code) in [
        (revoker.as_str(), &["doctor"][..], "[key_scope]"),
        ("pk_wrong", &["doctor"], "[key_refused]"),
        (plane.admin_key(), &["doctor", "--url", nobody], "[control_plane_unreachable]"),
        (plane.admin_key(), &["doctor", "--envoy", nobody], "[envoy_unreachable]"),
        // It answers, but it is no Envoy.
        (plane.admin_key(), &["doctor", "--envoy", &plane.url()], "[envoy_unreachable]"),
    ] {
        let ran = run_as(&plane, key, args, 1).await;
        assert!(ran.stdout.contains(code), "{code} in {}", ran.stdout);
    }
    for args in [
        &["doctor", "--envoy", "127.0.0.1:9901"][..],
        &["doctor", "--ignore", "nonsense"],
        &["doctor", "--url", "x"],
    ] {
        run(&plane, args, 2).await;
    }
}
