//! One HTTP stream, as the proxy sees it: what has arrived, what the filter holds, what went on.

use std::collections::{BTreeMap, VecDeque};

use crate::cost::Cost;
use crate::header_map::HeaderMap;
use crate::network::Network;
use crate::property::Property;
use crate::reply::{LocalReply, Reply};

/// A stream, from the request until nobody asks about it any more.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The root context that its own belongs to.
    pub(crate) root: u32,
    pub(crate) request: Path,
    pub(crate) response: Path,
    /// The connection that it stands for, if it is not an HTTP stream.
    pub(crate) network: Option<Network>,
    /// Whether it came in when its VM was dead already.
    pub(crate) is_unseen: bool,
    /// Whether the context can be made effective; until it is deleted.
    pub(crate) alive: bool,
    /// Whether the filter knows of the context.
    pub(crate) created: bool,
    pub(crate) end: Option<Ending>,
    /// Whether a callback for the request is running; a local reply then waits for it to be over.
    pub(crate) is_decoding: bool,
    pub(crate) prepared: Option<Reply>,
    /// The local reply on its way to the client.
    pub(crate) replying: Option<Reply>,
    pub(crate) reply: Option<LocalReply>,
    pub(crate) details: Option<String>,
    pub(crate) properties: Property,
    /// The protocol of the request, as Envoy calls it.
    pub(crate) protocol: &'static str,
    pub(crate) filter_state: BTreeMap<String, Vec<u8>>,
    pub(crate) cost: Cost,
    /// What the running callback has asked for, to see that it does not ask for both.
    pub(crate) reply_queued: bool,
    pub(crate) reset_queued: bool,
    /// Whether Envoy has answered because the VM is dead; the filter then sees nothing of the response.
    pub(crate) failed: bool,
    /// Whether the log callback is running: it may read what is gone elsewhere, and change nothing.
    pub(crate) logging: bool,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    Replied,
    Reset,
    Disconnected,
    Finished,
}

/// One direction of a stream.
#[derive(Debug, Default)]
pub(crate) struct Path {
    pub(crate) stage: Stage,
    /// As they are now, the filter's changes included.
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) trailers: Option<HeaderMap>,
    /// The bytes of the body that have come in, whether the filter has seen them or not.
    pub(crate) received: usize,
    /// The status as it came, and as it went on once it has.
    pub(crate) code: Option<u32>,
    /// What has come in while the filter holds the headers.
    pub(crate) arrived: VecDeque<Part>,
    /// The body that the filter has seen and holds.
    pub(crate) held: Vec<u8>,
    /// The part of the body that the filter is looking at.
    pub(crate) chunk: Vec<u8>,
    /// What the filter can read now.
    pub(crate) readable: Readable,
    /// Whether Envoy would follow a dangling pointer to the body, should the filter ask for it.
    pub(crate) body_is_lost: bool,
    /// Whether the filter has seen the end.
    pub(crate) end_seen: bool,
    /// Whether the headers went on.
    pub(crate) passed: bool,
    /// The body that went on.
    pub(crate) body: Vec<u8>,
    /// Whether the end went on.
    pub(crate) ended: bool,
}

/// What a filter has access to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Readable {
    pub(crate) headers: bool,
    pub(crate) body: bool,
    pub(crate) trailers: bool,
}

/// Where a direction stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Stage {
    /// No headers yet.
    #[default]
    Waiting,
    /// The filter holds the headers, and everything behind them.
    HeldHeaders,
    /// What comes is shown to the filter.
    Flowing,
    /// The filter collects the body; what comes is shown to it.
    HeldBody,
    /// The filter holds the trailers.
    HeldTrailers,
}

/// What comes after the headers.
#[derive(Debug)]
pub(crate) enum Part {
    Data { bytes: Vec<u8>, end: bool },
    Trailers(HeaderMap),
}

impl Path {
    /// A response that has gone out past the filter.
    pub(crate) fn gone(headers: HeaderMap, body: Vec<u8>) -> Self {
        let mut path = Self { headers: Some(headers), body, passed: true, ended: true, ..Self::default() };
        path.code = path.status();
        path
    }

    /// The status that the headers have now.
    pub(crate) fn status(&self) -> Option<u32> {
        self.headers.as_ref()?.get(":status")?.parse().ok()
    }

    /// The body that the filter can see now: all that it collects, or the part that is passing.
    pub(crate) fn visible_body(&mut self) -> &mut Vec<u8> {
        if self.stage == Stage::HeldBody || self.stage == Stage::HeldTrailers {
            &mut self.held
        } else {
            &mut self.chunk
        }
    }

    /// Makes one part of what has come of the body while the headers were held.
    pub(crate) fn join_arrived(&mut self) {
        let mut whole = Vec::new();
        let mut ended = false;
        let mut rest = VecDeque::new();
        let had_data = self.arrived.iter().any(|part| matches!(part, Part::Data { .. }));
        for part in self.arrived.drain(..) {
            match part {
                Part::Data { mut bytes, end } => {
                    whole.append(&mut bytes);
                    ended |= end;
                }
                trailers @ Part::Trailers(_) => rest.push_back(trailers),
            }
        }
        if had_data {
            rest.push_front(Part::Data { bytes: whole, end: ended });
        }
        self.arrived = rest;
    }

    /// Lets go of everything that the filter holds.
    pub(crate) fn release(&mut self) {
        self.body.append(&mut self.held);
        self.stage = Stage::Flowing;
        if !self.passed {
            self.code = self.status();
        }
        self.passed = true;
        self.ended = self.end_seen;
    }
}
