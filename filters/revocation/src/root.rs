//! One worker: its configuration, its stream to the control plane, and what that stream brings.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use portcullis_core::Gate;
use portcullis_core::gate::{Effects, Identity};
use portcullis_core::live::{StreamId, Verified};
use portcullis_core::policy::{ControlPlane, Policy, TokenSource};
use portcullis_core::reply::Asked;
use portcullis_core::sync::MAX_MESSAGE_BYTES;
use portcullis_core::verdict::{Code, Verdict};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::metrics::Metrics;
use crate::{clock, host, http, request};

/// Ticks while something is waited for, and otherwise, milliseconds.
const IMPATIENT: u32 = 50;
const PATIENT: u32 = 1_000;
/// How soon after the configuration the first attempt to connect is made. Not at once: the first VM with a
/// new configuration is a trial that Envoy throws away, and no stream may be opened in it.
const FIRST_TICK: u32 = 5;
/// Where the workers of one process agree on its name.
const PROCESS_KEY: &str = "portcullis.process";

/// The root context.
pub(crate) struct Root {
    context: u32,
    worker: Option<Worker>,
    period: u32,
}

/// What a valid configuration has set up.
struct Worker {
    gate: Rc<RefCell<Gate>>,
    metrics: Metrics,
    control_plane: ControlPlane,
    /// The gRPC target of the control plane's cluster.
    target: String,
    stream: Option<u32>,
    named: bool,
}

impl Root {
    pub(crate) fn new(context: u32) -> Self {
        Self { context, worker: None, period: 0 }
    }

    fn configure(&self) -> Result<Worker, String> {
        let policy = Policy::parse(&host::configuration()).map_err(|error| error.to_string())?;
        let control_plane = policy.control_plane.clone();
        let target = control_plane.target().map_err(|error| error.to_string())?;
        let random = || getrandom::u64().map_err(|error| format!("no randomness: {error}"));
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(|error| format!("no randomness: {error}"))?;
        let identity = Identity {
            node: node_id(),
            process: String::new(),
            worker: format!("{:016x}", random()?),
            filter_version: env!("CARGO_PKG_VERSION").into(),
        };
        let gate = Gate::new(policy, identity, secret, random()?, clock::now());
        Ok(Worker {
            gate: Rc::new(RefCell::new(gate)),
            metrics: Metrics::new(random()?),
            control_plane,
            target,
            stream: None,
            named: false,
        })
    }

    /// Lets the worker go, and with it what the outside has of it.
    fn retire(&mut self) {
        let Some(mut worker) = self.worker.take() else { return };
        worker.metrics.withdraw();
        if let Some(stream) = worker.stream {
            host::cancel(stream);
        }
    }

    fn set_period(&mut self, period: u32) {
        if self.period != period && host::set_tick_period(period).is_ok() {
            self.period = period;
        }
    }

    /// Runs one step of the worker, then does what the gate asks for.
    fn step(&mut self, step: impl FnOnce(&mut Worker) -> Effects) {
        let Some(worker) = self.worker.as_mut() else { return };
        let effects = step(worker);
        worker.perform(effects);
        // Whatever is called from here on is not about one of the streams.
        let _ = host::set_effective_context(self.context);
        let impatient = worker.gate.borrow().is_impatient();
        self.set_period(if impatient { IMPATIENT } else { PATIENT });
    }
}

impl Worker {
    fn perform(&mut self, effects: Effects) {
        for note in &effects.notes {
            let level = if note.is_warning() { log::Level::Warn } else { log::Level::Info };
            log::log!(level, "{note}");
        }
        if effects.disconnect
            && let Some(stream) = self.stream.take()
        {
            host::cancel(stream);
        }
        self.send(&effects.send);
        if let Some(millis) = effects.propagation {
            self.metrics.propagation(millis);
        }
        self.end_streams(effects.cut, &effects.reread);
        self.release(&effects.retry);
        if effects.connect {
            self.connect();
        }
    }

    fn send(&mut self, messages: &[Vec<u8>]) {
        let Some(stream) = self.stream else { return };
        for message in messages {
            if let Err(status) = host::send(stream, message) {
                // The close callback follows and leads to another attempt.
                log::warn!("the control plane's stream takes no message: {status:?}");
                return;
            }
        }
    }

    fn end_streams(&mut self, mut cut: BTreeMap<StreamId, Code>, reread: &[Verified]) {
        let mut gate = self.gate.borrow_mut();
        for again in reread {
            let Some(TokenSource::JwtAuthn(key)) = gate.policy().tokens.get(again.place).cloned() else {
                continue;
            };
            if host::set_effective_context(again.stream).is_err() {
                continue;
            }
            if let Some(code) = gate.reread(again.token, |claim| request::verified_claim(&key, claim)) {
                cut.entry(again.stream).or_insert(code);
            }
        }
        let mut ended = 0;
        for (stream, code) in cut {
            // A stream that has ended meanwhile is gone for the host.
            if host::set_effective_context(stream).is_ok() {
                request::end(&gate, code, Asked::default());
                ended += 1;
            }
        }
        drop(gate);
        self.metrics.streams_cut(ended);
    }

    /// Decides held requests again.
    fn release(&self, held: &[StreamId]) {
        let mut gate = self.gate.borrow_mut();
        for stream in held {
            if host::set_effective_context(*stream).is_err() {
                gate.leave(*stream, &portcullis_core::gate::Attached::default());
                continue;
            }
            let (verdict, attached) = request::decide(&mut gate, *stream);
            gate.park(*stream, attached);
            if verdict != Verdict::Hold
                && request::act(&gate, verdict)
                && let Err(status) = host::resume_request()
            {
                log::error!("a held request cannot be resumed: {status:?}");
            }
        }
    }

    /// One attempt, and never a second one in the same callback.
    fn connect(&mut self) {
        if !self.named {
            let Some(process) = process_name() else { return };
            self.gate.borrow_mut().set_process(process);
            self.named = true;
        }
        match host::open_stream(&self.target, self.control_plane.token.as_deref()) {
            Ok(stream) => {
                self.stream = Some(stream);
                let effects = self.gate.borrow_mut().opened();
                self.send(&effects.send);
            }
            Err(reason) => {
                log::warn!("cluster `{}`: {reason}", self.control_plane.cluster);
                self.gate.borrow_mut().closed();
            }
        }
    }
}

impl Context for Root {
    fn on_grpc_stream_message(&mut self, stream: u32, size: usize) {
        self.step(|worker| {
            if worker.stream != Some(stream) {
                return Effects::default();
            }
            // The first byte too many is enough for the gate to refuse it.
            let message = host::grpc_message(size.min(MAX_MESSAGE_BYTES + 1));
            worker.gate.borrow_mut().receive(&message, host::unix_millis())
        });
    }

    fn on_grpc_stream_close(&mut self, stream: u32, status: u32) {
        let said = host::close_message();
        // Envoy keeps a pointer to a stream that the other side has ended, unless it is cancelled here.
        host::cancel(stream);
        self.step(|worker| {
            if worker.stream == Some(stream) {
                worker.stream = None;
                let advice = match status {
                    // UNAUTHENTICATED; of a refusal with another status, the control plane says all there is.
                    16 => "; check `control_plane.token`: a key with the scope `edge`",
                    _ => "",
                };
                log::warn!("the control plane's stream has ended with gRPC status {status}: {said}{advice}");
                worker.gate.borrow_mut().closed();
            }
            Effects::default()
        });
    }
}

/// The configuration is no longer in use: its context is deleted.
impl Drop for Root {
    fn drop(&mut self) {
        self.retire();
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        proxy_wasm::set_log_level(host::log_level());
        match self.configure() {
            Ok(worker) => {
                self.retire();
                self.worker = Some(worker);
                self.set_period(FIRST_TICK);
                true
            }
            Err(reason) => {
                log::error!("portcullis: {reason}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let now = clock::now();
        self.step(|worker| {
            let mut gate = worker.gate.borrow_mut();
            let effects = gate.tick(now);
            worker.metrics.flush(&mut gate);
            effects
        });
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        // Without a valid configuration Envoy never gets here; the SDK would panic, and Envoy fail closed.
        let worker = self.worker.as_ref()?;
        Some(Box::new(http::Request::new(context, Rc::clone(&worker.gate))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// Envoy's node id, empty when the bootstrap has none.
fn node_id() -> String {
    host::property(["xds", "node", "id"]).and_then(|id| String::from_utf8(id).ok()).unwrap_or_default()
}

/// The name that all workers of this process agree on. The first one to find none writes one; every one
/// reads it again on a later tick, so that two that wrote at once agree on the last.
fn process_name() -> Option<String> {
    let known = host::shared_data(PROCESS_KEY).0.and_then(|name| String::from_utf8(name).ok());
    if known.is_some() {
        return known;
    }
    match getrandom::u64() {
        Ok(name) => {
            let name = format!("{name:016x}");
            if let Err(status) = host::set_shared_data(PROCESS_KEY, name.as_bytes(), 0) {
                log::warn!(
                    "shared data is refused ({status:?}): each worker is listed as an edge of its own"
                );
                return Some(name);
            }
        }
        Err(error) => log::error!("no randomness: {error}"),
    }
    None
}
