//! Filter and control plane are upgraded in either order and rolled back, while requests come in and sessions are
//! revoked and taken back: every answer is compared with a model.
//!
//! The filter is that of release 0.1.0, as it was built then. The control plane of that release is taken from
//! `PREVIOUS_CONTROL_PLANE`, where it is built from its sources; without it, this release's own is started again in its
//! place.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use portcullis_testbed::{Client, ControlPlane, ControlPlaneSetup, Envoy, Issuer, Upstream, paths};
use serde_json::{Value, json};

use crate::envoy::support::{Peers, SOON};

mod model;

use model::{Gate, Must};

/// Sessions; each is revoked at most once while no change fails.
const SESSIONS: usize = 400;
/// What must have happened between two steps, at each edge: answers that were judged, and changes.
const ANSWERS: u64 = 150;
const CHANGES: u64 = 6;
/// Workers of an edge: two, and the main thread's.
const WORKERS: usize = 3;

fn previous_filter() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/upgrade/portcullis_filter-0.1.0.wasm")
}

/// The filter of a listener.
fn filter(listener: &mut Value) -> &mut Value {
    let filters = &mut listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"];
    let filters = filters.as_array_mut().unwrap();
    filters.iter_mut().find(|filter| filter["name"] == "portcullis").unwrap()
}

fn with(wasm: &Path) -> impl FnOnce(&mut Value) -> anyhow::Result<()> + use<> {
    let wasm = wasm.to_str().unwrap().to_owned();
    move |listener| {
        filter(listener)["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"] = wasm.into();
        Ok(())
    }
}

/// Who revokes sessions and takes back, as fast as edges confirm it.
struct Changer {
    api: RwLock<Client>,
    key: &'static str,
    issuer: String,
    gates: Vec<Arc<Gate>>,
    changes: AtomicU64,
    /// What is being waited for, for when it does not come.
    doing: Mutex<String>,
}

impl Changer {
    async fn run(self: Arc<Self>, stop: Arc<AtomicBool>) {
        let mut session = 0;
        while !stop.load(Ordering::Relaxed) && session < SESSIONS {
            self.expect(session, Must::Either);
            let body = json!({"kind": "session", "issuer": self.issuer, "value": format!("s{session}")});
            let (revoked, attempts) = self.until_done("/v1/revocations", &body).await;
            self.everywhere().await;
            self.expect(session, Must::Reject);
            self.changes.fetch_add(1, Ordering::Relaxed);
            // One whose answer was lost may have been made twice, and undoing one leaves the other in force.
            if session % 3 == 0 && attempts == 1 {
                self.expect(session, Must::Either);
                let undo = format!("/v1/revocations/{}/undo", revoked["id"].as_str().unwrap());
                self.until_done(&undo, &json!({"reason": "a mistake"})).await;
                self.everywhere().await;
                self.expect(session, Must::Accept);
                self.changes.fetch_add(1, Ordering::Relaxed);
            }
            session += 1;
        }
        assert!(session < SESSIONS, "all sessions were used up");
    }

    fn expect(&self, session: usize, must: Must) {
        self.gates.iter().for_each(|gate| gate.expect(session, must));
    }

    /// Asks until it is acknowledged: a control plane that is being replaced answers nobody.
    async fn until_done(&self, path: &str, body: &Value) -> (Value, usize) {
        *self.doing.lock().unwrap() = format!("POST {path}");
        let mut attempt = 0;
        loop {
            attempt += 1;
            let api = *self.api.read().unwrap();
            if let Ok(reply) = api.post(path).bearer(self.key).json(body).send().await {
                match reply.status.as_u16() {
                    200 | 201 => return (reply.json().unwrap(), attempt),
                    // Undone by an attempt whose answer was lost.
                    409 => return (json!({}), attempt),
                    503 => {}
                    _ => panic!("{path}: {}", reply.text()),
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until all workers of both edges say that they enforce what is in the log by now.
    async fn everywhere(&self) {
        *self.doing.lock().unwrap() = "the newest version everywhere".into();
        loop {
            let api = *self.api.read().unwrap();
            if let Ok(reply) = api.get("/v1/edges").bearer(self.key).send().await
                && reply.status == 200
                && self.gates.iter().all(|gate| is_current(&reply.json().unwrap(), gate.name))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Whether the connected workers of a node are all there, and all at the newest version.
fn is_current(answer: &Value, node: &str) -> bool {
    let edges = answer["edges"].as_array().unwrap().iter();
    let workers =
        edges.filter(|edge| edge["node"] == node).flat_map(|edge| edge["workers"].as_array().unwrap());
    let workers: Vec<&Value> = workers.filter(|worker| worker["connected"] == true).collect();
    workers.len() >= WORKERS && workers.iter().all(|worker| worker["version"] == answer["version"])
}

/// Two edges with a control plane, clients of both, and somebody who changes what they may do.
struct Site {
    plane: ControlPlane,
    edges: [Envoy; 2],
    changer: Arc<Changer>,
    _peers: (Issuer, Upstream),
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Site {
    async fn open(plane: &Path, wasm: &Path) -> Self {
        let issuer = Issuer::start().await.unwrap();
        let upstream = Upstream::start().await.unwrap();
        let setup = ControlPlaneSetup::new(plane).issuer(&issuer, "clock_skew = \"0s\"");
        let plane = setup.env("PORTCULLIS_EDGE_HEARTBEAT", "1s").start().await.unwrap();
        let token = |session| issuer.token().sub("alice").sid(&format!("s{session}")).sign().unwrap();
        let tokens: Arc<Vec<String>> = Arc::new((0..SESSIONS).map(token).collect());
        let peers = Peers { issuer, upstream, plane };
        let start = |name| Envoy::start(peers.bootstrap().filter(wasm).dynamic_listeners().node(name));
        let edges = [start("edge-a").await.unwrap(), start("edge-b").await.unwrap()];
        let gates = ["edge-a", "edge-b"]
            .into_iter()
            .zip(&edges)
            .map(|(name, envoy)| Gate::new(name, envoy.address(), SESSIONS));
        let changer = Changer {
            api: RwLock::new(peers.plane.api()),
            key: peers.plane.admin_key(),
            issuer: peers.issuer.name().to_owned(),
            gates: gates.collect(),
            changes: AtomicU64::new(0),
            doing: Mutex::default(),
        };
        let (changer, stop) = (Arc::new(changer), Arc::new(AtomicBool::new(false)));
        let mut tasks = vec![tokio::spawn(Arc::clone(&changer).run(Arc::clone(&stop)))];
        for gate in &changer.gates {
            for client in 0..2 {
                let asking = Arc::clone(gate).ask(Arc::clone(&tokens), client * 31, Arc::clone(&stop));
                tasks.push(tokio::spawn(asking));
            }
        }
        let Peers { issuer, upstream, plane } = peers;
        Self { plane, edges, changer, _peers: (issuer, upstream), stop, tasks }
    }

    /// Waits until enough was asked and changed since the last step.
    async fn busy(&self, step: &str) {
        let gates = &self.changer.gates;
        let asked: Vec<u64> = gates.iter().map(|gate| gate.judged()).collect();
        let changed = self.changer.changes.load(Ordering::Relaxed);
        let enough = async {
            while gates.iter().zip(&asked).any(|(gate, asked)| gate.judged() < asked + ANSWERS)
                || self.changer.changes.load(Ordering::Relaxed) < changed + CHANGES
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(SOON * 2, enough).await.is_err() {
            let doing = self.changer.doing.lock().unwrap().clone();
            panic!("{step}: nothing goes on; waiting for {doing}\n{}", self.plane.log());
        }
        self.nothing_is_wrong(step);
    }

    fn nothing_is_wrong(&self, step: &str) {
        for gate in &self.changer.gates {
            let wrong = gate.counts.wrong.lock().unwrap();
            assert!(
                wrong.is_empty(),
                "{step}: {} wrong answers: {:?}",
                wrong.len(),
                &wrong[..wrong.len().min(5)]
            );
        }
    }

    async fn replace_plane(&mut self, binary: &Path) {
        self.plane.replace(binary).await.unwrap();
        *self.changer.api.write().unwrap() = self.plane.api();
        self.busy("the control plane was replaced").await;
    }

    /// By a change of configuration, while the edge serves.
    async fn reload(&mut self, edge: usize, wasm: &Path, release: &str) {
        self.edges[edge].update_listener(with(wasm)).await.unwrap();
        *self.changer.gates[edge].address.lock().unwrap() = self.edges[edge].address();
        self.busy("a filter was reloaded").await;
        self.has_release(edge, release).await;
    }

    /// By starting the edge again.
    async fn restart(&mut self, edge: usize, wasm: &Path, release: &str) {
        self.edges[edge].restart_with(with(wasm)).await.unwrap();
        *self.changer.gates[edge].address.lock().unwrap() = self.edges[edge].address();
        self.busy("an edge was restarted").await;
        self.has_release(edge, release).await;
    }

    async fn has_release(&self, edge: usize, release: &str) {
        let name = self.changer.gates[edge].name;
        let edges = crate::envoy::support::api(&self.plane, "GET", "/v1/edges", None).await;
        let of_node = edges["edges"].as_array().unwrap().iter().filter(|edge| edge["node"] == name);
        let releases: Vec<&Value> =
            of_node.filter(|edge| edge["connected"] == true).map(|edge| &edge["filter_version"]).collect();
        assert!(releases.contains(&&json!(release)), "{name}: {edges}");
    }

    async fn close(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            tokio::time::timeout(SOON, task).await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_rolling_upgrade_and_its_rollback_change_no_answer() {
    let (now, own) = (paths::filter().unwrap(), PathBuf::from(env!("CARGO_BIN_EXE_portcullis")));
    let (before, release) = (previous_filter(), env!("CARGO_PKG_VERSION"));
    let previous = std::env::var_os("PREVIOUS_CONTROL_PLANE").map_or_else(|| own.clone(), PathBuf::from);
    assert_ne!(std::fs::read(&before).unwrap(), std::fs::read(&now).unwrap());

    let mut site = Site::open(&previous, &before).await;
    site.busy("before").await;
    // Upgraded: the control plane, one edge without a restart, the other one with one.
    site.replace_plane(&own).await;
    site.reload(0, &now, release).await;
    site.restart(1, &now, release).await;
    // Rolled back: an edge, the control plane with an edge of this release still there, the other edge.
    site.restart(0, &before, "0.1.0").await;
    site.replace_plane(&previous).await;
    site.reload(1, &before, "0.1.0").await;
    // And the other order: first an edge, then the control plane.
    site.reload(0, &now, release).await;
    site.replace_plane(&own).await;

    for gate in &site.changer.gates {
        let [accepted, rejected, unanswered] =
            [&gate.counts.accepted, &gate.counts.rejected, &gate.counts.unanswered]
                .map(|count| count.load(Ordering::Relaxed));
        println!("{}: {accepted} accepted, {rejected} rejected, {unanswered} unanswered", gate.name);
        assert!(accepted > 0 && rejected > 0, "{}", gate.name);
    }
    println!("{} changes", site.changer.changes.load(Ordering::Relaxed));
    site.nothing_is_wrong("at the end");
    site.close().await;
}
