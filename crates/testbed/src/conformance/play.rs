//! A scenario being carried out on an Envoy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use proxy_wasm_harness::scenario::{self, PeerStep, Scenario, Step, Wait};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::body::Part;
use super::client::{Exchange, Seen, header_map};
use super::config::{FENCE, SERVICE};
use super::fence::Fence;
use super::server::{Arrival, Got, Server};
use super::{grpc, log};
use crate::Envoy;

/// Nothing that a scenario waits for takes this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Envoy offers no event for what is polled.
pub(super) const POLL: Duration = Duration::from_millis(3);
/// After as many looks, what still moves will not come to rest.
const LOOKS: usize = 100;

/// An Envoy and everybody around it.
pub(super) struct Play<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) envoy: Envoy,
    pub(super) upstream: Server,
    pub(super) peers: Vec<(String, Server)>,
    fence: Fence,
    pub(super) threads: log::Threads,
    pub(super) exchanges: Vec<(String, Exchange)>,
    /// Which exchange each arrival at the upstream belongs to.
    pub(super) arrived: Vec<usize>,
}

/// Everything that moves while Envoy is busy.
#[derive(Default, Eq, PartialEq)]
struct Motion {
    stats: BTreeMap<String, u64>,
    seen: Vec<Seen>,
    got: Vec<Got>,
}

impl<'a> Play<'a> {
    pub(super) async fn new(
        scenario: &'a Scenario,
        mut envoy: Envoy,
        upstream: Server,
        peers: Vec<(String, Server)>,
    ) -> Result<Self> {
        let fence = Fence::new(listener(&envoy, FENCE).await?, scenario.workers).await?;
        let process = envoy.process().id().context("Envoy is gone")?;
        let threads = log::Threads::of(process)?;
        Ok(Self {
            scenario,
            envoy,
            upstream,
            peers,
            fence,
            threads,
            exchanges: Vec::new(),
            arrived: Vec::new(),
        })
    }

    pub(super) async fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Request(request) => self.request(request).await?,
            Step::Send(part) => {
                let exchange = self.exchange(&part.of)?;
                parts(part)?.into_iter().for_each(|part| exchange.send_part(part));
            }
            Step::Disconnect(name) => self.exchange(name)?.disconnect(),
            Step::Respond(answer) => self.arrival(&answer.of)?.answer(answer)?,
            Step::RespondMore(part) => {
                let arrival = self.arrival(&part.of)?;
                parts(part)?.into_iter().for_each(|part| arrival.send(part));
            }
            Step::Wait(wait) => self.wait(wait).await?,
            Step::Pass(time) => sleep(time.0).await,
            Step::Peer(step) => self.peer(step)?,
            other => bail!("unknown step: {other:?}"),
        }
        self.settle().await
    }

    async fn request(&mut self, request: &scenario::Request) -> Result<()> {
        let stream = self.connect(request.worker).await?;
        let exchange = Exchange::send(stream, request).await?;
        let name = match request.name.as_str() {
            "" => (self.exchanges.len() + 1).to_string(),
            name => name.to_owned(),
        };
        self.exchanges.push((name, exchange));
        self.settle().await?;
        if let Some(answer) = &request.answer
            && let Ok(arrival) = self.arrival("")
        {
            arrival.answer(answer)?;
        }
        Ok(())
    }

    /// A connection to a certain worker.
    async fn connect(&self, worker: usize) -> Result<TcpStream> {
        let connect = async || -> Result<TcpStream> {
            let stream = TcpStream::connect(self.envoy.address()).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        if self.scenario.workers == 1 {
            return connect().await;
        }
        let name = format!("listener.ingress.worker_{worker}.downstream_cx_total");
        // Connections to other workers stay open, so that the next one goes elsewhere.
        let mut others = Vec::new();
        for _ in 0..LOOKS {
            let before = self.stats("listener.ingress").await?;
            let stream = connect().await?;
            loop {
                let now = self.stats("listener.ingress").await?;
                if now.get(&name) > before.get(&name) {
                    return Ok(stream);
                }
                if now.get("listener.ingress.downstream_cx_total")
                    > before.get("listener.ingress.downstream_cx_total")
                {
                    break;
                }
                sleep(POLL).await;
            }
            others.push(stream);
        }
        bail!("no connection reaches worker {worker}")
    }

    fn exchange(&self, name: &str) -> Result<&Exchange> {
        let index = self.index(name)?;
        self.exchanges.get(index).map(|(_, exchange)| exchange).context("no exchange")
    }

    fn index(&self, name: &str) -> Result<usize> {
        let found = match name {
            "" => self.exchanges.len().checked_sub(1),
            name => self.exchanges.iter().position(|(found, _)| found == name),
        };
        found.with_context(|| format!("there is no exchange `{name}`"))
    }

    /// The request of an exchange, as it has reached the upstream.
    fn arrival(&self, name: &str) -> Result<Arc<Arrival>> {
        let index = self.index(name)?;
        let at = self.arrived.iter().position(|exchange| *exchange == index);
        let arrival = at.and_then(|at| self.upstream.arrivals().get(at).cloned());
        arrival.context("the request has not reached the upstream")
    }

    /// Of the exchanges that have not reached the upstream yet, the one with the same path, else the first.
    fn assign(&mut self) {
        for arrival in self.upstream.arrivals().iter().skip(self.arrived.len()) {
            let path = arrival.head.uri.path_and_query().map_or("", |path| path.as_str());
            let waits = |exchange: &Exchange| exchange.seen() == Seen::default();
            let open = |index: &usize| {
                !self.arrived.contains(index) && self.exchanges.get(*index).is_some_and(|(_, e)| waits(e))
            };
            let mut candidates = (0..self.exchanges.len()).filter(open).collect::<Vec<_>>();
            let same = |index: &usize| self.exchanges.get(*index).is_some_and(|(_, e)| e.path == path);
            if candidates.iter().any(same) {
                candidates.retain(same);
            }
            self.arrived.extend(candidates.first());
        }
    }

    fn peer(&self, step: &PeerStep) -> Result<()> {
        let peer = self.peers.iter().find(|(name, _)| *name == step.cluster);
        let (_, peer) = peer.with_context(|| format!("cluster `{}` has no peer", step.cluster))?;
        peer.arrivals()
            .iter()
            .filter(|stream| !stream.is_over())
            .try_for_each(|stream| grpc::act(stream, step))
    }

    async fn wait(&self, wait: &Wait) -> Result<()> {
        let begin = Instant::now();
        while !self.is_there(wait) {
            ensure!(begin.elapsed() < PATIENCE, "in vain: {wait:?}\n{}", self.envoy.log().tail(30));
            sleep(POLL).await;
        }
        Ok(())
    }

    fn is_there(&self, wait: &Wait) -> bool {
        let logs = log::by_thread(&self.envoy.log().text(), &self.threads);
        let lines = logs.get(&wait.thread).map(Vec::as_slice).unwrap_or_default();
        let is_logged = wait
            .log
            .as_ref()
            .is_none_or(|line| lines.iter().filter(|found| found.starts_with(line)).count() >= wait.times);
        let has_callouts = wait.cluster.as_ref().is_none_or(|cluster| {
            let peer = self.peers.iter().find(|(name, _)| name == cluster);
            peer.is_some_and(|(_, peer)| peer.arrivals().len() >= wait.callouts)
        });
        is_logged && has_callouts
    }

    /// Waits until nothing is under way any more, and nobody has seen anything new.
    pub(super) async fn settle(&mut self) -> Result<()> {
        let mut last = Motion::default();
        for _ in 0..LOOKS {
            self.fence.pass().await?;
            let motion = self.motion().await?;
            let now = |cluster: &str, stat: &str| {
                motion.stats.get(&format!("cluster.{cluster}.{stat}")).copied().unwrap_or_default()
            };
            let servers = self.peers.iter().map(|(name, peer)| (name.as_str(), peer));
            let mut servers = servers.chain([(SERVICE, &self.upstream)]);
            let is_quiet = servers.all(|(name, server)| {
                now(name, "upstream_rq_pending_active") == 0
                    && now(name, "upstream_rq_total") == server.arrivals().len() as u64
            });
            if is_quiet && motion == last {
                break;
            }
            last = motion;
        }
        self.assign();
        Ok(())
    }

    async fn motion(&self) -> Result<Motion> {
        let servers = self.peers.iter().map(|(_, peer)| peer).chain([&self.upstream]);
        Ok(Motion {
            stats: self.stats("cluster").await?,
            seen: self.exchanges.iter().map(|(_, exchange)| exchange.seen()).collect(),
            got: servers.flat_map(Server::arrivals).map(|arrival| arrival.got()).collect(),
        })
    }

    pub(super) async fn stats(&self, prefix: &str) -> Result<BTreeMap<String, u64>> {
        let text = self.envoy.admin_get(&format!("/stats?filter=^{prefix}\\.")).await?;
        let number = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter_map(number).collect())
    }
}

/// As in the harness: the end is a part of its own, without any data.
fn parts(part: &scenario::Part) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    if let Some(body) = &part.body {
        parts.push(Part::Data { bytes: body.0.clone().into(), last: false });
    }
    if let Some(trailers) = &part.trailers {
        parts.push(Part::Trailers(header_map(trailers)?));
    } else if part.end {
        parts.push(Part::Data { bytes: Vec::new().into(), last: true });
    }
    Ok(parts)
}

async fn listener(envoy: &Envoy, name: &str) -> Result<SocketAddr> {
    let listeners: Value = serde_json::from_str(&envoy.admin_get("/listeners?format=json").await?)?;
    let statuses = listeners.get("listener_statuses").and_then(Value::as_array);
    let mut statuses = statuses.into_iter().flatten();
    let status = statuses.find(|status| status.get("name").is_some_and(|found| found == name));
    let port = status.and_then(|status| status.pointer("/local_address/socket_address/port_value"));
    let port = port.and_then(Value::as_u64).with_context(|| format!("Envoy has no listener `{name}`"))?;
    Ok(([127, 0, 0, 1], u16::try_from(port)?).into())
}
