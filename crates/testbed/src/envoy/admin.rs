//! Envoy's admin interface.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::Client;
use crate::client::Call;

/// The admin interface of one running Envoy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admin(Client);

impl Admin {
    /// Reads the address that Envoy has written; `None` until it has.
    pub(super) fn at(file: &Path) -> Option<Self> {
        let address: SocketAddr = fs::read_to_string(file).ok()?.trim().parse().ok()?;
        Some(Self(Client::http1(address)))
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.0.address())
    }

    pub(super) async fn get(&self, path: &str) -> Result<String> {
        ask(self.0.get(path), path).await
    }

    pub(super) async fn post(&self, path: &str) -> Result<String> {
        ask(self.0.post(path), path).await
    }

    /// Where a listener takes connections.
    pub(super) async fn listener(&self, name: &str) -> Result<SocketAddr> {
        let listeners: Value = serde_json::from_str(&self.get("/listeners?format=json").await?)?;
        let mut statuses = listeners.get("listener_statuses").and_then(Value::as_array).into_iter().flatten();
        let status = statuses.find(|status| status.get("name").is_some_and(|found| found == name));
        let address = status.and_then(|status| status.pointer("/local_address/socket_address"));
        let address = address.with_context(|| format!("Envoy has no listener `{name}`"))?;
        let ip = address.get("address").and_then(Value::as_str).unwrap_or_default();
        let port = address.get("port_value").and_then(Value::as_u64).unwrap_or_default();
        Ok(SocketAddr::new(ip.parse()?, port.try_into()?))
    }

    pub(super) async fn stat(&self, name: &str) -> Result<Option<u64>> {
        let stats = self.get("/stats").await?;
        let mut stats = stats.lines().filter_map(|line| line.split_once(": "));
        Ok(stats.find(|(found, _)| *found == name).and_then(|(_, value)| value.parse().ok()))
    }
}

async fn ask(call: Call, path: &str) -> Result<String> {
    let reply = call.send().await?;
    ensure!(reply.status.is_success(), "{path}: {} {}", reply.status, reply.text());
    Ok(reply.text())
}
