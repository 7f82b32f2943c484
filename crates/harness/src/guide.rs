//! How to test a filter, by example.
//!
//! The filter of all examples is `examples/gate` in this crate's directory: it asks an HTTP service whose API key
//! a request carries, keeps the answers in shared data, and tells the upstream.
//!
//! # A first test
//!
//! [`artifact::build`](crate::artifact::build) makes the `.wasm`, [`Module`](crate::Module) compiles it once per
//! process, [`Envoy::builder`](crate::Envoy::builder) sets the scene. A request gives an
//! [`Exchange`](crate::Exchange), which shows what comes of it, now and later.
//!
//! ```
//! use proxy_wasm_harness::{Envoy, Module, artifact};
//!
//! let module = Module::from_bytes(&artifact::build(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gate"))?)?;
//! let envoy = Envoy::builder(&module).plugin_config("keys").start()?;
//! let reply = envoy.worker(0).get("/").send().reply();
//! assert_eq!(reply.map(|reply| (reply.status, reply.text())), Some((401, "a key is needed".to_owned())));
//! envoy.assert_clean();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A filter that calls out
//!
//! Call-outs go to a [`Cluster`](crate::Cluster). A [`healthy`](crate::Cluster::healthy) one is played by the test,
//! which finds the calls in [`Envoy::http_calls`](crate::Envoy::http_calls) and answers them when it wants to;
//! others answer by themselves, or fail. A timeout strikes when the test lets time pass.
//!
//! ```
//! use std::time::Duration;
//!
//! use proxy_wasm_harness::{Cluster, Envoy, HeaderMap, Module, State, artifact};
//!
//! let module = Module::from_bytes(&artifact::build(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gate"))?)?;
//! let envoy = Envoy::builder(&module).plugin_config("keys").cluster("keys", Cluster::healthy()).start()?;
//! let [known, slow] = ["k1", "k2"].map(|key| envoy.worker(0).get("/").header("x-api-key", key).send());
//! assert_eq!((known.state(), slow.state()), (State::Held, State::Held));
//!
//! let calls = envoy.http_calls();
//! assert_eq!(calls[0].headers().get("x-api-key"), Some("k1"));
//! calls[0].respond(200, HeaderMap::new(), "ann");
//! assert_eq!(known.forwarded_headers().as_ref().and_then(|headers| headers.get("x-owner")), Some("ann"));
//!
//! envoy.advance(Duration::from_millis(500));
//! assert_eq!(slow.reply().map(|reply| reply.status), Some(503));
//! envoy.assert_clean();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Workers and shared data
//!
//! Every worker has a VM, with memory of its own. What they share is visible to the test as well.
//!
//! ```
//! use std::time::Duration;
//!
//! use proxy_wasm_harness::{Answer, Cluster, Envoy, HeaderMap, Module, State, artifact};
//!
//! let module = Module::from_bytes(&artifact::build(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gate"))?)?;
//! let keys = Cluster::answering(|_| Answer::nothing().respond(200, HeaderMap::new(), "ann"));
//! let envoy = Envoy::builder(&module).plugin_config("keys").cluster("keys", keys).workers(3).start()?;
//! let send = |worker: usize| envoy.worker(worker).get("/").header("x-api-key", "k1").send();
//!
//! // Two that come at the same time both ask; later nobody does.
//! let both = [send(0), send(1)];
//! envoy.advance(Duration::from_millis(1));
//! assert_eq!(both.map(|exchange| exchange.state()), [State::Forwarded, State::Forwarded]);
//! assert_eq!(send(2).state(), State::Forwarded);
//! assert_eq!(envoy.http_calls().len(), 2);
//! assert_eq!(envoy.shared_data("k1").as_deref(), Some(b"ann".as_slice()));
//! envoy.assert_clean();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Faults
//!
//! A [`Fault`](crate::Fault) makes any host call go wrong: always or once, in one callback or all of them, with a
//! status or a trap. The filter should survive the first kind; the second kills its VM, and the test sees what
//! Envoy's clients would.
//!
//! ```
//! use proxy_wasm_harness::{Cause, Cluster, Envoy, Fault, Module, State, Status, artifact};
//!
//! let module = Module::from_bytes(&artifact::build(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gate"))?)?;
//! let envoy = Envoy::builder(&module).plugin_config("keys").cluster("keys", Cluster::healthy()).start()?;
//! let send = || envoy.worker(0).get("/").header("x-api-key", "k1").send();
//!
//! envoy.inject(Fault::on("proxy_http_call").nth(1).answers(Status::InternalFailure))?;
//! assert_eq!(send().reply().map(|reply| reply.status), Some(503));
//! assert_eq!(send().state(), State::Held, "the service is asked again");
//! envoy.assert_clean();
//!
//! envoy.inject(Fault::on("proxy_get_shared_data").traps())?;
//! assert_eq!(send().reply().map(|reply| reply.details), Some("wasm_fail_stream".to_owned()));
//! assert_eq!(envoy.worker(0).failure().map(|failure| failure.cause), Some(Cause::Fault));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Budgets
//!
//! A [`Cost`](crate::Cost) counts host calls and fuel, which is about one unit for each WebAssembly instruction. Both
//! are the same in every run, so that a test can set limits that a slow machine does not break. Most of what a
//! filter costs Envoy are the host calls that hand data to it.
//!
//! ```
//! use std::time::Duration;
//!
//! use proxy_wasm_harness::{Answer, Cluster, Envoy, HeaderMap, Module, artifact};
//!
//! let module = Module::from_bytes(&artifact::build(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gate"))?)?;
//! let keys = Cluster::answering(|_| Answer::nothing().respond(200, HeaderMap::new(), "ann"));
//! let envoy = Envoy::builder(&module).plugin_config("keys").cluster("keys", keys).start()?;
//! let cost_of_request = || {
//!     let exchange = envoy.worker(0).get("/").header("x-api-key", "k1").send();
//!     envoy.advance(Duration::from_millis(1));
//!     exchange.cost()
//! };
//! let (first, second) = (cost_of_request(), cost_of_request());
//! assert_eq!((first.count("proxy_http_call"), second.count("proxy_http_call")), (1, 0));
//! assert!(second.data_calls() <= 2 && second.fuel < first.fuel, "{first:?} {second:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Without Rust
//!
//! The command `proxy-wasm-harness` (feature `cli`) runs a `.wasm` of any language from a shell, with requests, peers,
//! time and budgets as arguments, and audits what it imports. The crate's README shows both.
