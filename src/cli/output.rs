//! All that the command line prints.
//!
//! Results go to stdout, everything else to stderr. Colours are dropped where they are not wanted: not on a
//! terminal, or `NO_COLOR` is set.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::de::DeserializeOwned;

use super::Failure;
use crate::client::Answer;

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const CAUTION: Style = AnsiColor::Yellow.on_default();

/// Where results and messages go.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
}

/// A text in a style.
pub(super) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Text from elsewhere as a terminal may show it: control characters, which can move the cursor or forge
/// lines, and those that turn the direction of writing are escaped.
pub(super) fn visible(text: impl Display) -> String {
    let mut shown = String::new();
    for char in text.to_string().chars() {
        if char.is_control() || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            shown.extend(char.escape_unicode());
        } else {
            shown.push(char);
        }
    }
    shown
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are for programs.
    pub(super) fn json(&self) -> bool {
        self.json
    }

    /// A result: as it came with `--json`, in words otherwise.
    pub(super) fn answer<T: DeserializeOwned>(
        &self,
        answer: &Answer<T>,
        in_words: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            return self.line(answer.text().trim_end());
        }
        self.line(in_words(&answer.read()?))
    }

    /// A line or more of results.
    #[expect(clippy::unused_self, reason = "whoever prints was given the right to")]
    pub(super) fn line(&self, text: impl Display) -> Result<(), Failure> {
        Ok(writeln!(anstream::stdout().lock(), "{text}")?)
    }

    /// Bytes as they are.
    #[expect(clippy::unused_self, reason = "as above")]
    pub(super) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(io::stdout().lock().write_all(bytes)?)
    }

    /// Something to know besides the result. Not with `--json`, whose readers find it in the answer.
    pub(super) fn note(&self, text: impl Display) {
        if !self.json {
            self.to_stderr(text);
        }
    }

    /// As [`Output::note`], and it matters.
    pub(super) fn warning(&self, text: impl Display) {
        self.note(format_args!("{} {text}", styled(CAUTION, "warning:")));
    }

    /// What went wrong, and what to do about it.
    pub(super) fn error(&self, message: &str, details: &[String], hint: Option<&str>) {
        self.to_stderr(format_args!("{} {message}", styled(BAD, "error:")));
        for detail in details {
            self.to_stderr(format_args!("       {detail}"));
        }
        if let Some(hint) = hint {
            self.to_stderr(format_args!("{} {hint}", styled(BOLD, " hint:")));
        }
    }

    /// What went wrong, for a program.
    pub(super) fn error_document(&self, json: &str) {
        self.to_stderr(json.trim_end());
    }

    /// Whether a person watches stderr, where progress is shown.
    #[expect(clippy::unused_self, reason = "as above")]
    pub(super) fn watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    #[expect(clippy::unused_self, reason = "as above")]
    fn to_stderr(&self, text: impl Display) {
        // Nowhere is left to say that stderr is closed.
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_escaped() {
        let check = |text: &str, expect: &str| assert_eq!(visible(text), expect);
        check("caf\u{e9} \u{5d0}", "caf\u{e9} \u{5d0}");
        check("\u{1b}[2J", "\\u{1b}[2J");
        check("a\nb\r", "a\\u{a}b\\u{d}");
        check("\u{9b}1m\u{7f}", "\\u{9b}1m\\u{7f}");
        check("\u{202e}x\u{2066}y\u{2069}", "\\u{202e}x\\u{2066}y\\u{2069}");
    }
}
