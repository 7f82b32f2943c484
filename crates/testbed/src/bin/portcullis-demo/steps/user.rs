//! A user is revoked, and logs in again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;

use super::session::manner;
use crate::narrator::Narrator;
use crate::stage::{Stage, text};

const SOON: Duration = Duration::from_secs(10);

pub(super) async fn is_revoked(stage: &mut Stage, narrator: &Narrator) -> Result<()> {
    let args = ["revoke", "subject", "alice", "--reason", "account taken over", "--wait"];
    let answer = stage.portcullis(narrator, &args).await?;
    applied(&answer)?;
    stage.is_rejected(narrator, "the phone's token", &stage.alice.phone, "subject_revoked").await?;
    let stream = stage.alice.phone_stream.take().context("the phone has a stream")?;
    let end = stream.ended(SOON).await.context("the phone's stream: expected its end")?;
    narrator.held("the phone's server-sent events", manner(&end));

    // `iat` counts whole seconds: within the second of the cut-off nobody can tell before from after.
    let cutoff: Timestamp = text(&answer, "cutoff")?.parse()?;
    narrator.say(&format!(
        "Alice changes her password. The cut-off is {cutoff}, so she waits for the next second."
    ));
    later_than(cutoff).await?;
    let desk = stage.issuer.token().sub("alice").sid("alice-desk").sign()?;
    stage.passes(narrator, "the token of her new login", &desk).await?;
    stage.is_rejected(narrator, "the phone's old token", &stage.alice.phone, "subject_revoked").await?;
    stage.alice.desk = desk;
    Ok(())
}

/// Checks the receipts of a change.
pub(super) fn applied(answer: &Value) -> Result<()> {
    let number = |name: &str| answer.pointer(&format!("/receipts/{name}")).and_then(Value::as_u64);
    let (applied, pending) = (number("applied"), number("pending"));
    ensure!(applied == Some(1) && pending == Some(0), "expected one edge to have applied it, saw {answer}");
    Ok(())
}

/// Waits until the clock's whole second is later than this instant.
async fn later_than(cutoff: Timestamp) -> Result<()> {
    let next = Timestamp::from_second(cutoff.as_second() + 1)?;
    if let Ok(wait) = Duration::try_from(Timestamp::now().until(next)?) {
        tokio::time::sleep(wait).await;
    }
    Ok(())
}
