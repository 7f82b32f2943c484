//! All that is printed. Colors on a terminal only, and not with `NO_COLOR`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is what a demonstration is for")]

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Error;

use crate::steps::Step;

/// The voice of the demonstration.
pub(crate) struct Narrator {
    colors: bool,
}

#[derive(Clone, Copy)]
enum Color {
    Bold,
    Dim,
    Green,
    Red,
}

pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

pub(crate) fn usage() {
    eprintln!("usage: portcullis-demo [--once]");
}

impl Narrator {
    pub(crate) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colors: wanted && std::io::stdout().is_terminal() }
    }

    pub(crate) fn title(&self, text: &str) {
        println!("{}", self.paint(Color::Bold, text));
    }

    pub(crate) fn step(&self, number: usize, of: usize, step: &Step) {
        let counter = self.paint(Color::Dim, &format!("[{number}/{of}]"));
        println!("\n{counter} {}", self.paint(Color::Bold, step.title));
        for line in step.why {
            println!("      {}", self.paint(Color::Dim, line));
        }
    }

    /// A command as one would type it.
    pub(crate) fn command(&self, line: &str) {
        println!("      {} {}", self.paint(Color::Dim, "$"), self.paint(Color::Bold, line));
    }

    /// Something that was expected and has been seen.
    pub(crate) fn held(&self, what: &str, seen: &str) {
        println!("      {} {what:<50} {}", self.paint(Color::Green, "ok"), self.paint(Color::Green, seen));
    }

    /// A measured time.
    pub(crate) fn measured(&self, what: &str, time: Duration) {
        self.held(what, &milliseconds(time));
    }

    pub(crate) fn say(&self, text: &str) {
        println!("      {text}");
    }

    pub(crate) fn plain(&self, text: &str) {
        println!("{text}");
    }

    pub(crate) fn all_held(&self) {
        println!("\n{}", self.paint(Color::Green, "Every step held."));
    }

    pub(crate) fn failed(&self, error: &Error) {
        println!("      {} {error:#}", self.paint(Color::Red, "FAILED"));
    }

    pub(crate) fn log(&self, of: &str, tail: &str) {
        println!("\n{}", self.paint(Color::Bold, &format!("The log of {of} ends with:")));
        println!("{tail}");
    }

    fn paint(&self, color: Color, text: &str) -> String {
        if !self.colors {
            return text.to_owned();
        }
        let code = match color {
            Color::Bold => "1",
            Color::Dim => "2",
            Color::Green => "32",
            Color::Red => "1;31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
