//! `cargo xtask demo --once`, as a newcomer sees it.

use std::process::Command;

use anyhow::Result;

#[test]
fn every_step_of_the_demonstration_holds() -> Result<()> {
    let demo = Command::new(env!("CARGO_BIN_EXE_portcullis-demo")).arg("--once").output()?;

    let said = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{said}{}", String::from_utf8_lossy(&demo.stderr));
    assert!(said.ends_with("Every step held.\n"), "{said}");
    assert!(!said.contains('\u{1b}'), "no colors where nobody looks: {said}");

    let readme = include_str!("../../../../README.md");
    let shown =
        readme.split_once("```text\n").and_then(|(_, rest)| rest.split_once("```")).unwrap_or_default().0;
    assert_eq!(outline(shown), outline(&said), "the README shows another demonstration");
    Ok(())
}

/// The narration without what differs between two runs.
fn outline(said: &str) -> Vec<&str> {
    said.lines().filter(|line| line.starts_with('[') || line.starts_with("Every step")).collect()
}
