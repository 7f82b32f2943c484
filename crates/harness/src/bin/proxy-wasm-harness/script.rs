//! What happens in a run, in the order of the arguments.

use std::time::Duration;

use clap::ArgMatches;
use proxy_wasm_harness::{Answer, Callout, CalloutKind, Cluster, Property};

use crate::args::{Bytes, Run};
use crate::text;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Draft),
    Advance(Duration),
}

/// A request, and what the upstream does about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) properties: Vec<(Vec<String>, Property)>,
    pub(crate) worker: usize,
    pub(crate) response: Response,
}

/// What the upstream answers; nothing without a status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: Option<u32>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Bytes>,
}

type Change = Box<dyn FnOnce(&mut Draft)>;

/// An argument that has its place in the order.
enum Item {
    Request((String, String)),
    Advance(Duration),
    Part(Change),
}

impl Run {
    /// The steps. clap keeps the values of one option together, and their places apart.
    pub(crate) fn steps(&self, matches: &ArgMatches) -> Vec<Step> {
        let mut items = Vec::new();
        let mut add = |name: &str, values: Vec<Item>| {
            items.extend(matches.indices_of(name).into_iter().flatten().zip(values));
        };
        add("request", self.request.iter().cloned().map(Item::Request).collect());
        add("advance", self.advance.iter().copied().map(Item::Advance).collect());
        let parts = &self.parts;
        add("header", changes(&parts.header, |draft, header| draft.headers.push(header)));
        add("body", changes(&parts.body, |draft, body| draft.body = Some(body)));
        add("trailer", changes(&parts.trailer, |draft, trailer| draft.trailers.push(trailer)));
        add("property", changes(&parts.property, |draft, property| draft.properties.push(property)));
        add("worker", changes(&parts.worker, |draft, worker| draft.worker = worker));
        add("respond", changes(&parts.respond, |draft, status| draft.response.status = Some(status)));
        let header = |draft: &mut Draft, header| draft.response.headers.push(header);
        add("respond_header", changes(&parts.respond_header, header));
        add("respond_body", changes(&parts.respond_body, |draft, body| draft.response.body = Some(body)));
        items.sort_by_key(|(place, _)| *place);
        in_order(items.into_iter().map(|(_, item)| item))
    }
}

fn changes<T: Clone + 'static>(values: &[T], change: fn(&mut Draft, T)) -> Vec<Item> {
    let change = |value: T| Item::Part(Box::new(move |draft| change(draft, value)));
    values.iter().cloned().map(change).collect()
}

/// What stands before the first request holds for all; later it holds for the request before it.
fn in_order(items: impl Iterator<Item = Item>) -> Vec<Step> {
    let mut for_all = Draft::default();
    let mut steps = Vec::new();
    for item in items {
        let last = steps.iter_mut().rev().find_map(|step| match step {
            Step::Send(draft) => Some(draft),
            Step::Advance(_) => None,
        });
        match item {
            Item::Request((method, path)) => {
                steps.push(Step::Send(Draft { method, path, ..for_all.clone() }))
            }
            Item::Advance(time) => steps.push(Step::Advance(time)),
            Item::Part(change) => change(last.unwrap_or(&mut for_all)),
        }
    }
    steps
}

/// Who plays a cluster.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    Healthy,
    NoHosts,
    Reset,
    Echo,
    Answer(u32, String),
}

impl Peer {
    /// The name of a cluster, and its peer.
    pub(crate) fn parse(text: &str) -> Result<(String, Self), String> {
        let (name, kind) = text.split_once('=').unwrap_or((text, "healthy"));
        if name.is_empty() {
            return Err("it needs the name of a cluster".to_owned());
        }
        let (first, body) = kind.split_once(' ').unwrap_or((kind, ""));
        let peer = match kind {
            "healthy" => Self::Healthy,
            "no-hosts" => Self::NoHosts,
            "reset" => Self::Reset,
            "echo" => Self::Echo,
            _ => Self::Answer(
                text::status(first).map_err(|_| {
                    format!("`{kind}` is none of healthy, no-hosts, reset, echo, STATUS [BODY]")
                })?,
                body.to_owned(),
            ),
        };
        Ok((name.to_owned(), peer))
    }

    pub(crate) fn into_cluster(self) -> Cluster {
        match self {
            Self::Healthy => Cluster::healthy(),
            Self::NoHosts => Cluster::no_hosts(),
            Self::Reset => Cluster::answering(|_| Answer::nothing().reset()),
            Self::Echo => Cluster::answering(echo),
            Self::Answer(status, body) => {
                Cluster::answering(move |_| Answer::nothing().respond(status, [("", ""); 0], &body))
            }
        }
    }
}

fn echo(asked: &Callout) -> Answer {
    let answer = Answer::nothing();
    match asked.kind {
        CalloutKind::Http => answer.respond(200, [("", ""); 0], &asked.body),
        CalloutKind::GrpcCall => answer.message(&asked.body).close(0, ""),
        CalloutKind::GrpcStream => answer,
        CalloutKind::GrpcMessage => answer.message(&asked.body),
    }
}
