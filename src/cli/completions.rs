//! `completions` and `man`: both generated from the arguments themselves.

use std::io::{self, Write as _};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::output::Output;
use super::{Cli, Failure};

/// Arguments of `completions`.
#[derive(Args, Debug)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, out: &Output) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "portcullis", &mut script);
        out.bytes(&script)
    }
}

/// The manual page: the overview, then every verb.
pub(super) fn man(out: &Output) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    verbs(&command, "PORTCULLIS", &mut page)?;
    out.bytes(&page)
}

fn verbs(command: &Command, path: &str, page: &mut Vec<u8>) -> io::Result<()> {
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let path = format!("{path} {}", verb.get_name().to_uppercase());
        let man = Man::new(verb.clone());
        writeln!(page, ".SH \"{path}\"")?;
        man.render_description_section(page)?;
        man.render_synopsis_section(page)?;
        man.render_options_section(page)?;
        verbs(verb, &path, page)?;
    }
    Ok(())
}
