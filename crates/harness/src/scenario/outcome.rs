//! What came of a scenario, on whatever host.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::header_map::HeaderMap;
use crate::log::Level;

/// What clients, upstream, peers and operators have seen in the end.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// Whether the host has refused the filter or its configuration.
    pub refused: bool,
    /// What the filter has logged, in order, by thread: `main_thread`, `worker_0` and so on. The main thread's
    /// lines begin with those of the VMs that only try the filter.
    pub logs: BTreeMap<String, Vec<String>>,
    /// The exchanges, by name.
    pub exchanges: BTreeMap<String, ExchangeOutcome>,
    /// The call-outs that each cluster has seen.
    pub peers: BTreeMap<String, Vec<Seen>>,
    /// The counters and gauges that the scenario expects something of.
    pub metrics: BTreeMap<String, u64>,
    /// How many values the histograms hold that the scenario expects something of.
    pub histograms: BTreeMap<String, u64>,
}

/// What came of a request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ExchangeOutcome {
    /// How it has ended for the client.
    pub end: End,
    /// The headers of the answer with `:status`, but without `date` and `server`.
    pub headers: Option<HeaderMap>,
    /// The body of the answer, as far as it has come.
    pub body: Vec<u8>,
    /// The trailers of the answer.
    pub trailers: Option<HeaderMap>,
    /// The response code details, once it has ended.
    pub details: Option<String>,
    /// What the upstream has got; nothing if the request has not reached it.
    pub upstream: Option<Received>,
    /// The filter state that the scenario expects something of, without the prefix `wasm.`, once it has ended.
    pub filter_state: BTreeMap<String, String>,
}

/// How an exchange has ended for the client.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// `open`: not yet.
    #[default]
    Open,
    /// `complete`: with the last byte of an answer.
    Complete,
    /// `cut`: with a reset, or a lost connection.
    Cut,
    /// `gone`: the client has gone away.
    Gone,
}

/// A request, as the upstream has got it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Received {
    /// The headers.
    pub headers: HeaderMap,
    /// The body so far.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Option<HeaderMap>,
}

/// A call-out, as its peer has seen it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Seen {
    /// The path; of gRPC `/package.Service/Method`.
    pub path: String,
    /// The headers; of gRPC the initial metadata, with the headers of HTTP around it.
    pub headers: HeaderMap,
    /// The messages of gRPC, or the body.
    pub messages: Vec<Vec<u8>>,
    /// The trailers of an HTTP call.
    pub trailers: Option<HeaderMap>,
    /// How it stands.
    pub end: CalloutEnd,
}

/// How a call-out stands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum CalloutEnd {
    /// `open`: both sides may speak.
    #[default]
    Open,
    /// `half-closed`: the filter has said its last word, which of calls is the first.
    HalfClosed,
    /// `cancelled`: the filter has reset the stream.
    Cancelled,
    /// `closed`: it is over.
    Closed,
}

/// A line of the log, as outcomes have it: the level in brackets unless it is information, then the message
/// without the end of its line.
#[must_use]
pub fn log_line(level: Level, message: &str) -> String {
    let message = message.trim_end();
    if level == Level::Info { message.to_owned() } else { format!("[{}] {message}", level_name(level)) }
}

/// The name of a level, in lower case.
pub(crate) const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
        Level::Critical => "critical",
    }
}

/// The level of this name.
#[must_use]
pub fn level(name: &str) -> Option<Level> {
    let levels = (0..).map_while(Level::from_code);
    levels.into_iter().find(|level| level_name(*level) == name)
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Cut => "cut",
            Self::Gone => "gone",
        })
    }
}
