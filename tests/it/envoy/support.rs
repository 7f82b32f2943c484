//! One of everything.

use std::time::Duration;

use portcullis_testbed::{
    Bootstrap, Client, ControlPlane, ControlPlaneSetup, Envoy, Issuer, Reply, Upstream, paths,
};
use serde_json::{Value, json};

pub(crate) use crate::support::now as unix_now;

/// No event takes this long, on however busy a machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// An issuer, a service, a control plane, and an edge of two workers between them.
pub(crate) struct World {
    pub(crate) issuer: Issuer,
    pub(crate) upstream: Upstream,
    pub(crate) plane: ControlPlane,
    pub(crate) envoy: Envoy,
}

/// Where everything but Envoy is.
pub(crate) struct Peers {
    pub(crate) issuer: Issuer,
    pub(crate) upstream: Upstream,
    pub(crate) plane: ControlPlane,
}

pub(crate) async fn peers() -> Peers {
    let issuer = Issuer::start().await.unwrap();
    let plane = ControlPlaneSetup::new(env!("CARGO_BIN_EXE_portcullis"))
        .issuer(&issuer, "clock_skew = \"0s\"")
        .env("PORTCULLIS_EDGE_HEARTBEAT", "1s")
        .start()
        .await
        .unwrap();
    let upstream = Upstream::start().await.unwrap();
    Peers { issuer, upstream, plane }
}

impl Peers {
    /// Two workers, jwt_authn, the filter.
    pub(crate) fn bootstrap(&self) -> Bootstrap {
        Bootstrap::new()
            .concurrency(2)
            .upstream(self.upstream.address())
            .issuer(&self.issuer)
            .filter(paths::filter().unwrap())
            .control_plane(self.plane.edge_address())
            .edge_key(self.plane.edge_key())
    }

    pub(crate) async fn with(self, bootstrap: Bootstrap) -> World {
        let envoy = Envoy::start(bootstrap).await.unwrap();
        World { issuer: self.issuer, upstream: self.upstream, plane: self.plane, envoy }
    }
}

/// A world whose edge enforces what the control plane holds.
pub(crate) async fn world() -> World {
    let peers = peers().await;
    let bootstrap = peers.bootstrap();
    let world = peers.with(bootstrap).await;
    world.synced().await;
    world
}

impl World {
    pub(crate) fn client(&self) -> Client {
        self.envoy.http1()
    }

    pub(crate) fn session(&self, subject: &str, sid: &str) -> String {
        self.issuer.token().sub(subject).sid(sid).sign().unwrap()
    }

    pub(crate) async fn get(&self, token: &str) -> Reply {
        self.client().get("/").bearer(token).send().await.unwrap()
    }

    /// The status of a request, and the code if it was rejected.
    pub(crate) async fn outcome(&self, token: &str) -> (u16, Option<String>) {
        outcome(&self.get(token).await)
    }

    /// Calls the API as admin.
    pub(crate) async fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        api(&self.plane, method, path, body).await
    }

    /// Revokes and waits for the receipts of every worker.
    #[track_caller]
    pub(crate) fn revoke<'a>(&'a self, kind: &'a str, value: &'a str) -> impl Future<Output = Value> + 'a {
        let body = json!({"kind": kind, "issuer": self.issuer.name(), "value": value, "reason": "test"});
        async move {
            let revocation = self.api("POST", "/v1/revocations?wait=20s", Some(&body)).await;
            assert_eq!(revocation["receipts"]["pending"], 0, "{revocation}");
            revocation
        }
    }

    /// Waits until every VM of the edge has a set.
    pub(crate) async fn synced(&self) {
        workers(&self.plane, 3).await;
    }
}

pub(crate) fn outcome(reply: &Reply) -> (u16, Option<String>) {
    let code = reply.json().ok().and_then(|body| Some(body.get("code")?.as_str()?.to_owned()));
    (reply.status.as_u16(), code)
}

pub(crate) async fn api(plane: &ControlPlane, method: &str, path: &str, body: Option<&Value>) -> Value {
    let call = plane.api().call(method.parse().unwrap(), path).bearer(plane.admin_key());
    let call = match body {
        Some(body) => call.json(body),
        None => call,
    };
    let reply = call.send().await.unwrap();
    assert!(reply.status.is_success(), "{method} {path}: {} {}", reply.status, reply.text());
    reply.json().unwrap()
}

/// Waits until that many workers are connected and enforce the newest version.
pub(crate) async fn workers(plane: &ControlPlane, count: usize) -> Value {
    let current = async {
        loop {
            let edges = api(plane, "GET", "/v1/edges", None).await;
            let version = &edges["version"];
            let workers = edges["edges"].as_array().unwrap().iter().filter(|edge| edge["connected"] == true);
            let workers = workers.flat_map(|edge| edge["workers"].as_array().unwrap());
            let workers: Vec<&Value> = workers.filter(|worker| worker["connected"] == true).collect();
            if workers.len() == count && workers.iter().all(|worker| worker["version"] == *version) {
                return edges;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let Ok(edges) = tokio::time::timeout(SOON, current).await else {
        panic!("not {count} workers in sync: {}", api(plane, "GET", "/v1/edges", None).await);
    };
    edges
}

/// The cluster of the control plane in a configuration.
pub(crate) fn control_plane_cluster(envoy: &mut Value) -> &mut Value {
    let clusters = envoy["static_resources"]["clusters"].as_array_mut().unwrap();
    clusters.iter_mut().find(|cluster| cluster["name"] == "portcullis").unwrap()
}
