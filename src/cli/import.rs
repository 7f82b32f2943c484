//! `import`: many revocations from a file.
//!
//! The lines go out in parts, each one request, so that an answer arrives while the file is still being
//! read, and an interrupted import can go on where it stopped.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::exit::fields;
use super::output::{Output, visible};
use super::remote::Remote;
use super::{Exit, Failure};
use crate::api::model::BatchLine;
use crate::client::{BatchResults, Client};

/// Lines and bytes of one part.
const PART_LINES: usize = 1_000;
const PART_BYTES: usize = 1024 * 1024;

const EXAMPLE: &str =
    r#"one JSON object, such as {"kind":"session","issuer":"https://idp.example","value":"SID"}"#;
/// What some editors put before the text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Arguments of `import`.
#[derive(Args, Debug)]
pub(super) struct Import {
    /// NDJSON, each line as POST /v1/revocations takes it; - reads stdin
    file: PathBuf,

    /// Go on from this line, after an interruption
    ///
    /// A line that was accepted although its result was lost is then revoked twice, which rejects nothing
    /// more.
    #[arg(long, value_name = "LINE", default_value_t = 1, hide_default_value = true)]
    from: u64,
}

/// What has been sent and answered.
#[derive(Default)]
struct Tally {
    accepted: u64,
    refused: u64,
    // The last line whose result is known.
    answered: u64,
}

impl Import {
    pub(super) fn run(self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        let client = remote.client()?;
        let (mut input, bytes) = open(&self.file)?;
        let progress = progress(bytes, out);
        let skipped = skip(&mut input, self.from, &progress)?;
        let mut tally = Tally { answered: skipped, ..Tally::default() };
        let sent = loop {
            match part(&mut input).and_then(|lines| send(&client, lines, &mut tally, &progress, out)) {
                Ok(true) => {}
                done => break done,
            }
        };
        progress.finish_and_clear();
        let Tally { accepted, refused, answered } = tally;
        match sent {
            Err(failure) if answered > skipped => {
                out.note(format_args!("accepted before that: {accepted}, refused: {refused}"));
                return Err(failure.hint(format!("go on with --from {}", answered + 1)));
            }
            // Nothing has been done: the cause is what matters.
            sent => sent?,
        };
        if !out.json() {
            out.line(format_args!("imported: {accepted}, refused: {refused}"))?;
        }
        match (accepted, refused) {
            (_, 0) => Ok(()),
            (0, _) => {
                Err(Failure::new(Exit::Failed, "no line was accepted").hint(format!("a line is {EXAMPLE}")))
            }
            _ => Err(Failure::new(Exit::Failed, "not every line was accepted; the others are in force")),
        }
    }
}

fn open(path: &Path) -> Result<(Box<dyn BufRead>, Option<u64>), Failure> {
    let (mut input, bytes): (Box<dyn BufRead>, _) = if path.as_os_str() == "-" {
        (Box::new(io::stdin().lock()), None)
    } else {
        let failed = |why: &dyn Display| Failure::usage(format!("cannot read {}: {why}", path.display()));
        let file = File::open(path).map_err(|error| failed(&error))?;
        let about = file.metadata().map_err(|error| failed(&error))?;
        if about.is_dir() {
            return Err(failed(&"it is a directory, and a file of NDJSON is expected"));
        }
        (Box::new(BufReader::new(file)), about.is_file().then_some(about.len()))
    };
    if input.fill_buf().map_err(unreadable)?.starts_with(BYTE_ORDER_MARK) {
        input.consume(BYTE_ORDER_MARK.len());
    }
    Ok((input, bytes))
}

fn progress(bytes: Option<u64>, out: &Output) -> ProgressBar {
    if !out.watched() || out.json() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{bar:30} {percent:>3}% {msg} {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}"),
    };
    // The templates are constants that parse.
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Reads over the lines before `from`, and says how many there were.
fn skip(input: &mut dyn BufRead, from: u64, progress: &ProgressBar) -> Result<u64, Failure> {
    for line in 1..from {
        let mut text = Vec::new();
        if input.read_until(b'\n', &mut text).map_err(unreadable)? == 0 {
            return Err(Failure::usage(format!("--from {from}: the input has {} lines", line - 1)));
        }
        progress.inc(text.len() as u64);
    }
    Ok(from.saturating_sub(1))
}

/// The next lines, whole; none at the end.
fn part(input: &mut dyn BufRead) -> Result<Vec<u8>, Failure> {
    let mut lines = Vec::new();
    for _ in 0..PART_LINES {
        if lines.len() >= PART_BYTES || input.read_until(b'\n', &mut lines).map_err(unreadable)? == 0 {
            break;
        }
        if lines.last() != Some(&b'\n') {
            lines.push(b'\n');
        }
    }
    Ok(lines)
}

/// Sends one part and reports each result; `false` at the end of the input.
fn send(
    client: &Client,
    lines: Vec<u8>,
    tally: &mut Tally,
    progress: &ProgressBar,
    out: &Output,
) -> Result<bool, Failure> {
    if lines.is_empty() {
        return Ok(false);
    }
    let (bytes, before) = (lines.len() as u64, tally.answered);
    let count = lines.lines().count() as u64;
    // Blank lines count as lines, but have no result.
    let mut missing =
        lines.lines().filter(|line| line.as_ref().is_ok_and(|line| !line.trim().is_empty())).count();
    let results: BatchResults = client.batch(lines)?;
    for result in results {
        let (_, result) = result?;
        missing = missing.saturating_sub(1);
        progress.suspend(|| tally.report(before, result, out))?;
    }
    if missing > 0 {
        return Err(Failure::new(Exit::Unreachable, "the control plane did not answer every line"));
    }
    tally.answered = before + count;
    progress.inc(bytes);
    progress.set_message(format!("{} accepted, {} refused,", tally.accepted, tally.refused));
    Ok(true)
}

impl Tally {
    /// Counts a result and, where a line was refused, says why. Line numbers are the file's.
    fn report(&mut self, before: u64, mut result: BatchLine, out: &Output) -> Result<(), Failure> {
        result.line += before;
        self.answered = result.line;
        if out.json() {
            let text = serde_json::to_string(&result)
                .map_err(|error| Failure::new(Exit::Failed, format!("cannot write the result: {error}")))?;
            out.line(text)?;
        }
        match &result.error {
            None => self.accepted += 1,
            Some(problem) => {
                self.refused += 1;
                let fields = fields(problem).into_iter().map(|field| format!(" ({field})"));
                out.note(format_args!(
                    "line {}: {}{}",
                    result.line,
                    visible(&problem.detail),
                    visible(fields.collect::<String>())
                ));
            }
        }
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err wants")]
fn unreadable(error: io::Error) -> Failure {
    Failure::usage(format!("cannot read the input: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_holds_whole_lines_and_the_last_one_gets_its_end() {
        let mut input = io::Cursor::new(b"a\nb".to_vec());
        assert_eq!(part(&mut input).unwrap(), b"a\nb\n");
        assert_eq!(part(&mut input).unwrap(), b"");
    }

    #[test]
    fn a_part_is_bounded_in_lines_and_bytes() {
        let mut many = io::Cursor::new("x\n".repeat(PART_LINES + 1));
        assert_eq!(part(&mut many).unwrap().len(), 2 * PART_LINES);
        let mut long = io::Cursor::new(format!("{}\n", "x".repeat(PART_BYTES)).repeat(2));
        assert_eq!(part(&mut long).unwrap().len(), PART_BYTES + 1);
    }

    #[test]
    fn lines_before_the_first_one_are_not_sent() {
        let mut input = io::Cursor::new(b"a\nb\nc\n".to_vec());
        assert_eq!(skip(&mut input, 3, &ProgressBar::hidden()).unwrap(), 2);
        assert_eq!(part(&mut input).unwrap(), b"c\n");
        assert!(skip(&mut input, 2, &ProgressBar::hidden()).is_err());
    }
}
