//! The peers of a scenario's clusters, in the harness.

use super::format::ClusterKind;
use super::outcome::{CalloutEnd, Seen};
use super::step::PeerStep;
use super::text::map;
use crate::callout::{Answer, Cluster, GrpcCall, GrpcStream, HttpCall};
use crate::envoy::Envoy;
use crate::header_map::HeaderMap;

/// A call-out that a peer has got.
enum Callout {
    Http(HttpCall),
    Unary(GrpcCall),
    Stream(GrpcStream),
}

pub(super) fn cluster(kind: ClusterKind) -> Cluster {
    match kind {
        ClusterKind::Peer => Cluster::healthy(),
        ClusterKind::Refusing => Cluster::answering(|_| Answer::nothing().refuse()),
        ClusterKind::NoHosts => Cluster::no_hosts(),
    }
}

/// How many call-outs a cluster has got, those that are over included.
pub(super) fn count(envoy: &Envoy, cluster: &str) -> usize {
    callouts(envoy, cluster).len()
}

/// Does what a step says about every call-out that is open.
pub(super) fn act(envoy: &Envoy, step: &PeerStep) {
    callouts(envoy, &step.cluster).iter().for_each(|callout| callout.act(step));
}

/// What the peer of a cluster has seen.
pub(super) fn seen(envoy: &Envoy, cluster: &str) -> Vec<Seen> {
    callouts(envoy, cluster).iter().map(Callout::seen).collect()
}

fn callouts(envoy: &Envoy, cluster: &str) -> Vec<Callout> {
    let http = envoy.http_calls().into_iter().filter(|call| call.cluster() == cluster).map(Callout::Http);
    let unary = envoy.grpc_calls().into_iter().filter(|call| call.cluster() == cluster).map(Callout::Unary);
    let streams = envoy.grpc_streams().into_iter().filter(|call| call.cluster() == cluster);
    http.chain(unary).chain(streams.map(Callout::Stream)).collect()
}

impl Callout {
    fn act(&self, step: &PeerStep) {
        match self {
            Self::Http(call) => {
                if let Some(answer) = &step.answer {
                    let body = answer.body.clone().unwrap_or_default().0;
                    let (status, headers) = (answer.status.into(), map(&answer.headers));
                    match &answer.trailers {
                        Some(trailers) => call.respond_with_trailers(status, headers, body, map(trailers)),
                        None => call.respond(status, headers, body),
                    }
                }
                if step.reset {
                    call.reset();
                }
            }
            Self::Unary(call) => {
                match (&step.close, &step.message) {
                    (Some(close), Some(message)) if close.status == 0 => call.respond(&message.0),
                    (Some(close), _) => call.fail(close.status, &close.message),
                    (None, _) => {}
                }
                if let Some(answer) = &step.answer {
                    let body = answer.body.clone().unwrap_or_default().0;
                    call.respond_http(answer.status.into(), map(&answer.headers), body);
                }
                if step.reset {
                    call.reset();
                }
            }
            Self::Stream(stream) => act_on_stream(stream, step),
        }
    }

    fn seen(&self) -> Seen {
        match self {
            Self::Http(call) => {
                let (headers, body) = (call.headers(), call.body());
                Seen {
                    path: headers.get(":path").unwrap_or_default().to_owned(),
                    headers,
                    messages: if body.is_empty() { Vec::new() } else { vec![body] },
                    // Envoy does not send them.
                    trailers: None,
                    end: if call.is_open() { CalloutEnd::HalfClosed } else { CalloutEnd::Closed },
                }
            }
            Self::Unary(call) => Seen {
                path: format!("/{}/{}", call.service(), call.method()),
                headers: call.metadata(),
                messages: vec![call.message()],
                trailers: None,
                end: match (call.cancelled_by_filter(), call.is_open()) {
                    (true, _) => CalloutEnd::Cancelled,
                    (false, true) => CalloutEnd::HalfClosed,
                    (false, false) => CalloutEnd::Closed,
                },
            },
            Self::Stream(stream) => Seen {
                path: format!("/{}/{}", stream.service(), stream.method()),
                headers: stream.metadata(),
                messages: stream.take_sent(),
                trailers: None,
                end: if stream.cancelled_by_filter() {
                    CalloutEnd::Cancelled
                } else if !stream.is_open() {
                    CalloutEnd::Closed
                } else if stream.is_half_closed() {
                    CalloutEnd::HalfClosed
                } else {
                    CalloutEnd::Open
                },
            },
        }
    }
}

fn act_on_stream(stream: &GrpcStream, step: &PeerStep) {
    if let Some(initial) = &step.initial {
        let mut metadata = HeaderMap::from([(":status", "200"), ("content-type", "application/grpc")]);
        map(initial).iter().for_each(|(name, value)| metadata.add(name, value));
        stream.initial_metadata(metadata);
    }
    if let Some(message) = &step.message {
        stream.send(&message.0);
    }
    if let Some(close) = &step.close {
        stream.close(close.status, &close.message);
    }
    if let Some(answer) = &step.answer {
        let body = answer.body.clone().unwrap_or_default().0;
        stream.respond_http(answer.status.into(), map(&answer.headers), body);
    }
    if step.reset {
        stream.reset();
    }
}
