//! wrk, and what it says.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::process::Command;

/// Cycles through the tokens of a file, beginning where it is told, so that a cache that is too small for them is of no
/// use, and ends with one line that is easily read.
const SCRIPT: &str = r#"
local requests, next = {}, 0
function init(args)
  for token in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", "/", { authorization = "Bearer " .. token })
  end
  next = tonumber(args[2]) % #requests
end
function request()
  next = next % #requests + 1
  return requests[next]
end
function done(summary, latency)
  local errors = summary.errors
  print(string.format("RESULT %d %d %d %d %d %d", summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"#;

/// Connections, each with one request at a time: enough to keep one worker busy.
const CONNECTIONS: &str = "32";

/// A load generator.
#[derive(Debug)]
pub(crate) struct Wrk {
    script: PathBuf,
}

/// What one run of it has seen. Every answer was a success.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

impl Wrk {
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        let script = dir.join("tokens.lua");
        fs::write(&script, SCRIPT).with_context(|| format!("cannot write {}", script.display()))?;
        Ok(Self { script })
    }

    /// Sends as much as is answered, for so long, with the tokens from there on.
    pub(crate) async fn run(
        &self,
        address: SocketAddr,
        tokens: &Path,
        first: u64,
        time: Duration,
    ) -> Result<Seen> {
        let mut command = Command::new("wrk");
        command.args(["--threads", "1", "--connections", CONNECTIONS, "--timeout", "5s"]);
        command.arg("--duration").arg(format!("{}s", time.as_secs().max(1)));
        command.arg("--script").arg(&self.script);
        command.arg(format!("http://{address}/")).arg("--").arg(tokens).arg(first.to_string());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.context("cannot start wrk")?;
        let (text, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "wrk failed: {text}{errors}");
        read(&text)
    }
}

fn read(text: &str) -> Result<Seen> {
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let numbers = line.map(|line| line.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>());
    let Some(Ok(numbers)) = numbers else { bail!("wrk says no result: {text}") };
    let [requests, duration_us, refused, failed, p50_us, p99_us] = numbers.as_slice() else {
        bail!("wrk says another result: {text}")
    };
    ensure!(*requests > 0.0, "wrk got no answer at all");
    ensure!(*refused == 0.0 && *failed == 0.0, "{refused} answers were no success, {failed} requests failed");
    Ok(Seen { requests: *requests, seconds: duration_us / 1e6, p50_us: *p50_us, p99_us: *p99_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_one_only_without_errors() {
        let seen = read("Running 1s test\nRESULT 500 1000000 0 0 640 900\n").unwrap();
        assert_eq!(seen, Seen { requests: 500.0, seconds: 1.0, p50_us: 640.0, p99_us: 900.0 });
        assert!(read("RESULT 500 1000000 1 0 640 900").is_err());
        assert!(read("RESULT 500 1000000 0 1 640 900").is_err());
        assert!(read("RESULT 0 1000000 0 0 0 0").is_err());
        assert!(read("RESULT 500 1000000").is_err());
        assert!(read("nothing").is_err());
    }
}
