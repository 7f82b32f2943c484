//! A real Prometheus with the rules of `deploy/`, a control plane and an edge: silent while all is well, and each
//! alert there when its cause is. The rules' periods are shortened, their expressions are as they stand.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_testbed::{Bootstrap, Client, Envoy, Issuer, Process, Upstream, paths};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::docs::read;
use crate::envoy::workers;
use crate::support::{program, setup};

/// No event takes this long, on however busy a machine.
const SOON: Duration = Duration::from_secs(60);

struct Prometheus {
    client: Client,
    _process: Process,
    _dir: TempDir,
}

impl Prometheus {
    /// Scrapes these targets, by job and path, every half second.
    async fn start(targets: &[(&str, &str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("alerts.yaml"), quick(&read("deploy/monitoring/alerts.yaml")))
            .unwrap();
        let scrapes: Vec<Value> = targets
            .iter()
            .map(|(job, path, target)| {
                json!({"job_name": job, "metrics_path": path, "static_configs": [{"targets": [target]}]})
            })
            .collect();
        let config = json!({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
            "rule_files": [dir.path().join("alerts.yaml")],
            "scrape_configs": scrapes,
        });
        std::fs::write(dir.path().join("prometheus.yml"), config.to_string()).unwrap();
        let mut command = Command::new(program("PROMETHEUS"));
        command.arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()));
        command.arg("--web.listen-address=127.0.0.1:0");
        let process = Process::spawn("Prometheus", command).unwrap();
        let line = process.log().wait_for("msg=\"Listening on\"", SOON).await.unwrap();
        process.log().wait_for("Server is ready", SOON).await.unwrap();
        let address = line.split("address=").nth(1).unwrap().trim().parse().unwrap();
        Self { client: Client::http1(address), _process: process, _dir: dir }
    }

    async fn get(&self, path: &str) -> Value {
        self.client.get(path).send().await.unwrap().json().unwrap()["data"].clone()
    }

    /// The alerts that fire now.
    async fn firing(&self) -> BTreeSet<String> {
        let alerts = self.get("/api/v1/alerts").await;
        let firing = alerts["alerts"].as_array().unwrap().iter().filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    async fn wait_for(&self, alert: &str) {
        self.wait_until(alert, async || self.firing().await.contains(alert)).await;
    }

    async fn wait_until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let waiting = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let held = tokio::time::timeout(SOON, waiting).await;
        assert!(held.is_ok(), "{what}: not in time; firing: {:?}", self.firing().await);
    }

    /// The value of a query, if it has one.
    async fn value(&self, query: &str) -> Option<f64> {
        let answer = self.get(&format!("/api/v1/query?query={query}")).await;
        answer["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

/// The rules with short periods.
fn quick(rules: &str) -> String {
    let mut quick = String::new();
    for line in rules.lines() {
        let line = match line.trim_start().strip_prefix("for: ") {
            Some(period) => line.replace(period, "1s"),
            None => line.replace("offset 2m", "offset 2s"),
        };
        quick += &["5m", "10m", "15m", "1h"]
            .iter()
            .fold(line, |line, range| line.replace(&format!("[{range}]"), "[20s]"));
        quick.push('\n');
    }
    quick
}

#[tokio::test]
async fn alerts_fire_when_something_breaks_and_not_before() {
    let issuer = Issuer::start().await.unwrap();
    let mut plane = setup()
        .issuer(&issuer, "allow_private_addresses = true")
        .env("PORTCULLIS_EDGE_HEARTBEAT", "200ms")
        .start()
        .await
        .unwrap();
    let upstream = Upstream::start().await.unwrap();
    let bootstrap = |key: &str| {
        Bootstrap::new()
            .upstream(upstream.address())
            .issuer(&issuer)
            .filter(paths::filter().unwrap())
            .control_plane(plane.edge_address())
            .edge_key(key)
            .plugin("staleness", json!({"after": "5s", "then": "allow"}))
            .plugin("startup", json!({"hold": "100ms", "then": "deny"}))
    };
    let envoy = Envoy::start(bootstrap(plane.edge_key())).await.unwrap();
    let stranger = bootstrap("not-a-key-of-anybody").node("edge-2");
    workers(&plane, 2).await;
    let address = |url: String| url.trim_start_matches("http://").to_owned();
    let (control, edge) = (address(plane.url()), address(envoy.admin_url()));
    let prometheus =
        Prometheus::start(&[("control", "/metrics", &control), ("edge", "/stats/prometheus", &edge)]).await;
    prometheus
        .wait_until("both are scraped", async || {
            let both =
                prometheus.value("count(portcullis_control_version)%2Bcount(portcullis_version)").await;
            both == Some(2.0)
        })
        .await;
    // All is well, for longer than any of the shortened periods.
    let looked = prometheus.value("vector(time())").await.unwrap();
    prometheus
        .wait_until("some evaluations", async || {
            prometheus.value("vector(time())").await.unwrap() > looked + 5.0
        })
        .await;
    assert_eq!(prometheus.firing().await, BTreeSet::new());

    // Somebody tries keys.
    for _ in 0..30 {
        let reply = plane.api().get("/v1/edges").bearer("pk_nobody_nothing").send().await.unwrap();
        assert_eq!(reply.status, 401);
    }
    prometheus.wait_for("PortcullisAuthenticationsFailing").await;

    // An inlet refuses what comes. A series that is new has not increased yet.
    let refused = async || {
        let call = plane.api().post("/inlets/backchannel-logout");
        let call = call.header("content-type", "application/x-www-form-urlencoded").body("logout_token=x");
        assert_eq!(call.send().await.unwrap().status, 400);
    };
    refused().await;
    let series = "count(portcullis_control_inlet_messages_total)";
    prometheus.wait_until("the series is there", async || prometheus.value(series).await.is_some()).await;
    for _ in 0..10 {
        refused().await;
    }
    prometheus.wait_for("PortcullisInletRefusesMessages").await;

    // The control plane dies: nothing answers, and the edge goes stale.
    plane.kill().await.unwrap();
    prometheus.wait_for("PortcullisControlPlaneDown").await;
    prometheus.wait_for("PortcullisEdgeStale").await;
    plane.restart().await.unwrap();
    let over = ["PortcullisControlPlaneDown", "PortcullisEdgeStale"];
    prometheus
        .wait_until("both are over", async || {
            let firing = prometheus.firing().await;
            over.iter().all(|alert| !firing.contains(*alert))
        })
        .await;

    // An edge whose key nobody knows never gets a set, and rejects for that.
    drop(prometheus);
    let stranger = Envoy::start(stranger).await.unwrap();
    let unsynced = address(stranger.admin_url());
    let prometheus = Prometheus::start(&[
        ("control", "/metrics", &address(plane.url())),
        ("edge", "/stats/prometheus", &edge),
        ("stranger", "/stats/prometheus", &unsynced),
    ])
    .await;
    prometheus.wait_for("PortcullisEdgeNeverSynced").await;
    let token = issuer.token().sub("alice").sign().unwrap();
    let denied = async || {
        let reply = stranger.http1().get("/").bearer(&token).send().await.unwrap();
        assert_eq!(reply.status, 401);
    };
    denied().await;
    let series = "count(portcullis_requests_total{code=\"not_synced\"})".replace('"', "%22");
    let series = series.replace('{', "%7B").replace('}', "%7D").replace('=', "%3D");
    prometheus.wait_until("the series is there", async || prometheus.value(&series).await.is_some()).await;
    denied().await;
    prometheus.wait_for("PortcullisRejectsUndecided").await;
    // The edges go.
    drop((envoy, stranger));
    prometheus.wait_for("PortcullisNoEdges").await;
}
