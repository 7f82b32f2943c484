//! What is to come of a scenario, and how that differs from what did.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use serde::Deserialize;

use super::format::Scenario;
use super::outcome::{CalloutEnd, End, ExchangeOutcome, Outcome, Seen};
use super::text::{Bytes, Header};
use crate::header_map::HeaderMap;

/// The expected outcome. What is not said is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Expect {
    /// Whether the host refuses the filter or its configuration.
    pub refused: bool,
    /// Every line that the filter logs, in order, by thread: `worker_0`, `main_thread`.
    pub logs: BTreeMap<String, Vec<String>>,
    /// Counters and gauges.
    pub metrics: BTreeMap<String, u64>,
    /// How many values histograms hold.
    pub histograms: BTreeMap<String, u64>,
    /// The exchanges.
    pub exchange: Vec<ExpectedExchange>,
    /// The call-outs.
    pub peer: Vec<ExpectedPeer>,
}

/// What is to come of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExpectedExchange {
    /// Its name; the number of this expectation, from one, unless told otherwise.
    #[serde(default)]
    pub name: String,
    /// How it ends for the client.
    pub end: End,
    /// The status that the client sees.
    pub status: Option<u16>,
    /// Headers of the answer: of each name that occurs here, every value.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// Headers that the answer must not have.
    #[serde(default)]
    pub absent: Vec<String>,
    /// The body of the answer, as far as it comes.
    pub body: Option<Bytes>,
    /// Trailers of the answer, as `headers`.
    #[serde(default)]
    pub trailers: Vec<Header>,
    /// The response code details.
    pub details: Option<String>,
    /// What the upstream gets: a table, or false if it gets nothing.
    pub upstream: Option<ExpectedUpstream>,
    /// Filter state, without the prefix `wasm.`.
    #[serde(default)]
    pub filter_state: BTreeMap<String, String>,
}

/// What the upstream is to get.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "false, or a table with the keys `headers`, `absent`, `body`, `trailers`")]
pub enum ExpectedUpstream {
    /// Whether it gets the request at all.
    Reached(bool),
    /// The request.
    Request(Box<ExpectedRequest>),
}

/// The request that the upstream is to get.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ExpectedRequest {
    /// Headers: of each name that occurs here, every value.
    pub headers: Vec<Header>,
    /// Headers that must not be there.
    pub absent: Vec<String>,
    /// The body, as far as it comes.
    pub body: Option<Bytes>,
    /// Trailers, as `headers`.
    pub trailers: Vec<Header>,
}

/// What the peer of a cluster is to see, the same of every call-out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExpectedPeer {
    /// The cluster.
    pub cluster: String,
    /// How many call-outs there are, those that are over included.
    pub callouts: usize,
    /// The path; of gRPC `/package.Service/Method`.
    pub path: Option<String>,
    /// Headers or initial metadata: of each name that occurs here, every value.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// Every message of gRPC, or the body as the only one.
    pub messages: Option<Vec<Bytes>>,
    /// Trailers, as `headers`.
    #[serde(default)]
    pub trailers: Vec<Header>,
    /// How the call-outs stand.
    pub end: Option<CalloutEnd>,
}

/// How an outcome differs from the expectation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The file of the scenario.
    pub scenario: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The differences, in words.
    pub differences: Vec<String>,
}

impl Report {
    /// Whether everything is as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }

    /// Fails with the differences, if there are any.
    ///
    /// # Panics
    /// If there are.
    #[track_caller]
    pub fn assert_passed(&self) {
        assert!(self.passed(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} differences", self.scenario, self.differences.len())?;
        self.differences.iter().try_for_each(|difference| writeln!(f, "  {difference}"))
    }
}

impl Scenario {
    /// Compares what came of it with what is expected.
    #[must_use]
    pub fn check(&self, outcome: Outcome) -> Report {
        let mut found = Differences::default();
        found.compare("refused", &self.expect.refused, &outcome.refused);
        for (thread, lines) in &self.expect.logs {
            let logged = outcome.logs.get(thread).map(Vec::as_slice).unwrap_or_default();
            found.lines(&format!("log of {thread}"), lines, logged);
        }
        for (name, value) in &self.expect.metrics {
            found.compare(&format!("metric {name}"), &Some(value), &outcome.metrics.get(name));
        }
        for (name, count) in &self.expect.histograms {
            found.compare(&format!("histogram {name}"), &Some(count), &outcome.histograms.get(name));
        }
        for (index, expected) in self.expect.exchange.iter().enumerate() {
            let name = expected.name_at(index);
            match outcome.exchanges.get(&name) {
                Some(exchange) => expected.check(&format!("exchange {name}"), exchange, &mut found),
                None => found.add(format!("exchange {name}: there is no step of that name")),
            }
        }
        for expected in &self.expect.peer {
            let callouts = outcome.peers.get(&expected.cluster).map(Vec::as_slice).unwrap_or_default();
            expected.check(callouts, &mut found);
        }
        Report { scenario: self.path.clone(), outcome, differences: found.0 }
    }

    /// The names of the filter state that the scenario expects something of.
    pub fn filter_state_names(&self) -> impl Iterator<Item = &str> {
        self.expect.exchange.iter().flat_map(|exchange| exchange.filter_state.keys()).map(String::as_str)
    }
}

impl ExpectedExchange {
    /// The name of the exchange, if this is the expectation of that index.
    #[must_use]
    pub fn name_at(&self, index: usize) -> String {
        if self.name.is_empty() { (index + 1).to_string() } else { self.name.clone() }
    }

    fn check(&self, name: &str, exchange: &ExchangeOutcome, found: &mut Differences) {
        found.compare(&format!("{name}: end"), &self.end, &exchange.end);
        let headers = exchange.headers.clone().unwrap_or_default();
        if let Some(status) = self.status {
            found.compare(&format!("{name}: status"), &Some(&*status.to_string()), &headers.get(":status"));
        }
        found.headers(&format!("{name}: header"), &self.headers, &headers);
        found.absent(&format!("{name}: header"), &self.absent, &headers);
        found.bytes(&format!("{name}: body"), self.body.as_ref(), &exchange.body);
        let trailers = exchange.trailers.clone().unwrap_or_default();
        found.headers(&format!("{name}: trailer"), &self.trailers, &trailers);
        if self.details.is_some() {
            found.compare(&format!("{name}: details"), &self.details, &exchange.details);
        }
        for (key, value) in &self.filter_state {
            let state = exchange.filter_state.get(key);
            found.compare(&format!("{name}: filter state {key}"), &Some(value), &state);
        }
        let Some(expected) = &self.upstream else { return };
        match (expected, &exchange.upstream) {
            (ExpectedUpstream::Reached(expected), received) => {
                found.compare(&format!("{name}: reached the upstream"), expected, &received.is_some());
            }
            (ExpectedUpstream::Request(_), None) => found.add(format!("{name}: never reached the upstream")),
            (ExpectedUpstream::Request(expected), Some(received)) => {
                let name = format!("{name}: upstream");
                found.headers(&format!("{name}: header"), &expected.headers, &received.headers);
                found.absent(&format!("{name}: header"), &expected.absent, &received.headers);
                found.bytes(&format!("{name}: body"), expected.body.as_ref(), &received.body);
                let trailers = received.trailers.clone().unwrap_or_default();
                found.headers(&format!("{name}: trailer"), &expected.trailers, &trailers);
            }
        }
    }
}

impl ExpectedPeer {
    fn check(&self, callouts: &[Seen], found: &mut Differences) {
        let cluster = &self.cluster;
        found.compare(&format!("cluster {cluster}: call-outs"), &self.callouts, &callouts.len());
        for (index, seen) in callouts.iter().enumerate() {
            let name = format!("cluster {cluster}: call-out {}", index + 1);
            if let Some(path) = &self.path {
                found.compare(&format!("{name}: path"), path, &seen.path);
            }
            found.headers(&format!("{name}: header"), &self.headers, &seen.headers);
            if let Some(expected) = &self.messages {
                let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
                let expected: Vec<_> = expected.iter().map(|bytes| text(&bytes.0)).collect();
                let messages: Vec<_> = seen.messages.iter().map(|bytes| text(bytes)).collect();
                found.lines(&format!("{name}: messages"), &expected, &messages);
            }
            let trailers = seen.trailers.clone().unwrap_or_default();
            found.headers(&format!("{name}: trailer"), &self.trailers, &trailers);
            if let Some(end) = self.end {
                found.compare(&format!("{name}: end"), &end, &seen.end);
            }
        }
    }
}

/// The differences so far.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn add(&mut self, difference: String) {
        self.0.push(difference);
    }

    fn compare<T: PartialEq + Debug>(&mut self, what: &str, expected: &T, found: &T) {
        if expected != found {
            self.add(format!("{what}: expected {expected:?}, found {found:?}"));
        }
    }

    /// Shows both lists, from where they differ.
    fn lines(&mut self, what: &str, expected: &[String], found: &[String]) {
        if expected == found {
            return;
        }
        let same = expected.iter().zip(found).take_while(|(expected, found)| expected == found).count();
        let list = |sign: char, lines: &[String]| -> String {
            lines.iter().skip(same).map(|line| format!("\n    {sign} {line}")).collect()
        };
        let (missing, surplus) = (list('-', expected), list('+', found));
        self.add(format!("{what}: after {same} lines, expected (-) and found (+):{missing}{surplus}"));
    }

    fn bytes(&mut self, what: &str, expected: Option<&Bytes>, found: &[u8]) {
        let Some(Bytes(expected)) = expected else { return };
        if expected != found {
            let (expected, found) = (expected.escape_ascii(), found.escape_ascii());
            self.add(format!("{what}: expected \"{expected}\", found \"{found}\""));
        }
    }

    fn headers(&mut self, what: &str, expected: &[Header], found: &HeaderMap) {
        let mut values: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for header in expected {
            values.entry(&header.name).or_default().push(header.value.clone());
        }
        for (name, values) in values {
            self.compare(&format!("{what} {name}"), &values, &found.all(name));
        }
    }

    fn absent(&mut self, what: &str, names: &[String], found: &HeaderMap) {
        for name in names {
            self.compare(&format!("{what} {name}"), &Vec::new(), &found.all(name));
        }
    }
}
