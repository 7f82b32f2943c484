//! A scenario being carried out on an Envoy.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use proxy_wasm_harness::HeaderMap as Headers;
use proxy_wasm_harness::scenario::{
    self, End, ExchangeOutcome, Outcome, PeerStep, Received, Scenario, Step, Wait,
};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::body::Part;
use super::client::{Exchange, Seen, header_map};
use super::config::{FENCE, SERVICE, STATE};
use super::fence::Fence;
use super::server::{Arrival, Got, Server};
use super::{grpc, log};
use crate::Envoy;

/// Nothing that a scenario waits for takes this long.
const PATIENCE: Duration = Duration::from_secs(20);
/// Envoy offers no event for what is polled.
const POLL: Duration = Duration::from_millis(3);
/// After as many looks, what still moves will not come to rest.
const LOOKS: usize = 100;

/// An Envoy and everybody around it.
pub(super) struct Play<'a> {
    scenario: &'a Scenario,
    envoy: Envoy,
    upstream: Server,
    peers: Vec<(String, Server)>,
    fence: Fence,
    threads: log::Threads,
    exchanges: Vec<(String, Exchange)>,
    /// Which exchange each arrival at the upstream belongs to.
    arrived: Vec<usize>,
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
        Ok(Self { scenario, envoy, upstream, peers, fence, threads, exchanges: Vec::new(), arrived: Vec::new() })
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
                if now.get("listener.ingress.downstream_cx_total") > before.get("listener.ingress.downstream_cx_total")
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
        peer.arrivals().iter().filter(|stream| !stream.is_over()).try_for_each(|stream| grpc::act(stream, step))
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
    async fn settle(&mut self) -> Result<()> {
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

    async fn stats(&self, prefix: &str) -> Result<BTreeMap<String, u64>> {
        let text = self.envoy.admin_get(&format!("/stats?filter=^{prefix}\\.")).await?;
        let number = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter_map(number).collect())
    }

    /// Gathers what has come of it all, and ends Envoy.
    pub(super) async fn finish(mut self) -> Result<Outcome> {
        self.await_ends().await;
        self.settle().await?;
        let mut outcome = Outcome::default();
        for (name, peer) in &self.peers {
            let streams: Result<_> = peer.arrivals().iter().map(|stream| grpc::seen(stream)).collect();
            outcome.peers.insert(name.clone(), streams?);
        }
        self.metrics(&mut outcome).await?;
        for (index, (name, exchange)) in self.exchanges.iter().enumerate() {
            outcome.exchanges.insert(name.clone(), self.outcome(index, exchange).await?);
        }
        // What was logged before this is in the log afterwards.
        self.envoy.process().kill().await?;
        self.envoy.log().complete().await;
        outcome.logs = log::by_thread(&self.envoy.log().text(), &self.threads);
        Ok(outcome)
    }

    /// Over HTTP/1.1, a client sees that it was cut only some time after.
    async fn await_ends(&self) {
        let begin = Instant::now();
        for (index, expected) in self.scenario.expect.exchange.iter().enumerate() {
            let name = expected.name_at(index);
            let exchange = self.exchanges.iter().find(|(found, _)| *found == name);
            while exchange.is_some_and(|(_, exchange)| exchange.seen().end != expected.end)
                && begin.elapsed() < PATIENCE / 10
            {
                sleep(POLL).await;
            }
        }
    }

    async fn metrics(&self, outcome: &mut Outcome) -> Result<()> {
        let expect = &self.scenario.expect;
        let stats = self.stats("wasmcustom").await?;
        for name in expect.metrics.keys() {
            let value = stats.get(&format!("wasmcustom.{name}"));
            outcome.metrics.extend(value.map(|value| (name.clone(), *value)));
        }
        if !expect.histograms.is_empty() {
            let text = self.envoy.admin_get("/stats/prometheus").await?;
            for name in expect.histograms.keys() {
                let count = text.lines().find_map(|line| line.strip_prefix(&format!("{name}_count{{}} ")));
                let count = count.and_then(|count| count.parse().ok());
                outcome.histograms.extend(count.map(|count| (name.clone(), count)));
            }
        }
        Ok(())
    }

    async fn outcome(&self, index: usize, exchange: &Exchange) -> Result<ExchangeOutcome> {
        let seen = exchange.seen();
        let mut outcome = ExchangeOutcome::default();
        outcome.end = seen.end;
        if let Some(status) = seen.status {
            let mut headers = Headers::from([(":status", status.to_string())]);
            grpc::headers(&seen.headers).iter().for_each(|(name, value)| headers.add(name, value));
            headers.remove("date");
            headers.remove("server");
            outcome.headers = Some(headers);
        }
        outcome.body = seen.body;
        outcome.trailers = seen.trailers.as_ref().map(grpc::headers);
        let at = self.arrived.iter().position(|arrived| *arrived == index);
        if let Some(arrival) = at.and_then(|at| self.upstream.arrivals().get(at).cloned()) {
            outcome.upstream = Some(received(&arrival));
        }
        if seen.end != End::Open {
            let entry = self.access(exchange.local).await?;
            let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
            outcome.details = text("details");
            let names: BTreeSet<&str> = self.scenario.filter_state_names().collect();
            outcome.filter_state = names
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), text(&format!("{STATE}{name}"))?)))
                .collect();
        }
        Ok(outcome)
    }

    /// The line of the access log about the exchange on this connection.
    async fn access(&self, local: SocketAddr) -> Result<Value> {
        let begin = Instant::now();
        loop {
            let log = self.envoy.access_log()?;
            let mut entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let is_ours = |entry: &Value| entry.get("port").is_some_and(|port| *port == local.port());
            if let Some(entry) = entries.find(is_ours) {
                return Ok(entry);
            }
            ensure!(begin.elapsed() < PATIENCE, "nothing about {local} in the access log:\n{log}");
            sleep(POLL).await;
        }
    }
}

fn received(arrival: &Arrival) -> Received {
    let got = arrival.got();
    let uri = &arrival.head.uri;
    let mut headers = Headers::from([(":method", arrival.head.method.as_str())]);
    headers.add(":path", uri.path_and_query().map_or("", |path| path.as_str()));
    let host = arrival.head.headers.get("host").and_then(|host| host.to_str().ok());
    headers.add(":authority", uri.authority().map(|authority| authority.as_str()).or(host).unwrap_or_default());
    grpc::headers(&arrival.head.headers).iter().for_each(|(name, value)| headers.add(name, value));
    // Which HTTP/1.1 has instead of the authority.
    headers.remove("host");
    let mut received = Received::default();
    received.headers = headers;
    received.body = got.body;
    received.trailers = got.trailers.as_ref().map(grpc::headers);
    received
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
