//! TLS in both directions between real Envoys and the control plane: who gets in, who does not and what is said of
//! it, and certificates that change while everything runs.

use std::time::Duration;

use portcullis_testbed::{
    Authority, Bootstrap, ControlPlane, ControlPlaneSetup, Envoy, Issuer, Upstream, paths,
};
use serde_json::json;
use tempfile::TempDir;

use super::support::{SOON, api, control_plane_cluster, outcome, workers};
use crate::support::now;

/// What the control plane is called in its certificate, as the example has it.
const PLANE: &str = "portcullis.example";
const EDGE: &str = "spiffe://mesh.example/ns/prod/sa/ingress";

/// A control plane with TLS on the edges' port, the directories of both ends' files, and who vouches for them.
struct Stage {
    authority: Authority,
    plane: ControlPlane,
    plane_dir: TempDir,
    issuer: Issuer,
    upstream: Upstream,
}

impl Stage {
    /// With these names in the control plane's certificate, and lines of configuration.
    async fn new(names: &[&str], lines: &str) -> Self {
        let (authority, plane_dir) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
        authority.issue(names).unwrap().write(plane_dir.path()).unwrap();
        std::fs::write(plane_dir.path().join("edges-ca.crt"), authority.pem()).unwrap();
        let path = |name: &str| plane_dir.path().join(name).display().to_string();
        let tls = format!(
            "[tls]\ncertificate_file = \"{}\"\nkey_file = \"{}\"\nedge_ca_file = \"{}\"\nports = [\"edge\"]\n{lines}",
            path("tls.crt"),
            path("tls.key"),
            path("edges-ca.crt")
        );
        let issuer = Issuer::start().await.unwrap();
        let plane = ControlPlaneSetup::new(env!("CARGO_BIN_EXE_portcullis"))
            .issuer(&issuer, "clock_skew = \"0s\"")
            .config(&tls)
            .env("PORTCULLIS_EDGE_HEARTBEAT", "500ms")
            .start()
            .await
            .unwrap();
        Self { authority, plane, plane_dir, issuer, upstream: Upstream::start().await.unwrap() }
    }

    /// The files of an edge that trusts this authority and has a certificate of that one.
    fn files(&self, of: &Authority, names: &[&str]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        of.issue(names).unwrap().write(dir.path()).unwrap();
        std::fs::write(dir.path().join("ca.crt"), self.authority.pem()).unwrap();
        dir
    }

    /// An edge without an edge key: its certificate is all that it shows.
    fn bootstrap(&self, files: &TempDir) -> Bootstrap {
        Bootstrap::new()
            .upstream(self.upstream.address())
            .issuer(&self.issuer)
            .filter(paths::filter().unwrap())
            .control_plane(self.plane.edge_address())
            .control_plane_tls(files.path())
            .plugin("control_plane", json!({"cluster": "portcullis"}))
            .plugin("startup", json!({"hold": "300ms", "then": "deny"}))
    }

    fn token(&self, sid: &str) -> String {
        self.issuer.token().sub("alice").sid(sid).sign().unwrap()
    }

    async fn revoke(&self, sid: &str) {
        let body = json!({"kind": "session", "issuer": self.issuer.name(), "value": sid});
        let revocation = api(&self.plane, "POST", "/v1/revocations?wait=20s", Some(&body)).await;
        assert_eq!(revocation["receipts"]["pending"], 0, "{revocation}");
    }

    async fn metric(&self, name: &str) -> String {
        let metrics = self.plane.api().get("/metrics").send().await.unwrap().text();
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).to_owned()
    }

    /// The edge never gets a set, and the control plane's log says why.
    async fn shut_out(&self, envoy: &Envoy, says: &str) {
        self.plane.log().wait_for(says, SOON).await.unwrap();
        let reply = envoy.http1().get("/").bearer(&self.token("s")).send().await.unwrap();
        assert_eq!(outcome(&reply), (401, Some("not_synced".into())));
        let edges = api(&self.plane, "GET", "/v1/edges", None).await;
        assert_eq!(edges["edges"], json!([]), "{says}");
    }
}

async fn status(envoy: &Envoy, token: &str) -> u16 {
    envoy.http1().get("/").bearer(token).send().await.unwrap().status.as_u16()
}

#[tokio::test]
async fn an_edge_with_a_certificate_needs_no_key_and_both_ends_take_new_ones_while_they_run() {
    let stage = Stage::new(&[PLANE], "").await;
    let files = stage.files(&stage.authority, &[EDGE]);
    let envoy = Envoy::start(stage.bootstrap(&files)).await.unwrap();
    workers(&stage.plane, 2).await;
    stage.revoke("s1").await;
    assert_eq!(
        (status(&envoy, &stage.token("s1")).await, status(&envoy, &stage.token("s2")).await),
        (401, 200)
    );
    let expires = stage.metric("portcullis_control_tls_certificate_expires_timestamp_seconds").await;

    // A file that is of no use: said, counted, and the old certificate goes on.
    let mark = stage.plane.log().mark();
    std::fs::write(stage.plane_dir.path().join("tls.key"), "half written").unwrap();
    stage.plane.log().wait_for_after(mark, "no private key", SOON).await.unwrap();
    assert!(!stage.metric("portcullis_control_tls_reload_failures_total").await.ends_with(" 0"));
    assert_eq!(stage.metric("portcullis_control_tls_certificate_expires_timestamp_seconds").await, expires);
    workers(&stage.plane, 2).await;

    // A new authority for everybody: trusted beside the old one first, then used, then alone.
    let next = Authority::new().unwrap();
    let both = stage.authority.pem() + &next.pem();
    replace(&files, "ca.crt", &both);
    replace(&stage.plane_dir, "edges-ca.crt", &both);
    let now = now();
    let own = next.issue_for(&[PLANE], now - 60, now + 7_200).unwrap();
    let mark = stage.plane.log().mark();
    own.write(stage.plane_dir.path()).unwrap();
    let line = stage.plane.log().wait_for_after(mark, "certificate was read again", SOON).await.unwrap();
    assert!(line.contains(PLANE) && line.contains("edge_authorities=2"), "{line}");
    next.issue(&[EDGE]).unwrap().write(files.path()).unwrap();
    envoy
        .wait_for_stat(
            "cluster.portcullis.client_ssl_socket_factory.ssl_context_update_by_sds",
            |n| n >= 2,
            SOON,
        )
        .await
        .unwrap();
    let mark = stage.plane.log().mark();
    replace(&stage.plane_dir, "edges-ca.crt", &next.pem());
    stage.plane.log().wait_for_after(mark, "edge_authorities=1", SOON).await.unwrap();
    stage
        .plane
        .log()
        .wait_for_after(mark, "edges with its certificates cannot come back", SOON)
        .await
        .unwrap();
    assert_ne!(stage.metric("portcullis_control_tls_certificate_expires_timestamp_seconds").await, expires);
    // Nobody was sent away meanwhile, and a new edge comes in with the new ones alone.
    stage.revoke("s2").await;
    assert_eq!(status(&envoy, &stage.token("s2")).await, 401);
    replace(&files, "ca.crt", &next.pem());
    let second = Envoy::start(stage.bootstrap(&files).node("edge-2")).await.unwrap();
    workers(&stage.plane, 4).await;
    assert_eq!(
        (status(&second, &stage.token("s1")).await, status(&second, &stage.token("s3")).await),
        (401, 200)
    );
}

#[tokio::test]
async fn what_becomes_of_the_files_is_told_in_the_log() {
    let stage = Stage::new(&[PLANE, "10.0.0.1"], "").await;
    let said = async |mark, says: &str| {
        let line = stage.plane.log().wait_for_after(mark, says, SOON).await;
        line.unwrap_or_else(|error| panic!("{says}: {error}: {}", stage.plane.log().tail(20)))
    };
    // An edge's certificate instead of who signs it, and then the file from before.
    let mark = stage.plane.log().mark();
    let edge = stage.authority.issue(&[EDGE]).unwrap();
    replace(&stage.plane_dir, "edges-ca.crt", &edge.certificate);
    let line = said(mark, "is not a certificate authority").await;
    assert!(line.contains("WARN") && line.contains("edges-ca.crt"), "{line}");
    replace(&stage.plane_dir, "edges-ca.crt", &stage.authority.pem());
    assert!(said(mark, "the files of [tls] are good again").await.contains("INFO"));

    let mark = stage.plane.log().mark();
    let now = now();
    stage.authority.issue_for(&[PLANE], now - 60, now + 10).unwrap().write(stage.plane_dir.path()).unwrap();
    let line = said(mark, "lacks names of the one before").await;
    assert!(line.contains("WARN") && line.contains("10.0.0.1") && !line.contains(PLANE), "{line}");
    assert!(said(mark, "the ports' certificate ends soon: renew it").await.contains("WARN"));
    assert!(said(mark, "the ports' certificate has expired").await.contains("ERROR"));
}

fn replace(dir: &TempDir, name: &str, text: &str) {
    let draft = dir.path().join("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(&draft, dir.path().join(name)).unwrap();
}

#[tokio::test]
async fn who_has_no_certificate_of_the_authority_is_shut_out() {
    let stage = Stage::new(&[PLANE], "").await;
    let stranger = Authority::new().unwrap();
    let files = stage.files(&stranger, &[EDGE]);
    let envoy = Envoy::start(stage.bootstrap(&files)).await.unwrap();
    stage
        .shut_out(&envoy, "is of an authority that is not trusted here: put that into tls.edge_ca_file")
        .await;

    let files = stage.files(&stage.authority, &[EDGE]);
    let now = now();
    stage.authority.issue_for(&[EDGE], now - 7_200, now - 60).unwrap().write(files.path()).unwrap();
    let envoy = Envoy::start(stage.bootstrap(&files)).await.unwrap();
    stage.shut_out(&envoy, "the peer's certificate has expired: renew it").await;

    let without = |config: &mut serde_json::Value| {
        let own = control_plane_cluster(config);
        let tls = own["transport_socket"]["typed_config"]["common_tls_context"].as_object_mut().unwrap();
        tls.remove("tls_certificate_sds_secret_configs");
        Ok(())
    };
    let envoy = Envoy::start(stage.bootstrap(&files).edit(without)).await.unwrap();
    stage.shut_out(&envoy, "the peer shows no certificate").await;

    let plain = |config: &mut serde_json::Value| {
        let own = control_plane_cluster(config);
        own.as_object_mut().unwrap().remove("transport_socket");
        Ok(())
    };
    let envoy = Envoy::start(stage.bootstrap(&files).edit(plain)).await.unwrap();
    stage.shut_out(&envoy, "the peer does not speak TLS").await;
    let failures = stage.metric("portcullis_control_tls_handshake_failures_total{port=\"edge\"}").await;
    assert!(!failures.ends_with(" 0"), "{failures}");
}

#[tokio::test]
async fn an_edge_does_not_talk_to_a_control_plane_of_another_name() {
    let stage = Stage::new(&["other.example"], "").await;
    let files = stage.files(&stage.authority, &[EDGE]);
    let envoy = Envoy::start(stage.bootstrap(&files)).await.unwrap();
    envoy
        .wait_for_stat("cluster.portcullis.ssl.fail_verify_san", |count| count > 0, SOON)
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", envoy.log().tail(70)));
    stage.shut_out(&envoy, "the peer does not accept our certificate").await;
}

#[tokio::test]
async fn a_certificate_is_good_for_the_nodes_that_it_is_configured_for() {
    let lines = "[[edge.identities]]\nname = \"spiffe://mesh.example/ns/*/sa/ingress\"\nnodes = [\"ingress-*\"]\n\
                 [[edge.identities]]\nname = \"*.edges.example\"\n";
    let stage = Stage::new(&[PLANE], lines).await;
    let files = stage.files(&stage.authority, &[EDGE]);
    let envoy = Envoy::start(stage.bootstrap(&files).node("payments-1")).await.unwrap();
    stage.shut_out(&envoy, "the edge's certificate may not be this node").await;
    stage.plane.log().wait_for("payments-1", SOON).await.unwrap();
    stage.metric("portcullis_control_edge_refusals_total{reason=\"node\"}").await;
    let ran = stage.plane.run(["doctor"]).await.unwrap();
    let expect = format!("edge payments-1: it was refused from 127.0.0.1 with the certificate {EDGE}");
    assert!(ran.stdout.contains(&expect) && ran.stdout.contains("[edge_refused]"), "{}", ran.stdout);

    let unknown = stage.files(&stage.authority, &["spiffe://mesh.example/ns/prod/sa/batch"]);
    let envoy = Envoy::start(stage.bootstrap(&unknown).node("ingress-1")).await.unwrap();
    stage.shut_out(&envoy, "no name of the edge's certificate is one of edge.identities").await;

    let _own = Envoy::start(stage.bootstrap(&files).node("ingress-1")).await.unwrap();
    let dns = stage.files(&stage.authority, &["a.edges.example"]);
    let _any = Envoy::start(stage.bootstrap(&dns).node("whatever")).await.unwrap();
    let edges = workers(&stage.plane, 4).await;
    let mut nodes: Vec<_> =
        edges["edges"].as_array().unwrap().iter().map(|edge| edge["node"].as_str().unwrap()).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["ingress-1", "whatever"]);
}

#[tokio::test]
async fn a_wrong_key_is_refused_whatever_the_certificate() {
    let stage = Stage::new(&[PLANE], "").await;
    let files = stage.files(&stage.authority, &[EDGE]);
    let envoy = Envoy::start(stage.bootstrap(&files).edge_key("not-a-key-of-anybody")).await.unwrap();
    stage.shut_out(&envoy, "the edge key is unknown").await;
    stage.metric("portcullis_control_edge_refusals_total{reason=\"unknown_key\"}").await;
    let ran = stage.plane.run(["doctor"]).await.unwrap();
    assert!(ran.stdout.contains("edge at 127.0.0.1: it was refused with the certificate"), "{}", ran.stdout);
}

#[tokio::test]
async fn a_connection_ends_with_the_certificate_that_it_was_opened_with() {
    let stage = Stage::new(&[PLANE], "").await;
    let files = stage.files(&stage.authority, &[EDGE]);
    let now = now();
    stage.authority.issue_for(&[EDGE], now - 60, now + 15).unwrap().write(files.path()).unwrap();
    let envoy = Envoy::start(stage.bootstrap(&files)).await.unwrap();
    workers(&stage.plane, 2).await;
    stage.plane.log().wait_for("a connection ends with the certificate", 2 * SOON).await.unwrap();
    stage.plane.log().wait_for("the peer's certificate has expired: renew it", SOON).await.unwrap();
    // It goes on with what it had, and comes back with a new one.
    stage.authority.issue(&[EDGE]).unwrap().write(files.path()).unwrap();
    workers(&stage.plane, 2).await;
    stage.revoke("s1").await;
    assert_eq!(status(&envoy, &stage.token("s1")).await, 401);
}

/// Both ports, by the command line: what an operator does from elsewhere.
#[tokio::test]
async fn the_command_line_talks_to_a_control_plane_with_tls() {
    let (authority, dir) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
    authority.issue(&["127.0.0.1"]).unwrap().write(dir.path()).unwrap();
    std::fs::write(dir.path().join("ca.crt"), authority.pem()).unwrap();
    let binary = env!("CARGO_BIN_EXE_portcullis");
    let data = dir.path().join("data");
    let mut serve = tokio::process::Command::new(binary);
    serve.arg("serve").env("PORTCULLIS_ADMIN_KEY", ControlPlane::ADMIN_KEY).kill_on_drop(true);
    serve.env("PORTCULLIS_DATA_DIR", &data).env("PORTCULLIS_LISTEN_HTTP", "127.0.0.1:0");
    serve.env("PORTCULLIS_LISTEN_EDGE", "127.0.0.1:0").current_dir(dir.path());
    serve.env("PORTCULLIS_TLS_CERTIFICATE_FILE", "tls.crt").env("PORTCULLIS_TLS_KEY_FILE", "tls.key");
    serve.env("PORTCULLIS_TLS_EDGE_CA_FILE", "ca.crt");
    let process = portcullis_testbed::Process::spawn("the control plane", serve).unwrap();
    process.log().wait_for("ready", SOON).await.unwrap();
    let listen: serde_json::Value =
        serde_json::from_slice(&std::fs::read(data.join("listen.json")).unwrap()).unwrap();
    let run = async |ca: Option<&str>, scheme: &str, port: &str| {
        let mut command = tokio::process::Command::new(binary);
        command.args(["revoke", "session", "s1", "--issuer", "https://idp.example", "--json"]);
        command.args(ca.into_iter().flat_map(|ca| ["--ca-file", ca])).current_dir(dir.path());
        command.env("PORTCULLIS_URL", format!("{scheme}://{}", listen[port].as_str().unwrap()));
        command.env("PORTCULLIS_KEY", ControlPlane::ADMIN_KEY);
        let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await.unwrap().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(run(Some("ca.crt"), "https", "http").await.0, Some(0));
    let (code, stderr) = run(None, "https", "http").await;
    assert!(code == Some(3) && stderr.contains("--ca-file"), "{stderr}");
    let (code, stderr) = run(Some("ca.crt"), "http", "http").await;
    assert!(code == Some(1) && stderr.contains("https://NAME:8470"), "{stderr}");
    // Also when the request is written after the alert.
    for _ in 0..20 {
        let (code, stderr) = run(Some("ca.crt"), "https", "edge").await;
        let says = "that is the port for edges: use the HTTP port";
        assert!(code == Some(3) && stderr.contains(says), "{stderr}");
    }
}
