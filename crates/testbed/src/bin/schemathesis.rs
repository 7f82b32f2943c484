//! `cargo xtask schemathesis`: makes up requests from the OpenAPI document of a live control plane, as an admin and, for
//! SCIM, with a key that is limited to an issuer.
//!
//! `$SCHEMATHESIS` is the program; arguments are passed on to it.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use portcullis_testbed::{ControlPlane, ControlPlaneSetup, Issuer, paths};
use serde_json::Value;
use tokio::process::Command;

/// What every answer must be: no error of the server's, and as the document has it.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// Bodies that schemathesis does not know how to send.
const HOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemathesis.py");
const SCIM: &str = "^/inlets/scim";

/// The secrets of both are the admin's key, which every request carries: what is behind them is reached.
const INLETS: &str = r#"
[[ssf]]
name = "idp"
transmitter = "ISSUER"
delivery = "push"
authorization_env = "STREAM_AUTHORIZATION"

[[webhooks]]
name = "hr"
issuer = "ISSUER"
secret_env = "HR_WEBHOOK_SECRET"
scheme = "token"
header = "authorization"
prefix = "Bearer "
[[webhooks.rules]]
when = { "/type" = "left" }
action = "revoke_until_reinstated"
kind = "subject"
value = "/user"
"#;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let issuer = Issuer::start().await?;
    let bearer = format!("Bearer {}", ControlPlane::ADMIN_KEY);
    let plane = ControlPlaneSetup::new(paths::control_plane()?)
        .issuer(&issuer, "name = \"acme\"\naudiences = [\"portcullis\"]\nallow_private_addresses = true")
        .config(&INLETS.replace("ISSUER", issuer.name()))
        .env("HR_WEBHOOK_SECRET", ControlPlane::ADMIN_KEY)
        .env("STREAM_AUTHORIZATION", &bearer)
        // It asks faster than any provider.
        .env("PORTCULLIS_INLETS_REQUESTS_PER_MINUTE", "4000000")
        .start()
        .await?;
    let admin = run(&plane, plane.admin_key(), &["--exclude-path-regex", SCIM]).await?;
    // Made now: an admin deletes keys.
    let key = ["key", "create", "scim", "--scope", "revoke", "--issuer", issuer.name(), "--json"];
    let key = plane.run(key).await?.json()?;
    let key = key.get("key").and_then(Value::as_str).context("no key was made")?;
    let scim = run(&plane, key, &["--include-path-regex", SCIM]).await?;
    Ok(if admin && scim { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether every check held.
async fn run(plane: &ControlPlane, key: &str, paths: &[&str]) -> Result<bool> {
    let program = std::env::var("SCHEMATHESIS").context("$SCHEMATHESIS: run `cargo xtask schemathesis`")?;
    let mut schemathesis = Command::new(program);
    schemathesis.arg("run").arg(format!("{}/v1/openapi.json", plane.url()));
    schemathesis.arg("--header").arg(format!("Authorization: Bearer {key}"));
    schemathesis.args(["--checks", CHECKS, "--continue-on-failure"]).args(paths);
    schemathesis.args(std::env::args_os().skip(1)).env("SCHEMATHESIS_HOOKS", HOOKS);
    // Killed with us.
    let status = schemathesis.kill_on_drop(true).status().await.context("cannot start schemathesis")?;
    Ok(status.success())
}
