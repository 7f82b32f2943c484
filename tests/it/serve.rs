//! Starting, refusing to start, and ending.

mod config;
mod damage;
mod full;
mod handles;
mod kubernetes;
mod start;
mod traces;

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

/// `portcullis serve` over a directory of the test's own, on free ports.
struct Serve {
    dir: TempDir,
    command: Command,
}

impl Serve {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.arg("serve").current_dir(dir.path()).kill_on_drop(true).env_remove("RUST_LOG");
        command.env("PORTCULLIS_LISTEN_HTTP", "127.0.0.1:0").env("PORTCULLIS_LISTEN_EDGE", "127.0.0.1:0");
        Self { dir, command }
    }

    fn over(mut self, data: &Path) -> Self {
        self.command.env("PORTCULLIS_DATA_DIR", data);
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    fn arg(mut self, arg: &str) -> Self {
        self.command.arg(arg);
        self
    }

    fn config(self, text: &str) -> Self {
        std::fs::write(self.dir.path().join("portcullis.toml"), text).unwrap();
        self
    }

    /// Runs it to its end, which must come by itself.
    async fn ends(mut self) -> Output {
        timeout(Duration::from_secs(30), self.command.output()).await.expect("it still runs").unwrap()
    }

    /// Runs it to its end with that code; what it says must have all of these.
    async fn refuses(self, code: i32, says: &[&str]) {
        let output = self.ends().await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        for text in says {
            assert!(stderr.contains(text), "`{text}` in: {stderr}");
        }
    }
}
