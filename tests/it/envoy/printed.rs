//! What `portcullis config envoy` prints, on real Envoys: as it is, but for free ports.

use portcullis_testbed::{Authority, Bootstrap, ControlPlane, Envoy, Issuer, Upstream, paths};

use super::support::{Peers, SOON, outcome, workers};
use crate::support::{handing_out, run, setup};

/// A configuration that the command line has printed, with these arguments.
async fn printed(plane: &ControlPlane, args: &[&str]) -> String {
    run(plane, &[&["config"], args].concat(), 0).await.stdout
}

/// Two workers come, a revoked session is rejected and another is not.
pub(crate) async fn enforces(plane: &ControlPlane, issuer: &Issuer, envoy: &Envoy) {
    workers(plane, 2).await;
    let token = |sid: &str| issuer.token().sub("alice").sid(sid).sign().unwrap();
    run(plane, &["revoke", "session", "s1", "--wait"], 0).await;
    for (sid, expect) in [("s1", (401, Some("session_revoked".to_owned()))), ("s2", (200, None))] {
        let reply = envoy.http1().get("/").bearer(&token(sid)).send().await.unwrap();
        let (status, code) = outcome(&reply);
        assert_eq!((status, code.filter(|_| status != 200)), expect, "{sid}");
    }
}

#[tokio::test]
async fn an_envoy_gets_the_filter_from_the_control_plane() {
    let filter = paths::filter().unwrap();
    let issuer = Issuer::start().await.unwrap();
    let plane = handing_out(&filter, &issuer).await;
    let upstream = Upstream::start().await.unwrap();
    let text = printed(
        &plane,
        &[
            "envoy",
            "--control-plane",
            &plane.edge_address().to_string(),
            "--edge-key",
            plane.edge_key(),
            "--service",
            &upstream.address().to_string(),
            "--fetch",
        ],
    )
    .await;
    assert!(!text.contains("filename: /etc/envoy/portcullis_filter.wasm"), "{text}");
    let envoy = Envoy::start(Bootstrap::printed(&text).issuer(&issuer)).await.unwrap();
    enforces(&plane, &issuer, &envoy).await;
    let peers = Peers { issuer, upstream, plane };

    // A checksum that is another's: the module is not loaded, and nothing passes.
    let wrong: String = text
        .lines()
        .map(|line| match line.split_once("sha256: ") {
            Some((before, _)) => format!("{before}sha256: \"{}\"\n", "0".repeat(64)),
            // Envoy starts once it has given up.
            None => format!("{}\n", line.replace("num_retries: 10", "num_retries: 1")),
        })
        .collect();
    let envoy = Envoy::start(Bootstrap::printed(&wrong).issuer(&peers.issuer)).await.unwrap();
    envoy.log().wait_for("Retry limit exceeded for fetching data", SOON).await.unwrap();
    let token = peers.issuer.token().sub("alice").sign().unwrap();
    assert_eq!(envoy.http1().get("/").bearer(&token).send().await.unwrap().status, 503);
}

#[tokio::test]
async fn an_envoy_with_tls_needs_no_edge_key() {
    let (authority, dir) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
    let edge = dir.path().join("edge");
    std::fs::create_dir(&edge).unwrap();
    authority.issue(&["localhost"]).unwrap().write(dir.path()).unwrap();
    authority.issue(&["edge-1.edges.example"]).unwrap().write(&edge).unwrap();
    for path in [dir.path().join("ca.crt"), edge.join("ca.crt")] {
        std::fs::write(path, authority.pem()).unwrap();
    }
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let issuer = Issuer::start().await.unwrap();
    let plane = setup()
        .issuer(&issuer, "allow_private_addresses = true")
        .env("PORTCULLIS_TLS_CERTIFICATE_FILE", &file("tls.crt"))
        .env("PORTCULLIS_TLS_KEY_FILE", &file("tls.key"))
        .env("PORTCULLIS_TLS_EDGE_CA_FILE", &file("ca.crt"))
        .env("PORTCULLIS_TLS_PORTS", "edge")
        .start()
        .await
        .unwrap();
    let upstream = Upstream::start().await.unwrap();
    let edge = edge.to_str().unwrap();
    let control_plane = format!("localhost:{}", plane.edge_address().port());
    for (which, name) in [("edge", "edge.yaml"), ("control-plane", "control-plane.yaml")] {
        let args = ["envoy-secret", which, "--tls-dir", edge, "--control-plane", "localhost"];
        std::fs::write(format!("{edge}/{name}"), printed(&plane, &args).await).unwrap();
    }
    let filter = paths::filter().unwrap();
    let args = [
        "envoy",
        "--control-plane",
        &control_plane,
        "--tls-dir",
        edge,
        "--service",
        &upstream.address().to_string(),
        "--filter",
        filter.to_str().unwrap(),
    ];
    let text = printed(&plane, &args).await;
    let envoy = Envoy::start(Bootstrap::printed(&text).issuer(&issuer)).await.unwrap();
    enforces(&plane, &issuer, &envoy).await;
}
