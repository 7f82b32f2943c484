//! A revocation that was a mistake.

use anyhow::Result;

use super::user::applied;
use crate::narrator::Narrator;
use crate::stage::{Stage, text};

pub(super) async fn mistake(stage: &mut Stage, narrator: &Narrator) -> Result<()> {
    let bob = stage.issuer.token().sub("bob").sid("bob-1").sign()?;
    stage.passes(narrator, "Bob's token", &bob).await?;
    let answer = stage.portcullis(narrator, &["revoke", "session", "bob-1", "--wait"]).await?;
    applied(&answer)?;
    stage.is_rejected(narrator, "Bob's token", &bob, "session_revoked").await?;

    let id = text(&answer, "id")?;
    let answer = stage.portcullis(narrator, &["undo", id, "--reason", "wrong Bob", "--wait"]).await?;
    applied(&answer)?;
    stage.passes(narrator, "Bob's token", &bob).await
}
