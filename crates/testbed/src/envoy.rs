//! A real Envoy.

mod admin;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::bootstrap::{ACCESS_LOG, LISTENERS, Rendered};
use crate::log::Log;
use crate::process::Process;
use crate::{Bootstrap, Client, paths};
use admin::Admin;

/// An Envoy of its own, with its own files, on ports that the system chose. Killed when dropped.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: Admin,
    ingress: SocketAddr,
    launch: Launch,
}

/// What it takes to start it, again and again.
#[derive(Debug)]
struct Launch {
    dir: TempDir,
    rendered: Rendered,
    concurrency: u32,
    log_level: String,
}

/// Compiling the filter on a busy machine is what takes long.
const START: Duration = Duration::from_secs(60);
/// Envoy offers no event for what is polled.
const POLL: Duration = Duration::from_millis(5);
const CONFIG: &str = "envoy.json";
const ADMIN_ADDRESS: &str = "admin";

impl Envoy {
    /// Starts it and waits until its listener takes connections.
    ///
    /// # Errors
    ///
    /// If it does not come up; the end of its log is in the error.
    pub async fn start(bootstrap: Bootstrap) -> Result<Self> {
        let launch = Launch::new(bootstrap)?;
        let (process, admin, ingress) = launch.start().await?;
        Ok(Self { process, admin, ingress, launch })
    }

    /// Starts it with a configuration that it should refuse, and gives its log after it has given up.
    ///
    /// # Errors
    ///
    /// If it comes up all the same.
    pub async fn refuse(bootstrap: Bootstrap) -> Result<Log> {
        let launch = Launch::new(bootstrap)?;
        let mut process = launch.spawn()?;
        let status = process.exited(START).await.context("Envoy should have refused its configuration")?;
        if status.success() {
            bail!("Envoy ended without complaint:\n{}", process.log());
        }
        Ok(process.log().clone())
    }

    /// Has Envoy look at a configuration without serving it, and gives what it says.
    ///
    /// # Errors
    ///
    /// If Envoy refuses it, with the reason.
    pub async fn validate(yaml: &str) -> Result<Log> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("envoy.yaml");
        fs::write(&path, yaml)?;
        let mut command = Command::new(paths::envoy()?);
        command.args(["--mode", "validate", "--config-path"]).arg(path);
        let mut process = Process::spawn("Envoy", command)?;
        let status = process.exited(START).await?;
        ensure!(status.success(), "Envoy refuses the configuration:\n{}", process.log());
        Ok(process.log().clone())
    }

    /// Where its listener is. Another one after [`Self::restart`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.ingress
    }

    /// A client of its listener, HTTP/1.1.
    #[must_use]
    pub fn http1(&self) -> Client {
        Client::http1(self.ingress)
    }

    /// A client of its listener, HTTP/2.
    #[must_use]
    pub fn http2(&self) -> Client {
        Client::http2(self.ingress)
    }

    /// What Envoy and the filters in it have logged since the last start.
    #[must_use]
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// The process, to be suspended, signaled or waited for.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The admin interface, as a URL.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.admin.url()
    }

    /// The answer of the admin interface.
    ///
    /// # Errors
    ///
    /// If it is not 200.
    pub async fn admin_get(&self, path: &str) -> Result<String> {
        self.admin.get(path).await
    }

    /// Asks the admin interface to do something.
    ///
    /// # Errors
    ///
    /// If the answer is not 200.
    pub async fn admin_post(&self, path: &str) -> Result<String> {
        self.admin.post(path).await
    }

    /// The value of a counter or a gauge; `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// If the admin interface does not answer.
    pub async fn stat(&self, name: &str) -> Result<Option<u64>> {
        self.admin.stat(name).await
    }

    /// Waits until a counter or a gauge has a value that is wanted, and gives it.
    ///
    /// # Errors
    ///
    /// If that takes longer than `within`.
    pub async fn wait_for_stat(
        &self,
        name: &str,
        wanted: impl Fn(u64) -> bool,
        within: Duration,
    ) -> Result<u64> {
        let mut last = None;
        let reached = async {
            loop {
                last = self.stat(name).await?;
                if let Some(value) = last.filter(|value| wanted(*value)) {
                    return Ok(value);
                }
                sleep(POLL).await;
            }
        };
        let reached = timeout(within, reached).await;
        reached.unwrap_or_else(|_| bail!("{name} is {last:?} after {within:?}"))
    }

    /// The access log: response code, details, Portcullis' reason, path.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn access_log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.launch.dir.path().join(ACCESS_LOG))?)
    }

    /// Waits for a line of the access log that contains `needle`, and gives it.
    ///
    /// # Errors
    ///
    /// If that takes longer than `within`.
    pub async fn wait_for_access(&self, needle: &str, within: Duration) -> Result<String> {
        let found = async {
            loop {
                if let Some(line) = self.access_log()?.lines().find(|line| line.contains(needle)) {
                    return Ok(line.to_owned());
                }
                sleep(POLL).await;
            }
        };
        timeout(within, found).await.unwrap_or_else(|_| {
            let log = self.access_log().unwrap_or_default();
            bail!("no `{needle}` in the access log within {within:?}:\n{log}")
        })
    }

    /// Changes its listener while it runs. Needs [`Bootstrap::dynamic_listeners`].
    ///
    /// # Errors
    ///
    /// If Envoy refuses the new listener, with its log.
    pub async fn update_listener(&mut self, edit: impl FnOnce(&mut Value) -> Result<()>) -> Result<()> {
        if !self.launch.rendered.dynamic {
            bail!("this Envoy has static listeners");
        }
        let seen = self.listener_updates().await?;
        let mark = self.log().mark();
        edit(&mut self.launch.rendered.listener)?;
        self.launch.write_listeners()?;
        let outcome = async {
            loop {
                let now = self.listener_updates().await?;
                if now != seen {
                    return Ok(now);
                }
                sleep(POLL).await;
            }
        };
        let (_, rejected) = timeout(START, outcome)
            .await
            .unwrap_or_else(|_| bail!("Envoy did not look at the new listener"))?;
        if rejected > seen.1 {
            // The counter goes up before the reason has come through the pipe.
            let reason = self.log().wait_for_after(mark, "update rejected", START).await?;
            bail!("Envoy refused the listener: {reason}\n{}", self.log().tail(10));
        }
        self.ingress = self.admin.listener(&self.launch.listener_name()).await?;
        Ok(())
    }

    /// Accepted and rejected so far.
    async fn listener_updates(&self) -> Result<(u64, u64)> {
        let accepted = self.stat("listener_manager.lds.update_success").await?;
        let rejected = self.stat("listener_manager.lds.update_rejected").await?;
        Ok((accepted.unwrap_or_default(), rejected.unwrap_or_default()))
    }

    /// Kills it (SIGKILL) and starts it again with the same configuration, on new ports.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.process.kill().await?;
        (self.process, self.admin, self.ingress) = self.launch.start().await?;
        Ok(())
    }

    /// The same, with another listener. Needs [`Bootstrap::dynamic_listeners`].
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub async fn restart_with(&mut self, edit: impl FnOnce(&mut Value) -> Result<()>) -> Result<()> {
        self.process.kill().await?;
        edit(&mut self.launch.rendered.listener)?;
        self.launch.write_listeners()?;
        self.restart().await
    }

    /// Ends it in good order (SIGTERM).
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub async fn stop(mut self) -> Result<()> {
        self.process.terminate(START).await.map(drop)
    }
}

impl Launch {
    fn new(bootstrap: Bootstrap) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("portcullis-envoy-").tempdir()?;
        let (concurrency, log_level) = (bootstrap.concurrency, bootstrap.log_level.clone());
        let rendered = bootstrap.render(dir.path())?;
        let launch = Self { dir, rendered, concurrency, log_level };
        fs::write(launch.path(CONFIG), serde_json::to_vec_pretty(&launch.rendered.config)?)?;
        if launch.rendered.dynamic {
            launch.write_listeners()?;
        }
        Ok(launch)
    }

    /// In one step, as Envoy looks at a watched file when another is moved over it.
    fn write_listeners(&self) -> Result<()> {
        let next = self.path("listeners.next");
        fs::write(&next, serde_json::to_vec_pretty(&self.rendered.listeners())?)?;
        Ok(fs::rename(next, self.path(LISTENERS))?)
    }

    fn spawn(&self) -> Result<Process> {
        let (level, components) = self.log_level.split_once(',').unwrap_or((&self.log_level, ""));
        let mut command = Command::new(paths::envoy()?);
        command.arg("--config-path").arg(self.path(CONFIG));
        command.arg("--admin-address-path").arg(self.path(ADMIN_ADDRESS));
        command.arg("--concurrency").arg(self.concurrency.to_string());
        command.arg("--reject-unknown-dynamic-fields");
        command.args(["--log-level", level, "--component-log-level", components]);
        // No shared memory that a killed Envoy leaves behind; access log lines at once.
        command.args(["--disable-hot-restart", "--file-flush-interval-msec", "10"]);
        Process::spawn("Envoy", command)
    }

    async fn start(&self) -> Result<(Process, Admin, SocketAddr)> {
        let address = self.path(ADMIN_ADDRESS);
        let _ = fs::remove_file(&address);
        let mut process = self.spawn()?;
        let listener = self.listener_name();
        let ready = async {
            let admin = loop {
                if let Some(admin) = Admin::at(&address) {
                    break admin;
                }
                sleep(POLL).await;
            };
            loop {
                if admin.get("/ready").await.is_ok()
                    && let Ok(ingress) = admin.listener(&listener).await
                {
                    return Ok((admin, ingress));
                }
                sleep(POLL).await;
            }
        };
        let (admin, ingress) = process.while_alive(START, ready).await?;
        Ok((process, admin, ingress))
    }

    fn listener_name(&self) -> String {
        let name = self.rendered.listener.get("name").and_then(Value::as_str);
        name.unwrap_or_default().to_owned()
    }

    fn path(&self, file: impl AsRef<Path>) -> std::path::PathBuf {
        self.dir.path().join(file)
    }
}
