//! What can be asked for.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use proxy_wasm_harness::{FailurePolicy, Level, Property};

use crate::script::Peer;
use crate::text;

/// Tries proxy-wasm filters without Envoy, which it behaves like: version 1.40, with all of its threads.
#[derive(Debug, Parser)]
#[command(
    name = "proxy-wasm-harness",
    version,
    arg_required_else_help = true,
    max_term_width = 110,
    after_help = EXIT_CODES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  the filter did nothing wrong, and stayed within its budgets
  1  it did what real Envoy would crash or hang over, a VM of it died, or a request cost too much;
     of an audit: it does not link
  2  it could not be run: wrong arguments, a file that cannot be read, or a module or
     configuration that Envoy would refuse";

// A paragraph is one line, which clap wraps.
const RUN_HELP: &str = "\
Requests and the passing of time happen in the order in which they are given. An option for requests that stands \
behind a --request holds for that one, before the first --request for all of them.

Time is virtual and stands still but for --advance. Peers answer one millisecond after they are asked, so that a \
request that waits for a call-out needs an --advance behind it.

What a request costs is counted in the callbacks of its own context; the answers to its call-outs are the root \
context's, and are in what the thread has cost in all.

Examples:
  proxy-wasm-harness run filter.wasm --config filter.json \\
      --request 'GET /' --header 'x-user: ann'
  proxy-wasm-harness run gate.wasm --config-text auth --cluster 'auth=200 ann' --trace \\
      --request 'GET /' --header 'x-api-key: k1' --advance 1ms
  proxy-wasm-harness run filter.wasm --workers 2 --max-host-calls 10 --json \\
      --request 'POST /' --body @body.json --worker 1";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a filter, sends requests through it, and tells what comes of them
    #[command(after_help = EXIT_CODES, after_long_help = format!("{RUN_HELP}\n\n{EXIT_CODES}"))]
    Run(Box<Run>),
    /// Tells without running it what a filter needs of its host, and which Envoys it links on
    #[command(after_help = EXIT_CODES)]
    Audit(Audit),
}

#[derive(Args, Debug)]
pub(crate) struct Audit {
    /// The .wasm file
    pub(crate) filter: PathBuf,
    /// Also fail unless it links on this version of Envoy, from 1.36 to 1.40
    #[arg(long, value_name = "1.MINOR", value_parser = envoy)]
    pub(crate) envoy: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn envoy(text: &str) -> Result<u32, String> {
    let minor = text.strip_prefix("1.").and_then(|minor| minor.parse().ok());
    let known = minor.filter(|minor| (36..=40).contains(minor));
    known.ok_or_else(|| "only 1.36 to 1.40 are known".to_owned())
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    /// The .wasm file
    pub(crate) filter: PathBuf,

    /// The plugin's configuration, from a file
    #[arg(long, value_name = "FILE", value_parser = text::file, conflicts_with = "config_text")]
    pub(crate) config: Option<Bytes>,
    /// The plugin's configuration
    #[arg(long, value_name = "TEXT")]
    pub(crate) config_text: Option<String>,
    /// The VM's configuration
    #[arg(long, value_name = "TEXT|@FILE", value_parser = text::bytes)]
    pub(crate) vm_config: Option<Bytes>,
    /// The plugin's name
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) plugin_name: String,
    /// The name of the root context
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) root_id: String,
    /// An environment variable of the filter
    #[arg(long, value_name = "KEY=VALUE", value_parser = text::assignment)]
    pub(crate) env: Vec<(String, String)>,
    /// The number of worker threads; the main thread comes on top
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) workers: u16,
    /// A cluster for call-outs: `healthy` never answers, `no-hosts` fails at once, `reset` cuts, `echo` answers
    /// with what it is sent, and a status, perhaps with a body, is the answer to HTTP calls
    #[arg(long, value_name = "NAME[=healthy|no-hosts|reset|echo|STATUS [BODY]]", value_parser = Peer::parse)]
    pub(crate) cluster: Vec<(String, Peer)>,
    /// What happens to requests once a VM has died
    #[arg(long, value_name = "POLICY", default_value = "closed")]
    pub(crate) failure_policy: Policy,

    /// Sends a request
    #[arg(long, value_name = "METHOD PATH", value_parser = text::request, help_heading = "What happens, in order")]
    pub(crate) request: Vec<(String, String)>,
    /// Lets time pass: 500ms, 5s, 2m, 1h
    #[arg(long, value_name = "TIME", value_parser = text::duration, help_heading = "What happens, in order")]
    pub(crate) advance: Vec<Duration>,

    #[command(flatten)]
    pub(crate) parts: Parts,

    /// Fail if a request uses more fuel, which is roughly one unit for each WebAssembly instruction
    #[arg(long, value_name = "N", help_heading = "Budgets and limits")]
    pub(crate) max_fuel: Option<u64>,
    /// Fail if a request makes more host calls
    #[arg(long, value_name = "N", help_heading = "Budgets and limits")]
    pub(crate) max_host_calls: Option<u64>,
    /// Fail if a request makes more data calls: host calls that hand data to the filter, which cost the most
    #[arg(long, value_name = "N", help_heading = "Budgets and limits")]
    pub(crate) max_data_calls: Option<u64>,
    /// The fuel after which a callback is killed as an endless loop
    #[arg(long, value_name = "N", default_value_t = 2_000_000_000, help_heading = "Budgets and limits")]
    pub(crate) fuel: u64,
    /// The bytes that a VM's memory may grow to
    #[arg(long, value_name = "BYTES", default_value = "1GiB", value_parser = text::size,
        help_heading = "Budgets and limits")]
    pub(crate) memory: usize,

    /// The level from which on logs are shown
    #[arg(long, value_name = "LEVEL", default_value = "info", help_heading = "Output")]
    pub(crate) log_level: LogLevel,
    /// Print every callback and host call
    #[arg(long, help_heading = "Output")]
    pub(crate) trace: bool,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// What belongs to a request.
#[derive(Args, Debug)]
#[command(next_help_heading = "Requests: behind a --request for that one, before the first for all")]
pub(crate) struct Parts {
    /// A header; :authority and the like are replaced
    #[arg(long, value_name = "NAME: VALUE", value_parser = text::header)]
    pub(crate) header: Vec<(String, String)>,
    /// The body
    #[arg(long, value_name = "TEXT|@FILE", value_parser = text::bytes)]
    pub(crate) body: Vec<Bytes>,
    /// A trailer
    #[arg(long, value_name = "NAME: VALUE", value_parser = text::header)]
    pub(crate) trailer: Vec<(String, String)>,
    /// A property, such as request.id='"r1"' or metadata.filter_metadata."envoy.filters.http.jwt_authn".sub='"ann"';
    /// numbers are whole, but in metadata, where Envoy has doubles
    #[arg(long, value_name = "PATH=JSON", value_parser = text::property)]
    pub(crate) property: Vec<(Vec<String>, Property)>,
    /// The worker that it comes in at, from zero
    #[arg(long, value_name = "N")]
    pub(crate) worker: Vec<usize>,
    /// The upstream answers with this status as soon as the request is forwarded; without it, the response stays out
    #[arg(long, value_name = "STATUS", value_parser = text::status)]
    pub(crate) respond: Vec<u32>,
    /// A header of the upstream's answer
    #[arg(long, value_name = "NAME: VALUE", value_parser = text::header)]
    pub(crate) respond_header: Vec<(String, String)>,
    /// The body of the upstream's answer
    #[arg(long, value_name = "TEXT|@FILE", value_parser = text::bytes)]
    pub(crate) respond_body: Vec<Bytes>,
}

/// Bytes that are one value of an argument; clap takes a `Vec` for several.
pub(crate) type Bytes = std::sync::Arc<[u8]>;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Policy {
    Closed,
    Open,
    LegacyOpen,
    Reload,
}

impl From<Policy> for FailurePolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Closed => Self::Closed,
            Policy::Open => Self::Open,
            Policy::LegacyOpen => Self::LegacyOpen,
            Policy::Reload => Self::Reload,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Trace => Self::Trace,
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warn => Self::Warn,
            LogLevel::Error => Self::Error,
            LogLevel::Critical => Self::Critical,
        }
    }
}
