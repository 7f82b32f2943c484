//! What a process has written so far, to be read and waited for.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use tokio::time::timeout;

/// The growing log of a process; clones show the same log.
#[derive(Clone, Debug)]
pub struct Log {
    text: Arc<Mutex<String>>,
    /// Changes after each line; true when the process has closed it.
    grown: watch::Sender<bool>,
}

const LAST_WORDS: Duration = Duration::from_secs(1);

/// A place in a [`Log`]: what was written before it is not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark(usize);

impl Log {
    pub(crate) fn new() -> Self {
        Self { text: Arc::default(), grown: watch::Sender::new(false) }
    }

    /// Takes in what a pipe brings until it ends, on a thread of its own: a process must never block on a
    /// full pipe because a test is busy.
    pub(crate) fn drain(&self, pipe: impl Read + Send + 'static) {
        let log = self.clone();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
                log.lock().push_str(&String::from_utf8_lossy(&line));
                log.grown.send_replace(false);
                line.clear();
            }
            log.grown.send_replace(true);
        });
    }

    /// Waits until everything is here that a process wrote before it ended.
    pub(crate) async fn complete(&self) {
        // A grandchild may hold the pipe open.
        let _ = timeout(LAST_WORDS, self.grown.subscribe().wait_for(|closed| *closed)).await;
    }

    /// Everything so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.lock().clone()
    }

    /// The last lines, for error messages.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let text = self.lock();
        let all: Vec<&str> = text.lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }

    /// The present end of the log.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.lock().len())
    }

    /// Waits until a line contains `needle`, and gives that line.
    ///
    /// # Errors
    ///
    /// If that takes longer than `within`.
    pub async fn wait_for(&self, needle: &str, within: Duration) -> Result<String> {
        self.wait_for_after(Mark::default(), needle, within).await
    }

    /// Waits until a line after `mark` contains `needle`, and gives that line.
    ///
    /// # Errors
    ///
    /// If that takes longer than `within`.
    pub async fn wait_for_after(&self, mark: Mark, needle: &str, within: Duration) -> Result<String> {
        let mut grown = self.grown.subscribe();
        let found = async {
            loop {
                grown.mark_unchanged();
                if let Some(line) = self.find(mark, needle) {
                    return line;
                }
                // The sender is a part of `self`, so this cannot fail.
                let _ = grown.changed().await;
            }
        };
        timeout(within, found).await.with_context(|| {
            format!("no line with `{needle}` within {within:?}; the log ends with:\n{}", self.tail(30))
        })
    }

    fn find(&self, Mark(from): Mark, needle: &str) -> Option<String> {
        let text = self.lock();
        text.get(from..)?.lines().find(|line| line.contains(needle)).map(str::to_owned)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lock())
    }
}
