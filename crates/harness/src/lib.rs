//! Tests proxy-wasm filters without Envoy: a stateful host on wasmtime that behaves as Envoy 1.40 does.
//!
//! It loads the `.wasm` that is going to be deployed, in whatever language it was written, and runs it as Envoy
//! would: a canary, a VM on the main thread and one per worker, a clock that moves when the test says so,
//! requests that are held, answered, cut and released, gRPC streams whose peer is the test. A test looks at
//! what comes out, not at which host calls were made.
//!
//! ```
//! use std::time::Duration;
//!
//! use proxy_wasm_harness::{Cluster, Envoy, Module, State, artifact};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A filter that greets its users, and turns away those that a control plane has banned.
//! let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/filters/hello");
//! let module = Module::from_bytes(&artifact::build(filter)?)?;
//! let envoy = Envoy::builder(&module)
//!     .plugin_config("hi")
//!     .workers(2)
//!     .cluster("controlplane", Cluster::healthy())
//!     .start()?;
//!
//! // A request goes through, with the filter's changes, and its response stays open.
//! let ann = envoy.worker(0).get("/news").header("x-user", "ann").send();
//! assert_eq!(ann.forwarded_headers().as_ref().and_then(|headers| headers.get("x-greeting")), Some("hi, ann"));
//! ann.respond(200, [("content-type", "text/event-stream")]);
//! assert_eq!(ann.state(), State::Forwarded);
//!
//! // On a tick the filter connects to its control plane, once per VM. That bans somebody.
//! envoy.advance(Duration::from_secs(1));
//! assert_eq!(envoy.grpc_streams().len(), 3);
//! for stream in envoy.grpc_streams() {
//!     stream.send("ann");
//! }
//!
//! // What was open is cut, and what comes is answered.
//! assert_eq!(ann.state(), State::Reset);
//! let again = envoy.worker(1).get("/news").header("x-user", "ann").send();
//! assert_eq!(again.reply().map(|reply| (reply.status, reply.text())), Some((403, "banned".to_owned())));
//! assert!(again.cost().data_calls() <= 1, "{}", again.trace());
//! envoy.assert_clean();
//! # Ok(())
//! # }
//! ```
//!
//! # Where to begin
//!
//! [`artifact::build`] makes the `.wasm` from a crate, [`Module`] compiles it, [`Envoy::builder`] sets the scene,
//! [`Envoy::worker`] takes requests. An [`Exchange`] is a request and its response; it shows what happens to it
//! later as well. [`Envoy::advance`] lets time pass. [`Envoy::http_calls`], [`Envoy::grpc_calls`] and
//! [`Envoy::grpc_streams`] are the filter's call-outs, for the test to answer; or a [`Cluster`] answers them by
//! itself. A [`Fault`] makes any host call go wrong. [`Envoy::trace`] tells what went on, and
//! [`Envoy::violations`] what would have crashed or hung real Envoy.
//!
//! Nothing is global: every test has an Envoy of its own, and tests run in parallel. Only compiled modules are
//! kept for the process. The same test gives the same result every time: time and randomness are virtual. A
//! filter that loops, allocates or calls the host without end dies of it, with a [`Failure`] that names the
//! callback, the [`Cause`] and the functions on the stack.
//!
//! # What is emulated
//!
//! Logs, time and ticks, header maps, bodies, trailers, local responses, closing, pausing and continuing
//! streams, properties and filter state, metrics, shared data, effective contexts, HTTP calls, unary gRPC calls
//! and gRPC streams with their timeouts and every way of failing, configuration, the failure policies, and WASI
//! as far as Envoy has it. What links but does nothing yet answers [`Status::Unimplemented`] and says so in the
//! trace: shared queues. Foreign functions are all unknown. There are no routes and no other filters, and
//! Envoy's own headers, such as `x-request-id`, are not added, to call-outs and their answers neither. Of ABI
//! 0.1.0, modules load, and their headers come as they expect them.

pub mod artifact;

mod abi;
mod action;
mod builder;
mod callback;
mod callout;
mod cost;
mod envoy;
mod error;
mod exchange;
mod fault;
mod header_map;
mod http;
mod limits;
mod log;
mod memory;
mod metrics;
mod module;
mod pairs;
mod plugin;
mod property;
mod reply;
mod request;
mod shared_data;
mod start;
mod state;
mod status;
mod stream;
mod thread;
mod trace;
mod violation;
mod vm;
mod wasi;
mod worker;
mod world;

pub use builder::Builder;
pub use callout::{Answer, Callout, CalloutKind, Cluster, GrpcCall, GrpcStream, HttpCall};
pub use cost::Cost;
pub use envoy::Envoy;
pub use error::{Cause, Failure, ModuleError, StartError};
pub use exchange::{Exchange, Response, State};
pub use fault::Fault;
pub use header_map::{HeaderMap, Of};
pub use log::{Level, Log};
pub use module::Module;
pub use plugin::FailurePolicy;
pub use property::Property;
pub use reply::LocalReply;
pub use request::RequestBuilder;
/// The macro and type of JSON, for properties.
pub use serde_json::{Value, json};
pub use status::Status;
pub use thread::Thread;
pub use trace::{Event, What};
pub use violation::{Rule, Violation};
pub use worker::Worker;
