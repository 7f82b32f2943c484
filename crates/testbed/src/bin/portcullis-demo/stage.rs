//! Who takes part: an issuer, a service, the control plane, an Envoy in front of the service.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portcullis_testbed::{
    Bootstrap, ControlPlane, ControlPlaneSetup, Envoy, Issuer, Ran, Reply, Stream, Upstream, WebSocket, paths,
};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::narrator::Narrator;

/// Everything that runs, and what earlier steps leave to later ones. Dropped from the top: Envoy goes first.
pub(crate) struct Stage {
    pub(crate) envoy: Envoy,
    pub(crate) control_plane: ControlPlane,
    pub(crate) upstream: Upstream,
    pub(crate) issuer: Issuer,
    /// May revoke and read, and nothing else.
    pub(crate) operator_key: String,
    pub(crate) alice: Alice,
}

/// A user with two sessions, and what she has open.
#[derive(Default)]
pub(crate) struct Alice {
    pub(crate) laptop: String,
    pub(crate) phone: String,
    /// After her second login.
    pub(crate) desk: String,
    pub(crate) open: Vec<Open>,
    pub(crate) phone_stream: Option<Stream>,
    /// When the command that revokes her laptop was started.
    pub(crate) revoking: Option<Instant>,
}

/// Something that Alice's laptop has open.
pub(crate) enum Open {
    Socket(WebSocket),
    Stream(&'static str, Stream),
}

/// Worker threads of Envoy.
pub(crate) const WORKERS: u32 = 2;
/// They and the main thread have a filter each.
const FILTERS: usize = WORKERS as usize + 1;
const SOON: Duration = Duration::from_secs(20);

impl Stage {
    /// Starts everybody.
    pub(crate) async fn set(narrator: &Narrator) -> Result<Self> {
        narrator.title("Setting the stage, on loopback only");
        let upstream = Upstream::start().await?;
        narrator.held("a service", &format!("http://{}", upstream.address()));
        let issuer = Issuer::start().await?;
        narrator.held("an issuer that signs RS256 tokens", issuer.name());
        let control_plane = ControlPlaneSetup::new(paths::control_plane()?)
            // One machine, one clock.
            .issuer(&issuer, "clock_skew = \"0s\"")
            .start()
            .await?;
        narrator.held("portcullis serve", &control_plane.url());
        let bootstrap = Bootstrap::new()
            .concurrency(WORKERS)
            .upstream(upstream.address())
            .issuer(&issuer)
            .filter(paths::filter()?)
            .control_plane(control_plane.edge_address())
            .edge_key(control_plane.edge_key());
        let envoy = Envoy::start(bootstrap).await?;
        narrator.held(
            &format!("Envoy {} with jwt_authn and the filter", version(&envoy).await?),
            &format!("http://{}", envoy.address()),
        );
        let alice = Alice::default();
        Ok(Self { envoy, control_plane, upstream, issuer, operator_key: String::new(), alice })
    }

    /// What must be true before the first step.
    pub(crate) async fn open(&mut self, narrator: &Narrator) -> Result<()> {
        self.edge_connected().await?;
        let edge = format!("{FILTERS} filters: {WORKERS} workers, the main thread");
        narrator.held("the edge is connected", &edge);
        self.hire_operator(narrator).await
    }

    /// Waits until every filter of the edge has subscribed: there is no event for it.
    pub(crate) async fn edge_connected(&self) -> Result<()> {
        let connected = async {
            loop {
                let edges = self.control_plane.run(["edges", "--json"]).await?.json()?;
                let edges = edges.get("edges").and_then(Value::as_array).cloned().unwrap_or_default();
                let workers = edges.iter().filter(|edge| edge.get("connected") == Some(&Value::Bool(true)));
                let workers = workers.filter_map(|edge| edge.get("workers")?.as_array());
                if workers.map(Vec::len).sum::<usize>() >= FILTERS {
                    return Ok(());
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let connected = timeout(SOON, connected).await;
        connected.with_context(|| format!("expected {FILTERS} filters to connect within {SOON:?}"))?
    }

    async fn hire_operator(&mut self, narrator: &Narrator) -> Result<()> {
        let line = ["key", "create", "demo-operator", "--scope", "revoke,read"];
        narrator.command(&format!("portcullis {}", line.join(" ")));
        let key = self.control_plane.run(line.into_iter().chain(["--json"])).await?.json()?;
        self.operator_key = text(&key, "key")?.to_owned();
        narrator.held("a key that may revoke and read", text(&key, "id")?);
        Ok(())
    }

    /// A command of the operator, shown and run.
    pub(crate) async fn portcullis(&self, narrator: &Narrator, args: &[&str]) -> Result<Value> {
        narrator.command(&shown(args));
        self.quietly(args).await?.json()
    }

    /// The same, not shown.
    pub(crate) async fn quietly(&self, args: &[&str]) -> Result<Ran> {
        let args = args.iter().chain(&["--json"]);
        self.control_plane.run_as(&self.operator_key, args).await
    }

    /// What a request with this token gets.
    pub(crate) async fn get(&self, token: &str) -> Result<Reply> {
        self.envoy.http1().get("/").bearer(token).send().await
    }

    /// Checks that requests with this token reach the service, on every worker.
    pub(crate) async fn passes(&self, narrator: &Narrator, who: &str, token: &str) -> Result<()> {
        for _ in 0..SAMPLE {
            let reply = self.get(token).await?;
            ensure!(reply.status == 200, "{who}: expected 200, saw {}", summary(&reply));
        }
        narrator.held(&format!("GET / with {who}"), &format!("{SAMPLE} x 200"));
        Ok(())
    }

    /// Checks that requests with this token are rejected for this reason, on every worker.
    pub(crate) async fn is_rejected(
        &self,
        narrator: &Narrator,
        who: &str,
        token: &str,
        code: &str,
    ) -> Result<()> {
        let before = self.upstream.requests();
        for _ in 0..SAMPLE {
            let reply = self.get(token).await?;
            ensure!(
                reply.status == 401 && reply_code(&reply).as_deref() == Some(code),
                "{who}: expected 401 {code}, saw {}",
                summary(&reply)
            );
        }
        ensure!(self.upstream.requests() == before, "{who}: expected nothing at the service, saw a request");
        narrator.held(&format!("GET / with {who}"), &format!("{SAMPLE} x 401 {code}"));
        Ok(())
    }

    pub(crate) fn logs(&self, narrator: &Narrator) {
        narrator.log("the control plane", &self.control_plane.log().tail(30));
        narrator.log("Envoy", &self.envoy.log().tail(30));
    }
}

/// Requests per check: each on its own connection, so that all workers are met.
const SAMPLE: usize = 10;

/// The machine-readable reason in the body of a rejection.
pub(crate) fn reply_code(reply: &Reply) -> Option<String> {
    Some(reply.json().ok()?.get("code")?.as_str()?.to_owned())
}

pub(crate) fn summary(reply: &Reply) -> String {
    format!("{} {}", reply.status, reply.text().trim_end())
}

/// A member of an answer that must be there.
pub(crate) fn text<'a>(answer: &'a Value, name: &str) -> Result<&'a str> {
    answer.get(name).and_then(Value::as_str).with_context(|| format!("expected `{name}` in {answer}"))
}

fn shown(args: &[&str]) -> String {
    let quoted =
        args.iter().map(|arg| if arg.contains(' ') { format!("\"{arg}\"") } else { (*arg).to_owned() });
    format!("portcullis {}", quoted.collect::<Vec<_>>().join(" "))
}

async fn version(envoy: &Envoy) -> Result<String> {
    let info: Value = serde_json::from_str(&envoy.admin_get("/server_info").await?)?;
    // COMMIT/1.40.0/Clean/RELEASE/BoringSSL
    Ok(text(&info, "version")?.split('/').nth(1).unwrap_or("of unknown version").to_owned())
}
