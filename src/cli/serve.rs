//! `serve`: runs the control plane.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::output::Output;
use super::{Exit, Failure};
use crate::config::Config;
use crate::control::CreatedKey;
use crate::serve::{Plaintext, ServeError, serve};
use crate::shutdown;
use crate::traces::Traces;

/// Arguments of `serve`.
#[derive(clap::Args, Debug)]
pub struct Serve {
    /// Configuration file [default: portcullis.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Listen at addresses that other machines can reach, although there is no TLS
    #[arg(long)]
    allow_plaintext: bool,

    /// How to log, on stderr
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,

    /// What to log: error, warn, info, debug, trace, or a filter such as portcullis=debug
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "LEVEL")]
    log_level: String,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One object per line
    Json,
}

/// Runs the control plane until SIGTERM or SIGINT.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "as every verb is run")]
pub fn run(args: Serve) -> ExitCode {
    match try_run(&args) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => failure.report(&Output::new(false)).into(),
    }
}

fn try_run(args: &Serve) -> Result<(), Failure> {
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        // What is not Unicode is no variable of ours, or a value that will be refused.
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    });
    let (config, keys) = Config::load(args.config.as_deref(), environment)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let plaintext = if args.allow_plaintext { Plaintext::Anywhere } else { Plaintext::Loopback };
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))?;
    let traces = {
        // The exporter connects on it.
        let _entered = runtime.enter();
        Traces::to(&config.traces).map_err(|error| Failure::usage(error.to_string()))?
    };
    observe(args, &traces)?;
    let served = runtime.block_on(serve(config, keys, plaintext, announce, shutdown::requested()));
    traces.end();
    served.map_err(|error| failure(&error))
}

/// Has what happens written to stderr, and traces exported.
fn observe(args: &Serve, traces: &Traces) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&args.log_level)
        .map_err(|error| Failure::usage(format!("--log-level {}: {error}", args.log_level)))?;
    let log = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let log = match args.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(log.with_filter(filter)).with(traces.layer()).init();
    Ok(())
}

fn failure(error: &ServeError) -> Failure {
    let exit = match error {
        // What the configuration names is wrong.
        ServeError::Plaintext { .. }
        | ServeError::Authorities(_)
        | ServeError::Module(_)
        | ServeError::Tls(_) => Exit::Usage,
        _ => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}

/// The only time that the key is shown. Written to stdout, apart from the log.
fn announce(created: &CreatedKey) {
    let text = created.text.reveal();
    let rule = "=".repeat(text.len() + 16);
    let lines = format!(
        "{rule}\nFirst admin key: {text}\nIt is not shown again. Use it as PORTCULLIS_KEY.\n{rule}\n"
    );
    // An operator who closed stdout can set PORTCULLIS_ADMIN_KEY.
    let _ = std::io::stdout().lock().write_all(lines.as_bytes());
}
