//! The real control plane, as a process.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::sleep;

use crate::process::Process;
use crate::{Client, Issuer, Log};

/// What a control plane is started with: a binary, a data directory of its own, and settings.
///
/// ```
/// # use portcullis_testbed::{ControlPlaneSetup, Issuer};
/// # async fn example(issuer: Issuer) -> anyhow::Result<()> {
/// let binary = portcullis_testbed::paths::control_plane()?;
/// let control_plane = ControlPlaneSetup::new(binary)
///     .issuer(&issuer, "clock_skew = \"0s\"")
///     .env("PORTCULLIS_EDGE_HEARTBEAT", "200ms")
///     .start()
///     .await?;
/// let revoked = control_plane.run(["revoke", "session", "s1", "--json"]).await?.json()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a control plane does nothing until it is started"]
pub struct ControlPlaneSetup {
    binary: PathBuf,
    config: String,
    env: Vec<(String, String)>,
    args: Vec<String>,
    patience: Duration,
}

/// A running control plane, on ports that the system chose and that it keeps. Killed when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    setup: ControlPlaneSetup,
    dir: TempDir,
    process: Process,
    listen: Listen,
}

/// What `serve` writes into its data directory once it is ready.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Listen {
    http: SocketAddr,
    edge: SocketAddr,
}

/// What a verb of the command line has done.
#[derive(Clone, Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

const CONFIG: &str = "portcullis.toml";
const EDGE_KEY: &str = "edge-key-for-tests-only";
const START: Duration = Duration::from_secs(30);
/// There is no event for a file.
const POLL: Duration = Duration::from_millis(2);

impl ControlPlaneSetup {
    /// With the defaults, but free ports.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let listen = "[listen]\nhttp = \"127.0.0.1:0\"\nedge = \"127.0.0.1:0\"\n";
        Self {
            binary: binary.into(),
            config: listen.to_owned(),
            env: Vec::new(),
            args: Vec::new(),
            patience: START,
        }
    }

    /// Adds an issuer, with lines of TOML for its other settings.
    pub fn issuer(mut self, issuer: &Issuer, settings: &str) -> Self {
        let (name, jwks_uri) = (issuer.name(), issuer.jwks_uri());
        self.config += &format!("[[issuers]]\nissuer = \"{name}\"\njwks_uri = \"{jwks_uri}\"\n{settings}\n");
        self
    }

    /// Adds lines of TOML, of a section or of an issuer.
    pub fn config(mut self, lines: &str) -> Self {
        self.config += lines;
        self
    }

    /// Sets a variable of the environment: every key of the configuration has one.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an argument of `serve`.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// How long it may take to get ready, half a minute if not said: one with a long log reads it first.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it does not get ready; the end of its log is in the error.
    pub async fn start(self) -> Result<ControlPlane> {
        let dir = tempfile::Builder::new().prefix("portcullis-control-plane-").tempdir()?;
        fs::write(dir.path().join(CONFIG), &self.config)?;
        let (process, listen) = self.serve(dir.path()).await?;
        Ok(ControlPlane { setup: self, dir, process, listen })
    }

    async fn serve(&self, dir: &Path) -> Result<(Process, Listen)> {
        let data = dir.join("data");
        // What an earlier process has left says nothing about this one.
        let _ = fs::remove_file(data.join("listen.json"));
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg("--config").arg(dir.join(CONFIG)).args(&self.args).current_dir(dir);
        command.env("PORTCULLIS_DATA_DIR", &data);
        command.env("PORTCULLIS_ADMIN_KEY", ControlPlane::ADMIN_KEY).env("PORTCULLIS_EDGE_KEY", EDGE_KEY);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let mut process = Process::spawn("the control plane", command)?;
        let ready = async {
            loop {
                if let Some(listen) = listening(&data).await {
                    return Ok(listen);
                }
                sleep(POLL).await;
            }
        };
        let listen = process.while_alive(self.patience, ready).await?;
        Ok((process, listen))
    }
}

/// Where it listens, once it also says that it is ready.
async fn listening(data: &Path) -> Option<Listen> {
    let listen: Listen = serde_json::from_slice(&fs::read(data.join("listen.json")).ok()?).ok()?;
    let readiness = Client::http1(listen.http).get("/readyz").send().await.ok()?;
    readiness.status.is_success().then_some(listen)
}

impl ControlPlane {
    /// The key that may do everything, of every control plane here.
    pub const ADMIN_KEY: &'static str = "admin-key-for-tests-only";

    /// The port for the API, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.listen.http)
    }

    /// The port for edges.
    #[must_use]
    pub fn edge_address(&self) -> SocketAddr {
        self.listen.edge
    }

    /// A client of the API; calls need [`Self::admin_key`] as their bearer.
    #[must_use]
    pub fn api(&self) -> Client {
        Client::http1(self.listen.http)
    }

    /// The key that may do everything.
    #[must_use]
    pub fn admin_key(&self) -> &'static str {
        Self::ADMIN_KEY
    }

    /// The credential of edges.
    #[must_use]
    pub fn edge_key(&self) -> &'static str {
        EDGE_KEY
    }

    /// Its configuration, log and data.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has logged since the last start.
    #[must_use]
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// The process, to be suspended, signaled or waited for.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Runs a verb of the command line against it, with the admin key.
    ///
    /// # Errors
    ///
    /// If the binary cannot be started; what the verb says is in the result.
    pub async fn run(&self, args: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Result<Ran> {
        self.run_as(Self::ADMIN_KEY, args).await
    }

    /// Runs a verb with another key.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub async fn run_as(
        &self,
        key: &str,
        args: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>,
    ) -> Result<Ran> {
        let mut command = Command::new(&self.setup.binary);
        command.args(args).current_dir(self.dir.path()).kill_on_drop(true);
        command.env("PORTCULLIS_URL", self.url()).env("PORTCULLIS_KEY", key);
        let output = command.output().await.context("cannot start the command line")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ran { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// Ends it with SIGKILL.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Adds lines of TOML to its configuration and starts it again, as [`Self::restart`] does: for issuers
    /// that had to know its address first.
    ///
    /// # Errors
    ///
    /// If it does not get ready.
    pub async fn reconfigure(&mut self, lines: &str) -> Result<()> {
        self.setup.config += lines;
        fs::write(self.dir.path().join(CONFIG), &self.setup.config)?;
        self.restart().await
    }

    /// Ends it in good order (SIGTERM), and starts another release over the same data and on the same ports.
    ///
    /// # Errors
    ///
    /// If it does not end, or the other one does not get ready.
    pub async fn replace(&mut self, binary: impl Into<PathBuf>) -> Result<()> {
        self.process.terminate(START).await?;
        self.setup.binary = binary.into();
        self.restart().await
    }

    /// Starts it again over the same data and on the same ports, after killing it if it still runs.
    ///
    /// # Errors
    ///
    /// If it does not get ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.kill().await?;
        // Edges know where it was.
        let ports =
            [("PORTCULLIS_LISTEN_HTTP", self.listen.http), ("PORTCULLIS_LISTEN_EDGE", self.listen.edge)];
        self.setup.env.extend(ports.map(|(name, address)| (name.to_owned(), address.to_string())));
        (self.process, self.listen) = self.setup.serve(self.dir.path()).await?;
        Ok(())
    }
}

impl Ran {
    /// Standard output as JSON, if the verb has succeeded.
    ///
    /// # Errors
    ///
    /// If it has not; what it said is in the error.
    pub fn json(&self) -> Result<Value> {
        ensure!(self.status.success(), "{}: {}{}", self.status, self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {}", self.stdout))
    }
}
