//! Carries a scenario out in the harness.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::ScenarioError;
use super::expect::Report;
use super::format::{ClusterKind, Scenario};
use super::outcome::{End, ExchangeOutcome, Outcome, Received, log_line};
use super::peers;
use super::step::{Answer, Part, Request, Step, Wait};
use super::text::map;
use crate::envoy::Envoy;
use crate::error::StartError;
use crate::exchange::{Exchange, State};
use crate::header_map::HeaderMap;
use crate::log::Log;
use crate::module::Module;
use crate::property::Property;
use crate::stream;
use crate::thread::Thread;

/// Waiting moves the clock by this much at a time, and gives up after so much.
const WAIT_STEP: Duration = Duration::from_millis(10);
const WAIT_LIMIT: Duration = Duration::from_secs(60);

impl Scenario {
    /// Carries it out with a filter, and compares what comes of it with what is expected.
    ///
    /// # Errors
    /// If a step cannot be carried out, or the filter does not start although it should.
    pub fn run(&self, module: &Module) -> Result<Report, ScenarioError> {
        let (logs, started) = self.start(module);
        let envoy = match started {
            Ok(envoy) => envoy,
            Err(_) if self.expect.refused => {
                let outcome = Outcome { refused: true, logs: by_thread(&logs), ..Outcome::default() };
                return Ok(self.check(outcome));
            }
            Err(reason) => return Err(ScenarioError::Start { scenario: self.path.clone(), reason }),
        };
        let mut run = Run { scenario: self, envoy, exchanges: Vec::new() };
        for (index, step) in self.steps.iter().enumerate() {
            run.step(step).map_err(|reason| ScenarioError::Step {
                scenario: self.path.clone(),
                number: index + 1,
                reason,
            })?;
        }
        Ok(self.check(run.outcome()))
    }

    /// What was logged is of interest also if the start fails.
    fn start(&self, module: &Module) -> (Vec<Log>, Result<Envoy, StartError>) {
        let plugin = &self.plugin;
        let mut builder = Envoy::builder(module)
            .plugin_config(&self.config)
            .plugin_name(&plugin.name)
            .root_id(&plugin.root_id)
            .vm_id(&plugin.vm_id)
            .vm_config(&plugin.vm_config)
            .failure_policy(plugin.failure_policy.into())
            .log_level(self.log_level)
            .workers(self.workers)
            .property(&["xds", "node", "id"], self.node.id.clone())
            .property(&["xds", "node", "cluster"], self.node.cluster.clone());
        for (key, value) in &plugin.environment {
            builder = builder.environment(key, value);
        }
        for (namespace, value) in &self.metadata {
            let path = ["metadata", "filter_metadata", namespace];
            builder = builder.property(&path, Property::from(value.clone()));
        }
        for (name, kind) in &self.clusters {
            builder = builder.cluster(name, peers::cluster(*kind));
        }
        builder.start_with_logs()
    }
}

/// A scenario being carried out.
struct Run<'a> {
    scenario: &'a Scenario,
    envoy: Envoy,
    exchanges: Vec<(String, Exchange)>,
}

impl Run<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Request(request) => self.request(request),
            Step::Send(part) => {
                let exchange = self.exchange(&part.of)?;
                send(
                    part,
                    |bytes| exchange.send_data(bytes),
                    |map| exchange.send_trailers(map),
                    || exchange.end_request(),
                );
            }
            Step::Disconnect(name) => self.exchange(name)?.disconnect(),
            Step::Respond(answer) => respond(self.exchange(&answer.of)?, answer)?,
            Step::RespondMore(part) => {
                let exchange = self.exchange(&part.of)?;
                send(
                    part,
                    |bytes| exchange.respond_data(bytes),
                    |map| exchange.respond_trailers(map),
                    || {
                        exchange.finish();
                    },
                );
            }
            Step::Wait(wait) => self.wait(wait)?,
            Step::Pass(time) => self.envoy.advance(time.0),
            Step::Peer(peer) => peers::act(&self.envoy, peer),
        }
        Ok(())
    }

    fn request(&mut self, request: &Request) {
        let worker = self.envoy.worker(request.worker);
        let mut builder = worker.request(&request.method, &request.path);
        if request.http == 2 {
            builder = builder.http2();
        }
        for header in request.all_headers() {
            builder = builder.header(&header.name, &header.value);
        }
        if let Some(body) = &request.body {
            builder = builder.body(&body.0);
        }
        for trailer in request.trailers.iter().flatten() {
            builder = builder.trailer(&trailer.name, &trailer.value);
        }
        let exchange = if request.open { builder.open() } else { builder.send() };
        if let Some(answer) = &request.answer {
            // A request that was held or answered by the filter gets none.
            let _ = respond(&exchange, answer);
        }
        let name = match request.name.as_str() {
            "" => (self.exchanges.len() + 1).to_string(),
            name => name.to_owned(),
        };
        self.exchanges.push((name, exchange));
    }

    fn exchange(&self, name: &str) -> Result<&Exchange, String> {
        let found = match name {
            "" => self.exchanges.last(),
            name => self.exchanges.iter().find(|(found, _)| found == name),
        };
        found.map(|(_, exchange)| exchange).ok_or_else(|| format!("there is no exchange `{name}`"))
    }

    fn wait(&self, wait: &Wait) -> Result<(), String> {
        let deadline = self.envoy.now() + WAIT_LIMIT;
        while !self.is_there(wait) {
            if self.envoy.now() >= deadline {
                return Err(format!("in vain: {wait:?}\n{}", self.envoy.inner.last_events(20)));
            }
            self.envoy.advance(WAIT_STEP);
        }
        Ok(())
    }

    fn is_there(&self, wait: &Wait) -> bool {
        let logs = by_thread(&self.envoy.logs());
        let lines = logs.get(&wait.thread).map(Vec::as_slice).unwrap_or_default();
        let is_logged = wait
            .log
            .as_ref()
            .is_none_or(|line| lines.iter().filter(|found| found.starts_with(line)).count() >= wait.times);
        let has_callouts =
            wait.cluster.as_ref().is_none_or(|cluster| peers::count(&self.envoy, cluster) >= wait.callouts);
        is_logged && has_callouts
    }

    fn outcome(&self) -> Outcome {
        let expect = &self.scenario.expect;
        let metrics = expect.metrics.keys().filter_map(|name| Some((name.clone(), self.envoy.metric(name)?)));
        let histograms = expect.histograms.keys().filter_map(|name| {
            let values = self.envoy.histogram(name)?;
            Some((name.clone(), values.len() as u64))
        });
        let clusters = self.scenario.clusters.iter().filter(|(_, kind)| **kind == ClusterKind::Peer);
        Outcome {
            refused: false,
            logs: by_thread(&self.envoy.logs()),
            exchanges: self
                .exchanges
                .iter()
                .map(|(name, exchange)| (name.clone(), self.exchange_outcome(exchange)))
                .collect(),
            peers: clusters.map(|(name, _)| (name.clone(), peers::seen(&self.envoy, name))).collect(),
            metrics: metrics.collect(),
            histograms: histograms.collect(),
        }
    }

    fn exchange_outcome(&self, exchange: &Exchange) -> ExchangeOutcome {
        let end = match exchange.state() {
            State::Forwarded | State::Held => End::Open,
            State::Replied | State::Finished => End::Complete,
            State::Reset => End::Cut,
            State::Disconnected => End::Gone,
        };
        let has_ended = end != End::Open;
        let response = exchange.response();
        let state = |name: &str| Some((name.to_owned(), exchange.filter_state(&format!("wasm.{name}"))?));
        ExchangeOutcome {
            end,
            headers: response.as_ref().map(|response| response.headers.clone()),
            body: response.as_ref().map(|response| response.body.clone()).unwrap_or_default(),
            trailers: response.and_then(|response| response.trailers),
            details: exchange.details().filter(|_| has_ended),
            upstream: exchange.forwarded_headers().map(|headers| Received {
                headers,
                body: exchange.forwarded_body(),
                trailers: exchange.forwarded_trailers(),
            }),
            filter_state: self
                .scenario
                .filter_state_names()
                .filter(|_| has_ended)
                .filter_map(state)
                .collect(),
        }
    }
}

fn respond(exchange: &Exchange, answer: &Answer) -> Result<(), String> {
    if exchange.state() != State::Forwarded {
        return Err("the request has not reached the upstream".to_owned());
    }
    let is_whole = !answer.open && answer.body.is_none() && answer.trailers.is_none();
    if is_whole {
        exchange.respond_whole(answer.status.into(), map(&answer.headers));
        return Ok(());
    }
    exchange.respond(answer.status.into(), map(&answer.headers));
    let is_last = !answer.open && answer.trailers.is_none();
    if let Some(body) = &answer.body {
        exchange.part(
            crate::http::Direction::Response,
            stream::Part::Data { bytes: body.0.clone(), end: is_last },
        );
    }
    if let Some(trailers) = &answer.trailers {
        exchange.respond_trailers(map(trailers));
    }
    Ok(())
}

fn send(part: &Part, data: impl Fn(&[u8]), trailers: impl Fn(HeaderMap), end: impl Fn()) {
    if let Some(body) = &part.body {
        data(&body.0);
    }
    if let Some(map_of) = &part.trailers {
        trailers(map(map_of));
    } else if part.end {
        end();
    }
}

/// The VMs that only try the filter run on the main thread.
fn by_thread(logs: &[Log]) -> BTreeMap<String, Vec<String>> {
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for log in logs {
        let thread = match log.vm {
            Thread::Base | Thread::Canary | Thread::Main => Thread::Main,
            worker @ Thread::Worker(_) => worker,
        };
        lines.entry(thread.to_string()).or_default().push(log_line(log.level, &log.message));
    }
    lines
}
