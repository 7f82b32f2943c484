//! `examples/oidc-provider`, running.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::{Bootstrap, Client, ControlPlane, ControlPlaneSetup, Envoy, Process, Upstream, paths};

/// What operators copy; the port is another here.
const CONFIG: &str = include_str!("../../../examples/oidc-provider/portcullis.toml");
const ISSUER: &str = "http://127.0.0.1:3000";
/// Node.js makes an RSA key first.
const START: Duration = Duration::from_secs(60);

/// The npm package `oidc-provider` with an application, a control plane that it tells of logouts, and an Envoy
/// of two workers that takes its tokens. Dropped from the top: Envoy goes first.
#[derive(Debug)]
pub struct OidcProviderExample {
    /// In front of the service.
    pub envoy: Envoy,
    /// Takes the provider's logouts.
    pub control_plane: ControlPlane,
    /// The provider and the application, in one Node.js.
    pub provider: Process,
    /// The service.
    pub upstream: Upstream,
    issuer: String,
    address: SocketAddr,
}

impl OidcProviderExample {
    /// Starts everybody, the control plane from that binary.
    ///
    /// # Errors
    ///
    /// If one of them does not get ready; the end of its log is in the error.
    pub async fn start(portcullis: impl Into<PathBuf>) -> Result<Self> {
        let upstream = Upstream::start().await?;
        let mut control_plane = ControlPlaneSetup::new(portcullis).start().await?;
        let (provider, issuer) = provider(&paths::oidc_provider()?, &control_plane.url()).await?;
        let address = issuer.strip_prefix("http://").unwrap_or_default().parse();
        let address = address.with_context(|| format!("no address: {issuer}"))?;
        // Each names the other, and both choose their ports.
        ensure!(CONFIG.contains(ISSUER), "examples/oidc-provider/portcullis.toml does not name {ISSUER}");
        control_plane.reconfigure(&CONFIG.replace(ISSUER, &issuer)).await?;
        let bootstrap = Bootstrap::new()
            .concurrency(2)
            .upstream(upstream.address())
            .issuer_at(&issuer, &jwks_uri(address).await?, address)
            .filter(paths::filter()?)
            .control_plane(control_plane.edge_address())
            .edge_key(control_plane.edge_key());
        let envoy = Envoy::start(bootstrap).await?;
        Ok(Self { envoy, control_plane, provider, upstream, issuer, address })
    }

    /// The provider's `iss`. The application is at `/app` below it, its logout at `/session/end`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A client of the provider and of the application.
    #[must_use]
    pub fn site(&self) -> Client {
        Client::http1(self.address)
    }
}

/// The provider, and its issuer as it prints it.
async fn provider(script: &Path, portcullis: &str) -> Result<(Process, String)> {
    let mut command = Command::new("node");
    command.arg(script).env("PORT", "0").env("PORTCULLIS_URL", portcullis);
    let mut process = Process::spawn("the provider", command)?;
    let log = process.log().clone();
    let line = process.while_alive(START, async { log.wait_for("listening on ", START).await }).await?;
    let issuer = line.trim().strip_prefix("listening on ").with_context(|| format!("no address: {line}"))?;
    Ok((process, issuer.to_owned()))
}

async fn jwks_uri(address: SocketAddr) -> Result<String> {
    let found = Client::http1(address).get("/.well-known/openid-configuration").send().await?.json()?;
    let uri = found.get("jwks_uri").and_then(Value::as_str);
    Ok(uri.with_context(|| format!("no jwks_uri in {found}"))?.to_owned())
}
