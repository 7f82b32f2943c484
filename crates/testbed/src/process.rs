//! A child process: its log is kept, and it never outlives its owner.

use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::log::Log;

/// A running program, killed and reaped when dropped.
///
/// It has a process group of its own, so that Ctrl-C at a terminal reaches only us and we decide what ends
/// when. The price: if this process itself is killed with SIGKILL, the child stays behind.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Log,
}

/// How long the kernel may take to clear a killed process away.
const REAP: Duration = Duration::from_secs(5);

impl Process {
    /// Starts a program; what it writes to standard output and standard error becomes its log.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn spawn(name: &str, mut command: Command) -> Result<Self> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        // One pipe for both, so that the lines keep their order.
        let (output, input) = std::io::pipe()?;
        let child = command
            .stdin(Stdio::null())
            .stdout(input.try_clone()?)
            .stderr(input)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name} ({program})"))?;
        // Ours are the last ends that the child does not hold: without this the log would never end.
        drop(command);
        let log = Log::new();
        log.drain(output);
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// What it has written.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its process id; `None` once it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    ///
    /// If that takes longer than `within`.
    pub async fn exited(&mut self, within: Duration) -> Result<ExitStatus> {
        let Ok(status) = timeout(within, self.child.wait()).await else {
            bail!("{} still runs after {within:?}; its log ends with:\n{}", self.name, self.tail());
        };
        self.log.complete().await;
        Ok(status?)
    }

    /// Waits for something that needs it alive; its end meanwhile is an error with the end of its log.
    ///
    /// # Errors
    ///
    /// That of the work, and those of a process that ends or of work that takes longer than `within`.
    pub async fn while_alive<T>(
        &mut self,
        within: Duration,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let outcome = tokio::select! {
            outcome = timeout(within, work) => {
                outcome.unwrap_or_else(|_| Err(anyhow!("{} was not ready within {within:?}", self.name)))
            }
            status = self.child.wait() => {
                self.log.complete().await;
                Err(anyhow!("{} ended: {}", self.name, status?))
            }
        };
        outcome.with_context(|| format!("the log of {} ends with:\n{}", self.name, self.tail()))
    }

    /// Ends it with SIGKILL and waits until it is gone; nothing happens if it is.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        if self.id().is_none() {
            return Ok(());
        }
        self.child.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }

    /// Asks it to end (SIGTERM) and waits for it.
    ///
    /// # Errors
    ///
    /// If that takes longer than `within`.
    pub async fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.exited(within).await
    }

    /// Stops it from running at all, connections left open: what a partition looks like from outside.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn suspend(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Ends [`Self::suspend`].
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let id = id.with_context(|| format!("{} has ended", self.name))?;
        kill_process(id, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    fn tail(&self) -> String {
        self.log.tail(40)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.start_kill().is_err() {
            return;
        }
        // Reaped here, so that its ports and files are free when the owner goes on. SIGKILL does not take long.
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < REAP {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
