//! A run: an Envoy with the filter, and what happens to it.

use clap::ArgMatches;
use proxy_wasm_harness::{Builder, Envoy, Exchange, HeaderMap, Module, ModuleError, StartError};

use crate::args::Run;
use crate::report::Report;
use crate::script::{Draft, Step};
use crate::{Refusal, Verdict, show};

/// A request that was sent.
pub(crate) struct Sent {
    pub(crate) draft: Draft,
    pub(crate) exchange: Exchange,
    /// The headers as the filter got them.
    pub(crate) headers: HeaderMap,
    /// The headers of the upstream's answer, once it was given.
    pub(crate) answered: Option<HeaderMap>,
}

/// Runs the filter, and gives what to print.
pub(crate) fn run(run: &Run, matches: &ArgMatches) -> Result<(String, Verdict), Refusal> {
    let steps = run.steps(matches);
    let module = load(&run.filter)?;
    let envoy = start(run, &module)?;
    let mut sent = Vec::new();
    for step in steps {
        match step {
            Step::Send(draft) => sent.push(send(&envoy, draft)?),
            Step::Advance(time) => envoy.advance(time),
        }
        sent.iter_mut().for_each(answer);
    }
    let report = Report::new(run, &envoy, &sent);
    let verdict = if report.is_fine() { Verdict::Fine } else { Verdict::Misbehaved };
    let output = if run.json { show::json(&report) } else { show::report(&report) };
    Ok((output, verdict))
}

/// Reads a module.
pub(crate) fn load(path: &std::path::Path) -> Result<Module, Refusal> {
    Module::from_file(path).map_err(|error| {
        let advice = match &error {
            ModuleError::Malformed(_) => {
                Some("Give the .wasm that a compiler has made for wasm32-wasip1; text (.wat) must be assembled first.")
            }
            _ => None,
        };
        Refusal { what: path.display().to_string(), cause: error.to_string(), advice }
    })
}

fn start(run: &Run, module: &Module) -> Result<Envoy, Refusal> {
    let mut builder: Builder = Envoy::builder(module)
        .plugin_name(&run.plugin_name)
        .root_id(&run.root_id)
        .workers(run.workers.into())
        .failure_policy(run.failure_policy.into())
        .fuel_per_callback(run.fuel)
        .memory_limit(run.memory)
        .log_level(run.log_level.into());
    let config = run.config.as_deref().or(run.config_text.as_deref().map(str::as_bytes));
    builder = builder.plugin_config(config.unwrap_or_default());
    builder = builder.vm_config(run.vm_config.as_deref().unwrap_or_default());
    for (key, value) in &run.env {
        builder = builder.environment(key, value);
    }
    for (name, peer) in &run.cluster {
        builder = builder.cluster(name, peer.clone().into_cluster());
    }
    builder.start().map_err(|error| Refusal {
        what: format!("Envoy would not start {}", run.filter.display()),
        advice: advice(&error),
        cause: error.to_string(),
    })
}

fn advice(error: &StartError) -> Option<&'static str> {
    match error {
        StartError::Abi => Some("Build it with one of the proxy-wasm SDKs, which export the marker."),
        StartError::Import { .. } | StartError::Export { .. } => {
            Some("`proxy-wasm-harness audit` lists everything that does not fit.")
        }
        StartError::VmStart { .. } => Some("The VM's configuration is given with --vm-config."),
        StartError::Configure { .. } => Some("The configuration is given with --config or --config-text."),
        StartError::Trap(_) | StartError::Instantiate(_) => Some(
            "--fuel and --memory say how much a filter may use; --log-level debug shows more of what it says.",
        ),
        _ => None,
    }
}

fn send(envoy: &Envoy, draft: Draft) -> Result<Sent, Refusal> {
    let workers = envoy.workers();
    let worker = workers.get(draft.worker).ok_or_else(|| Refusal {
        what: format!("--worker {}", draft.worker),
        cause: format!("there are {} workers, counted from zero", workers.len()),
        advice: Some("--workers says how many there are."),
    })?;
    let mut request = worker.request(&draft.method, &draft.path);
    for (name, value) in &draft.headers {
        request = request.header(name, value);
    }
    for (name, value) in &draft.trailers {
        request = request.trailer(name, value);
    }
    for (path, value) in &draft.properties {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        request = request.property(&path, value.clone());
    }
    if let Some(body) = &draft.body {
        request = request.body(body);
    }
    let headers = request.headers().clone();
    Ok(Sent { exchange: request.send(), draft, headers, answered: None })
}

/// Lets the upstream answer, if it has been asked and has something to say.
fn answer(sent: &mut Sent) {
    let Some(status) = sent.draft.response.status else { return };
    if sent.answered.is_some() || sent.exchange.forwarded_headers().is_none() || !sent.exchange.is_open() {
        return;
    }
    let mut headers = HeaderMap::from([(":status", status.to_string())]);
    let mut others = HeaderMap::new();
    for (name, value) in &sent.draft.response.headers {
        headers.add(name, value);
        others.add(name, value);
    }
    sent.answered = Some(headers);
    let Some(body) = &sent.draft.response.body else {
        sent.exchange.respond_whole(status, others);
        return;
    };
    sent.exchange.respond(status, others);
    sent.exchange.respond_data(body);
    sent.exchange.finish();
}
