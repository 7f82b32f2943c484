//! Runs and audits proxy-wasm filters from a shell.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::{CommandFactory as _, FromArgMatches as _};

mod args;
mod audit;
mod report;
mod scene;
mod script;
mod show;
mod text;

/// How it went; the numbers are in `--help`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Fine = 0,
    Misbehaved = 1,
    Unusable = 2,
}

/// Why nothing could be run or audited, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}{}", advice.map(|advice| format!("\n{advice}")).unwrap_or_default())]
struct Refusal {
    what: String,
    cause: String,
    advice: Option<&'static str>,
}

fn main() -> ExitCode {
    let matches = args::Cli::command().get_matches();
    let done = match (args::Cli::from_arg_matches(&matches), matches.subcommand()) {
        (Ok(args::Cli { command: args::Command::Run(run) }), Some((_, matches))) => scene::run(&run, matches),
        (Ok(args::Cli { command: args::Command::Audit(audit) }), _) => audit::audit(&audit),
        (Err(error), _) => error.exit(),
        (Ok(_), None) => args::Cli::command().error(clap::error::ErrorKind::MissingSubcommand, "").exit(),
    };
    let verdict = done.and_then(|(output, verdict)| match anstream::stdout().write_all(output.as_bytes()) {
        // Whoever reads it has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Refusal {
            what: "cannot write the output".to_owned(),
            cause: error.to_string(),
            advice: None,
        }),
        _ => Ok(verdict),
    });
    let verdict = verdict.unwrap_or_else(|refusal| {
        let style = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        // There is nobody left to tell if that fails.
        let _ = writeln!(anstream::stderr(), "{style}error:{style:#} {refusal}");
        Verdict::Unusable
    });
    ExitCode::from(verdict as u8)
}
