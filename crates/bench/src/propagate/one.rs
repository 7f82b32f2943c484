//! One real Envoy: from the API's answer to the first refusal.

use std::time::Instant;

use anyhow::{Context as _, Result};
use portcullis_testbed::{Envoy, Issuer};

use crate::api::{Accepted, Api, Session};
use crate::edge::{Probe, answering, with_portcullis};
use crate::report::Report;
use crate::{note, plane};

/// Revokes sessions one after another while each one's token is tried without a pause.
pub(super) async fn measure(issuer: &Issuer, singles: u32, report: &mut Report) -> Result<()> {
    note!("One Envoy, {singles} single revocations");
    let plane = plane::holding(issuer, 0).await?;
    let envoy = Envoy::start(with_portcullis(answering(), &plane, plane.edge_address())?).await?;
    let mut api = Api::connect(&plane).await?;
    let (mut after_answer, mut after_call) = (Vec::new(), Vec::new());
    for number in 0..=singles {
        let sid = format!("single-{number}");
        let token = issuer.token().sid(&sid).sign()?;
        let mut probe = Probe::connect(envoy.address(), Some(&token)).await?;
        let before = probe.ask().await?;
        anyhow::ensure!(before == 200, "a good token got {before}");

        let session = Session { issuer: issuer.name(), sid: &sid };
        let start = Instant::now();
        let (accepted, refused) = tokio::try_join!(api.revoke(&session), first_refusal(&mut probe))?;
        // The first announces its shape and finds nothing warm.
        if number > 0 {
            after_answer.push(millis(accepted, refused));
            after_call.push((refused - start).as_secs_f64() * 1e3);
        }
    }
    for (id, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
        report.add_quantile(format!("propagate_{id}_ms"), "ms", &after_answer, share);
    }
    for (id, share) in [("p50", 0.5), ("p99", 0.99)] {
        report.add_quantile(format!("propagate_from_call_{id}_ms"), "ms", &after_call, share);
    }
    Ok(())
}

/// Zero if Envoy refused before the answer was here.
fn millis(accepted: Accepted, refused: Instant) -> f64 {
    refused.saturating_duration_since(accepted.at).as_secs_f64() * 1e3
}

async fn first_refusal(probe: &mut Probe) -> Result<Instant> {
    loop {
        let status = probe.ask().await.context("while waiting for the first refusal")?;
        match status {
            200 => {}
            401 => return Ok(Instant::now()),
            other => anyhow::bail!("a token got {other}"),
        }
    }
}
