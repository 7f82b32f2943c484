//! The example that operators copy.

use std::path::Path;

use anyhow::{Context as _, Result};
use portcullis_testbed::{Envoy, paths};

const EXAMPLE: &str = include_str!("../../../../envoy/envoy.yaml");
/// Where systems keep the public certificate authorities.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

#[tokio::test]
async fn envoy_takes_it_as_it_is_but_for_paths() -> Result<()> {
    let authorities = AUTHORITIES.into_iter().find(|file| Path::new(file).exists());
    let filter = paths::filter()?;
    let example = EXAMPLE
        .replace("/etc/envoy/portcullis_filter.wasm", filter.to_str().context("path")?)
        .replace(AUTHORITIES[0], authorities.context("this system has no certificate authorities")?);

    let log = Envoy::validate(&example).await?;

    assert!(log.text().contains("OK"), "{log}");
    assert!(!log.text().contains("[warning][misc]"), "deprecated or unknown: {log}");
    Ok(())
}
