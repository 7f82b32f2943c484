//! Scenarios: files that say what a filter is sent and what is to come of it, for any host that can run them.
//!
//! A scenario is a TOML file: a filter, its configuration, steps, and the expected outcome. [`Scenario::run`]
//! carries it out in the harness. Another executor, such as one for a real Envoy, carries out the same steps,
//! gathers an [`Outcome`], and has [`Scenario::check`] compare it with the same expectation.
//!
//! ```
//! use proxy_wasm_harness::scenario::Scenario;
//! use proxy_wasm_harness::{Module, artifact};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scenario = Scenario::parse(
//!     "greeting.toml",
//!     r#"
//!     title = "A user is greeted"
//!     area = "headers"
//!     filter = "hello"
//!     config = "hi"
//!
//!     [[step]]
//!     request = { path = "/news", headers = ["x-user: ann"], answer = { status = 204 } }
//!
//!     [[expect.exchange]]
//!     end = "complete"
//!     status = 204
//!     upstream = { headers = ["x-greeting: hi, ann"] }
//!     "#,
//! )?;
//! let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/filters/hello");
//! let module = Module::from_bytes(&artifact::build(filter)?)?;
//! scenario.run(&module)?.assert_passed();
//! # Ok(())
//! # }
//! ```
//!
//! # The file
//!
//! Unknown keys are errors. Headers are written as `"name: value"`; bodies and messages as text, or as
//! `{ hex = "00ff" }`; times as `"100ms"` or `"2s"`. The types of this module document every key, by its name.
//!
//! A step is done when everything that it leads to at once has happened; what a timer leads to is awaited with
//! [`Step::Wait`]. What a peer does, it does about every call-out to its cluster, as every VM of an Envoy makes
//! its own. Everything else happens on the worker that a request names.
//!
//! Two things are the same on every host: `x-forwarded-proto: http`, which Envoy adds to requests, is there,
//! and `date` and `server`, which it adds to responses, are left out.

mod error;
mod expect;
mod format;
mod outcome;
mod peers;
mod run;
mod step;
mod text;

pub use error::ScenarioError;
pub use expect::{Expect, ExpectedExchange, ExpectedPeer, ExpectedRequest, ExpectedUpstream, Report};
pub use format::{ClusterKind, Filter, Node, PluginSettings, Policy, Scenario};
pub use outcome::{CalloutEnd, End, ExchangeOutcome, Outcome, Received, Seen, level, log_line};
pub use step::{Answer, Close, Part, PeerStep, Request, Step, Wait};
pub use text::{Bytes, Header, Time};
