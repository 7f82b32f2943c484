//! What has come of a scenario in the end.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, ensure};
use proxy_wasm_harness::HeaderMap as Headers;
use proxy_wasm_harness::scenario::{End, ExchangeOutcome, Outcome, Received};
use serde_json::Value;
use tokio::time::sleep;

use super::client::Exchange;
use super::config::STATE;
use super::play::{PATIENCE, POLL, Play};
use super::server::Arrival;
use super::{grpc, log};

impl Play<'_> {
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
    headers
        .add(":authority", uri.authority().map(|authority| authority.as_str()).or(host).unwrap_or_default());
    grpc::headers(&arrival.head.headers).iter().for_each(|(name, value)| headers.add(name, value));
    // Which HTTP/1.1 has instead of the authority.
    headers.remove("host");
    let mut received = Received::default();
    received.headers = headers;
    received.body = got.body;
    received.trailers = got.trailers.as_ref().map(grpc::headers);
    received
}
