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
//! The [`guide`] has an example for everything that most filters need.
//!
//! [`artifact::build`] makes the `.wasm` from a crate, [`Module`] compiles it, [`Envoy::builder`] sets the scene,
//! [`Envoy::worker`] takes requests. An [`Exchange`] is a request and its response; it shows what happens to it
//! later as well. [`Envoy::advance`] lets time pass. [`Envoy::http_calls`], [`Envoy::grpc_calls`] and
//! [`Envoy::grpc_streams`] are the filter's call-outs, for the test to answer; or a [`Cluster`] answers them by
//! itself. A [`Fault`] makes any host call go wrong. With the feature `scenario`, the module `scenario` runs files of
//! requests and expected outcomes; the README shows how far they come to the same on Envoy. [`Envoy::trace`] tells what went on, and
//! [`Envoy::violations`] what would have crashed or hung real Envoy.
//!
//! Nothing is global: every test has an Envoy of its own, and tests run in parallel. Only compiled modules are
//! kept for the process. The same test gives the same result every time: time and randomness are virtual. A
//! filter that loops, allocates or calls the host without end dies of it, with a [`Failure`] that names the
//! callback, the [`Cause`] and the functions on the stack.
//!
//! [`Worker::connect`] opens a connection for a network filter. [`Envoy::add_plugin`] adds a second configuration,
//! [`Envoy::update_config`] changes one, [`Envoy::queue`] looks into a shared queue, and [`Module::audit`] tells
//! without running it which Envoys a module links on.
//!
//! # What is emulated
//!
//! ABI 0.2.1, 0.2.0 and 0.1.0, each with its own calls and types, and WASI as far as Envoy has it: logs, time and
//! ticks, header maps, bodies, trailers, metadata, local responses, closing, pausing and continuing streams,
//! properties and filter state, metrics, shared data and shared queues, effective contexts, foreign functions,
//! HTTP calls, unary gRPC calls and gRPC streams with their timeouts and every way of failing, configuration, and
//! network filters in front of a TCP proxy. Envoy's life cycle: base, canary,
//! main thread and workers, several plugins in one VM, configuration updates, singletons, contexts that only log,
//! delayed ends of root contexts, and the failure policies with their back-off.
//!
//! What links but does nothing yet answers [`Status::Unimplemented`] and says so in the trace:
//! `envoy_resolve_dns`, which no SDK offers.
//!
//! Of Envoy's foreign functions there are `declare_property`, `set_envoy_filter_state` for the keys that Envoy
//! documents, `compress` and `uncompress`, and `clear_route_cache`, which has no effect because there are no
//! routes. Those that need a signature library or CEL are not there (`sign`, `verify_signature`, `expr_create`,
//! `expr_evaluate`, `expr_delete`): like a name that Envoy does not know, they answer [`Status::NotFound`], and
//! the trace tells the difference. [`Builder::foreign_function`] puts others in their place.
//!
//! Each request passes one filter: there are no routes and no other filters, and Envoy's own headers, such as
//! `x-request-id`, are not added, to call-outs and their answers neither. Threads take turns, in the order in which things were asked for; a filter that
//! depends on another order of them is one that would sometimes fail in Envoy.

pub mod artifact;
pub mod guide;
#[cfg(feature = "scenario")]
pub mod scenario;

mod abi;
mod action;
mod audit;
mod builder;
mod callback;
mod callout;
mod connection;
mod cost;
mod envoy;
mod error;
mod exchange;
mod fault;
mod foreign;
mod header_map;
mod http;
mod installed;
mod limits;
mod log;
mod memory;
mod metrics;
mod module;
mod network;
mod pairs;
mod plugin;
mod post;
mod property;
mod queue;
mod reply;
mod request;
mod root;
mod shared_data;
mod shared_queue;
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

pub use audit::{Audit, ImportAudit, Links};
pub use builder::Builder;
pub use callout::{Answer, Callout, CalloutKind, Cluster, GrpcCall, GrpcStream, HttpCall};
pub use connection::{Connection, ConnectionBuilder};
pub use cost::Cost;
pub use envoy::Envoy;
pub use error::{Cause, Failure, ModuleError, StartError};
pub use exchange::{Exchange, Response, State};
pub use fault::Fault;
pub use header_map::{HeaderMap, Of};
pub use installed::Plugin;
pub use log::{Level, Log};
pub use module::Module;
pub use plugin::{FailurePolicy, PluginConfig};
pub use property::Property;
pub use queue::Queue;
pub use reply::LocalReply;
pub use request::RequestBuilder;
/// The macro and type of JSON, for properties.
pub use serde_json::{Value, json};
pub use status::Status;
pub use thread::Thread;
pub use trace::{Event, What};
pub use violation::{Rule, Violation};
pub use worker::Worker;
