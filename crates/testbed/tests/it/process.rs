//! Child processes.

use std::time::Duration;

use anyhow::{Context as _, Result};
use portcullis_testbed::Process;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Result<Process> {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Process::spawn("the script", command)
}

#[tokio::test]
async fn its_log_has_both_outputs_in_order() -> Result<()> {
    let mut process = shell("echo one; echo two >&2; echo three")?;

    assert_eq!(process.log().wait_for("three", SOON).await?, "three");

    assert!(process.exited(SOON).await?.success());
    assert_eq!(process.log().text(), "one\ntwo\nthree\n");
    assert_eq!(process.log().tail(2), "two\nthree");
    Ok(())
}

#[tokio::test]
async fn its_end_while_something_waits_for_it_is_an_error_with_the_log() -> Result<()> {
    let mut process = shell("echo out of luck; exit 3")?;
    let never = std::future::pending::<Result<()>>();

    let error = format!("{:#}", process.while_alive(SOON, never).await.expect_err("it ended"));

    assert!(error.contains("exit status: 3"), "{error}");
    process.log().wait_for("out of luck", SOON).await?;
    Ok(())
}

#[tokio::test]
async fn it_is_gone_when_dropped() -> Result<()> {
    let process = shell("echo started; exec sleep 1000")?;
    process.log().wait_for("started", SOON).await?;
    let id = process.id().context("running")?.to_string();
    let exists =
        || std::process::Command::new("kill").args(["-0", &id]).output().map(|kill| kill.status.success());
    assert!(exists()?);

    drop(process);

    assert!(!exists()?);
    Ok(())
}

#[tokio::test]
async fn it_can_be_told_to_end_and_to_pause() -> Result<()> {
    let mut process = shell("trap 'echo ending; exit 7' TERM; echo started; while :; do sleep 0.01; done")?;
    process.log().wait_for("started", SOON).await?;

    process.suspend()?;
    process.resume()?;
    let status = process.terminate(SOON).await?;

    assert_eq!(status.code(), Some(7));
    assert!(process.log().text().contains("ending"));
    Ok(())
}
