//! What came of a run.

use std::collections::BTreeMap;
use std::iter;

use proxy_wasm_harness::{
    Cost, Envoy, Exchange, Failure, GrpcCall, GrpcStream, HeaderMap, HttpCall, State, Worker,
};
use serde::Serialize;

use crate::args::Run;
use crate::scene::Sent;

/// Everything that is printed, as JSON or as text. What is not UTF-8 is replaced.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) requests: Vec<Request>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) callouts: Vec<Callout>,
    pub(crate) logs: Vec<Log>,
    pub(crate) metrics: BTreeMap<String, u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) failures: Vec<Death>,
    pub(crate) over_budget: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<Vec<String>>,
}

type Pairs = Vec<(String, String)>;

/// A request, and what came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) worker: usize,
    /// `forwarded`, `held`, `replied`, `reset`, or `finished`.
    pub(crate) outcome: &'static str,
    pub(crate) response_held: bool,
    pub(crate) details: Option<String>,
    /// What the filter has changed on the way to the upstream; none if it got nothing.
    pub(crate) forwarded: Option<Changes>,
    /// What the filter has changed on the way to the client; none if no answer of the upstream's has got there.
    pub(crate) response: Option<Changes>,
    pub(crate) reply: Option<Reply>,
    pub(crate) cost: Spent,
}

/// Differences between what came and what went on.
#[derive(Debug, Serialize)]
pub(crate) struct Changes {
    pub(crate) removed: Pairs,
    pub(crate) added: Pairs,
    /// The body, if it is another one.
    pub(crate) body: Option<String>,
}

/// An answer in the upstream's place.
#[derive(Debug, Serialize)]
pub(crate) struct Reply {
    pub(crate) status: u32,
    pub(crate) grpc_status: Option<u32>,
    pub(crate) headers: Pairs,
    pub(crate) body: String,
}

/// A thread's VM since it was started.
#[derive(Debug, Serialize)]
pub(crate) struct Thread {
    pub(crate) vm: String,
    pub(crate) cost: Spent,
    /// In bytes.
    pub(crate) memory: usize,
}

/// What a request has cost in the callbacks of its own context, or a VM in all.
#[derive(Debug, Serialize)]
pub(crate) struct Spent {
    pub(crate) fuel: u64,
    pub(crate) host_calls: u64,
    pub(crate) data_calls: u64,
    pub(crate) calls: BTreeMap<&'static str, u64>,
}

/// Something that the filter has asked of a service.
#[derive(Debug, Serialize)]
pub(crate) struct Callout {
    pub(crate) vm: String,
    pub(crate) kind: &'static str,
    pub(crate) cluster: String,
    /// Method and path, or service and method.
    pub(crate) target: String,
    pub(crate) open: bool,
    pub(crate) headers: Pairs,
}

/// A line that the filter has logged.
#[derive(Debug, Serialize)]
pub(crate) struct Log {
    pub(crate) vm: String,
    pub(crate) context: u32,
    pub(crate) level: String,
    pub(crate) message: String,
}

/// How a VM died.
#[derive(Debug, Serialize)]
pub(crate) struct Death {
    pub(crate) vm: String,
    pub(crate) callback: &'static str,
    pub(crate) cause: String,
    pub(crate) message: String,
    pub(crate) backtrace: Vec<String>,
}

impl Report {
    pub(crate) fn new(run: &Run, envoy: &Envoy, sent: &[Sent]) -> Self {
        let requests: Vec<_> = sent.iter().map(Request::new).collect();
        let logs = envoy.logs().into_iter().map(|log| Log {
            vm: log.vm.to_string(),
            context: log.context,
            level: format!("{:?}", log.level).to_lowercase(),
            message: log.message,
        });
        Self {
            over_budget: requests.iter().flat_map(|request| over_budget(run, request)).collect(),
            requests,
            threads: iter::once(envoy.main_thread())
                .chain(envoy.workers())
                .map(|it| Thread::new(&it))
                .collect(),
            callouts: callouts(envoy),
            logs: logs.collect(),
            metrics: envoy.metrics().into_iter().collect(),
            violations: envoy.violations().iter().map(ToString::to_string).collect(),
            failures: envoy.failures().into_iter().map(Death::from).collect(),
            trace: run.trace.then(|| envoy.trace().iter().map(ToString::to_string).collect()),
        }
    }

    pub(crate) fn is_fine(&self) -> bool {
        self.violations.is_empty() && self.failures.is_empty() && self.over_budget.is_empty()
    }
}

impl Request {
    fn new(sent: &Sent) -> Self {
        let (draft, exchange) = (&sent.draft, &sent.exchange);
        Self {
            method: draft.method.clone(),
            path: draft.path.clone(),
            worker: draft.worker,
            outcome: outcome(exchange),
            response_held: exchange.is_response_held(),
            details: exchange.details(),
            forwarded: exchange.forwarded_headers().map(|headers| {
                let body = draft.body.as_deref().unwrap_or_default();
                Changes::between(&sent.headers, &headers, body, &exchange.forwarded_body())
            }),
            response: exchange.response().zip(sent.answered.as_ref()).map(|(response, answered)| {
                let body = draft.response.body.as_deref().unwrap_or_default();
                Changes::between(answered, &response.headers, body, &response.body)
            }),
            reply: exchange.reply().map(|reply| Reply {
                status: reply.status,
                grpc_status: reply.grpc_status,
                headers: reply.headers.iter().filter(|(name, _)| name != ":status").collect(),
                body: reply.text(),
            }),
            cost: Spent::from(&exchange.cost()),
        }
    }
}

fn outcome(exchange: &Exchange) -> &'static str {
    match exchange.state() {
        State::Forwarded => "forwarded",
        State::Held => "held",
        State::Replied => "replied",
        State::Reset => "reset",
        State::Disconnected => "disconnected",
        State::Finished => "finished",
    }
}

impl Changes {
    fn between(before: &HeaderMap, after: &HeaderMap, sent: &[u8], received: &[u8]) -> Self {
        let (before, after): (Pairs, Pairs) = (before.iter().collect(), after.iter().collect());
        Self {
            removed: without(before.clone(), &after),
            added: without(after, &before),
            body: (sent != received).then(|| String::from_utf8_lossy(received).into_owned()),
        }
    }
}

/// The entries that are left once each of the others has taken away one that is equal.
fn without(mut entries: Pairs, others: &Pairs) -> Pairs {
    for other in others {
        if let Some(index) = entries.iter().position(|entry| entry == other) {
            entries.remove(index);
        }
    }
    entries
}

impl Thread {
    fn new(worker: &Worker) -> Self {
        Self {
            vm: worker.thread().to_string(),
            cost: Spent::from(&worker.cost()),
            memory: worker.memory_size(),
        }
    }
}

impl From<&Cost> for Spent {
    fn from(cost: &Cost) -> Self {
        Self {
            fuel: cost.fuel,
            host_calls: cost.host_calls(),
            data_calls: cost.data_calls(),
            calls: cost.calls().collect(),
        }
    }
}

impl From<Failure> for Death {
    fn from(failure: Failure) -> Self {
        Self {
            vm: failure.vm.to_string(),
            callback: failure.callback,
            cause: format!("{:?}", failure.cause).to_lowercase(),
            message: failure.message,
            backtrace: failure.backtrace,
        }
    }
}

fn over_budget(run: &Run, request: &Request) -> Vec<String> {
    let cost = &request.cost;
    let budgets = [
        ("fuel", cost.fuel, run.max_fuel),
        ("host calls", cost.host_calls, run.max_host_calls),
        ("data calls", cost.data_calls, run.max_data_calls),
    ];
    let over = budgets.into_iter().filter_map(|(what, spent, most)| {
        let most = most.filter(|most| spent > *most)?;
        Some(format!("{} {}: {what} {spent}, allowed {most}", request.method, request.path))
    });
    over.collect()
}

fn callouts(envoy: &Envoy) -> Vec<Callout> {
    let http = |call: HttpCall| {
        let headers = call.headers();
        let part = |name| headers.get(name).unwrap_or_default();
        Callout {
            vm: call.vm().to_string(),
            kind: "http",
            cluster: call.cluster(),
            target: format!("{} {}", part(":method"), part(":path")),
            open: call.is_open(),
            headers: headers.iter().collect(),
        }
    };
    let unary = |call: GrpcCall| Callout {
        vm: call.vm().to_string(),
        kind: "grpc_call",
        cluster: call.cluster(),
        target: format!("{}/{}", call.service(), call.method()),
        open: call.is_open(),
        headers: call.metadata().iter().collect(),
    };
    let stream = |stream: GrpcStream| Callout {
        vm: stream.vm().to_string(),
        kind: "grpc_stream",
        cluster: stream.cluster(),
        target: format!("{}/{}", stream.service(), stream.method()),
        open: stream.is_open(),
        headers: stream.metadata().iter().collect(),
    };
    let http = envoy.http_calls().into_iter().map(http);
    let unary = envoy.grpc_calls().into_iter().map(unary);
    http.chain(unary).chain(envoy.grpc_streams().into_iter().map(stream)).collect()
}
