//! The command line: one verb per file.
//!
//! Every verb but `serve` is a client of the API and prints either for people or, with `--json`, exactly what
//! the API answered. [`Failure`] is the only error of a verb, and the only place that knows exit codes.

mod check;
mod completions;
mod config;
mod dev;
mod doctor;
mod edges;
mod events;
mod exit;
mod import;
mod inlet;
mod issuers;
mod key;
mod list;
mod output;
mod parse;
mod remote;
mod report;
mod revoke;
pub mod serve;
mod show;
mod ssf;
mod table;
mod take_back;
mod time;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

pub use exit::{Exit, Failure};
use output::Output;
use remote::Remote;

/// Cuts a user's, a session's or a token's access at every Envoy while its JWT is still valid
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = EXIT_CODES
)]
pub struct Cli {
    #[command(flatten)]
    remote: Remote,

    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the control plane said no, part of the work was refused, or doctor found something
  2  wrong usage or configuration
  3  the control plane cannot be reached
  4  the key is missing, wrong, or may not do this
  5  accepted, but not enforced everywhere in time (--wait)";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the control plane
    Serve(serve::Serve),
    /// Revoke a session, a user, a token, an application, an issuer, a signing key, or any claims
    Revoke(revoke::Revoke),
    /// Accept tokens issued from now on; older ones stay rejected
    Reinstate(take_back::TakeBackArgs),
    /// Take a mistaken revocation back: the old tokens work again
    Undo(take_back::TakeBackArgs),
    /// List revocations, newest first
    List(list::List),
    /// Say whether a token would be rejected, by what, and since when
    Check(check::Check),
    /// List the edges, their workers, and how far behind they are
    Edges(edges::Edges),
    /// Show the audit trail
    Events(events::Events),
    /// Report whose access was ended, by whom, which edges enforce it, and what was tried afterwards
    Report(report::Report),
    /// Revoke everything in a file of NDJSON, one revocation per line
    Import(import::Import),
    /// Create, list and delete API keys
    Key(key::KeyArgs),
    /// List the configured issuers and their keys
    Issuers(issuers::Issuers),
    /// Try what an identity provider's message would do
    Inlet(inlet::InletArgs),
    /// Manage streams of security events at their transmitters (Shared Signals)
    Ssf(ssf::SsfArgs),
    /// Print configurations for what enforces
    Config(config::Config),
    /// Look for what is wrong, at the control plane and at Envoys, and say what to do
    Doctor(doctor::Doctor),
    /// Make certificates, an issuer and its tokens, to try things out without a provider
    Dev(dev::Dev),
    /// Print a completion script for a shell
    Completions(completions::Completions),
    /// Print the manual page, in roff
    Man,
}

/// Parses the command line, runs the verb, reports what went wrong, and says how the process ends.
#[must_use]
pub fn main() -> ExitCode {
    Cli::try_parse().unwrap_or_else(|error| without_environment(error).exit()).run()
}

/// The usage in the error about what is missing names every option that has a value, also from the environment, as if it
/// had to be given: the same error of a command that does not know the environment does not.
fn without_environment(error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::MissingRequiredArgument {
        return error;
    }
    let again = ignoring_environment(Cli::command()).try_get_matches_from(std::env::args_os());
    again.err().filter(|again| again.kind() == error.kind()).unwrap_or(error)
}

fn ignoring_environment(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| argument.env(None::<&str>)).mut_subcommands(ignoring_environment)
}

impl Cli {
    /// Runs the verb.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let out = Output::new(self.remote.json);
        let remote = &self.remote;
        let done = match self.verb {
            Verb::Serve(serve) => return serve::run(serve),
            Verb::Revoke(verb) => verb.run(remote, &out),
            Verb::Reinstate(verb) => verb.reinstate(remote, &out),
            Verb::Undo(verb) => verb.undo(remote, &out),
            Verb::List(verb) => verb.run(remote, &out),
            Verb::Check(verb) => verb.run(remote, &out),
            Verb::Edges(verb) => verb.run(remote, &out),
            Verb::Events(verb) => verb.run(remote, &out),
            Verb::Report(verb) => verb.run(remote, &out),
            Verb::Import(verb) => verb.run(remote, &out),
            Verb::Key(verb) => verb.run(remote, &out),
            Verb::Issuers(verb) => verb.run(remote, &out),
            Verb::Inlet(verb) => verb.run(remote, &out),
            Verb::Ssf(verb) => verb.run(remote, &out),
            Verb::Config(verb) => verb.run(remote, &out),
            Verb::Doctor(verb) => verb.run(remote, &out),
            Verb::Dev(verb) => verb.run(&out),
            Verb::Completions(verb) => verb.run(&out),
            Verb::Man => completions::man(&out),
        };
        match done {
            Ok(()) => Exit::Ok.into(),
            Err(failure) => failure.report(&out).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
