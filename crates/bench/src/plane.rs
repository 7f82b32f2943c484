//! Control planes that hold as many revocations as wanted.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use portcullis_testbed::{ControlPlane, ControlPlaneSetup, Issuer, paths};

use crate::api::Api;
use crate::note;

/// Until one with ten million revocations is ready.
const PATIENCE: Duration = Duration::from_secs(600);
/// Revocations between two words about the progress.
const STEP: usize = 1_000_000;

/// The release binary with one issuer, whose sessions live a day.
pub(crate) fn setup(issuer: &Issuer) -> Result<ControlPlaneSetup> {
    Ok(ControlPlaneSetup::new(paths::control_plane()?).issuer(issuer, "").patience(PATIENCE))
}

/// A control plane in which sessions `revoked-0`, `revoked-1`, … of the issuer are revoked.
pub(crate) async fn holding(issuer: &Issuer, revocations: usize) -> Result<ControlPlane> {
    let plane = setup(issuer)?.start().await?;
    fill(&plane, issuer, revocations).await.context("cannot fill a control plane")?;
    Ok(plane)
}

/// Revokes them over two connections; gives how long that took, in seconds.
pub(crate) async fn fill(plane: &ControlPlane, issuer: &Issuer, revocations: usize) -> Result<f64> {
    let (mut one, mut other) = (Api::connect(plane).await?, Api::connect(plane).await?);
    let start = Instant::now();
    let mut done = 0;
    while done < revocations {
        let end = revocations.min(done + STEP);
        let middle = usize::midpoint(done, end);
        let name = issuer.name();
        tokio::try_join!(one.import(name, REVOKED, done, middle), other.import(name, REVOKED, middle, end))?;
        done = end;
        if revocations > STEP {
            note!("    {done} of {revocations} revocations, {:.0?}", start.elapsed());
        }
    }
    Ok(start.elapsed().as_secs_f64())
}

/// What the revoked sessions' ids begin with.
pub(crate) const REVOKED: &str = "revoked";
