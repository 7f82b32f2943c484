//! How long it takes: a client that never stops asking, against the command that revokes.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use portcullis_testbed::Client;
use tokio::task::JoinHandle;

use crate::stage::summary;

/// A client that sends requests with one token, one after the other, until the first rejection.
pub(crate) struct Race {
    runner: JoinHandle<Result<Finish>>,
}

/// The first rejection.
pub(crate) struct Finish {
    /// By the clock that measures.
    pub(crate) at: Instant,
    /// By the clock that the control plane's `created_at` is of.
    pub(crate) wall: SystemTime,
    /// Requests that still passed.
    pub(crate) passed: u64,
}

impl Race {
    pub(crate) fn start(client: Client, token: &str) -> Self {
        let token = token.to_owned();
        Self { runner: tokio::spawn(async move { ask(client, &token).await }) }
    }

    /// Waits for the first rejection.
    pub(crate) async fn finish(mut self, within: Duration) -> Result<Finish> {
        match tokio::time::timeout(within, &mut self.runner).await {
            Ok(finish) => finish?,
            Err(_) => bail!("expected a 401 within {within:?}, saw only 200"),
        }
    }
}

impl Drop for Race {
    fn drop(&mut self) {
        self.runner.abort();
    }
}

async fn ask(client: Client, token: &str) -> Result<Finish> {
    let mut passed = 0;
    loop {
        let reply = client.get("/").bearer(token).send().await?;
        match reply.status.as_u16() {
            200 => passed += 1,
            401 => return Ok(Finish { at: Instant::now(), wall: SystemTime::now(), passed }),
            _ => bail!("expected 200 or 401, saw {}", summary(&reply)),
        }
    }
}
