//! Both sides fail.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use portcullis_testbed::{Client, Reply};
use tokio::time::timeout;

use crate::narrator::Narrator;
use crate::stage::{Stage, reply_code, summary};

const SOON: Duration = Duration::from_secs(30);

pub(super) async fn control_plane_is_killed(stage: &mut Stage, narrator: &Narrator) -> Result<()> {
    narrator.command("kill -9 $(pidof portcullis)");
    stage.control_plane.kill().await?;
    let operator = stage.quietly(&["list"]).await?;
    ensure!(!operator.status.success(), "expected nobody to answer the API, saw {}", operator.stdout);
    narrator.held("the API", "does not answer");
    stage.is_rejected(narrator, "the laptop's token", &stage.alice.laptop, "session_revoked").await?;
    stage.is_rejected(narrator, "the phone's token", &stage.alice.phone, "subject_revoked").await?;
    stage.passes(narrator, "the token of Alice's new login", &stage.alice.desk).await
}

pub(super) async fn envoy_restarts(stage: &mut Stage, narrator: &Narrator) -> Result<()> {
    narrator.command("kill -9 $(pidof envoy); envoy --config-path envoy.yaml");
    stage.envoy.restart().await?;
    let before = stage.upstream.requests();
    let client = stage.envoy.http1();
    let good = tokio::spawn(until_decided(client, stage.alice.desk.clone()));
    let revoked = tokio::spawn(until_decided(client, stage.alice.laptop.clone()));
    stage.envoy.wait_for_stat("http.ingress.downstream_rq_active", |active| active >= 2, SOON).await?;
    ensure!(!good.is_finished() && !revoked.is_finished(), "expected both requests to wait, saw an answer");
    ensure!(stage.upstream.requests() == before, "expected nothing at the service, saw a request");
    narrator.held("a good and a revoked token", "wait");

    narrator.command("portcullis serve");
    stage.control_plane.restart().await?;
    let (good, revoked) = (good.await??, revoked.await??);
    ensure!(good.status == 200, "the good token: expected 200, saw {}", summary(&good));
    narrator.held("the set arrives; the good token", "200");
    ensure!(revoked.status == 401, "the revoked token: expected 401, saw {}", summary(&revoked));
    ensure!(stage.upstream.requests() == before + 1, "expected one request at the service, saw more");
    narrator.held("the revoked token", &format!("401 {}", reply_code(&revoked).unwrap_or_default()));
    stage.edge_connected().await?;
    stage.passes(narrator, "the token of Alice's new login", &stage.alice.desk).await?;
    stage.is_rejected(narrator, "the phone's token", &stage.alice.phone, "subject_revoked").await
}

/// Asks until Envoy knows the set. Before that it may wait, or say that it does not know; it may not guess.
async fn until_decided(client: Client, token: String) -> Result<Reply> {
    let decided = async {
        loop {
            let reply = client.get("/").bearer(&token).send().await?;
            if reply_code(&reply).as_deref() != Some("not_synced") {
                return Ok(reply);
            }
        }
    };
    match timeout(SOON, decided).await {
        Ok(reply) => reply,
        Err(_) => bail!("expected a decision within {SOON:?}, saw only `not_synced`"),
    }
}
