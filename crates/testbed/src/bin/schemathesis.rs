//! `cargo xtask schemathesis`: makes up requests from the OpenAPI document of a live control plane, as an admin.
//!
//! `$SCHEMATHESIS` is the program; arguments are passed on to it.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use portcullis_testbed::{ControlPlaneSetup, Issuer, paths};
use tokio::process::Command;

/// What every answer must be: no error of the server's, and as the document has it.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

const WEBHOOK: &str = r#"
[[webhooks]]
name = "hr"
issuer = "ISSUER"
secret_env = "HR_WEBHOOK_SECRET"
scheme = "token"
header = "x-token"
[[webhooks.rules]]
when = { "/type" = "left" }
action = "revoke_until_reinstated"
kind = "subject"
value = "/user"
"#;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let program = std::env::var("SCHEMATHESIS").context("$SCHEMATHESIS: run `cargo xtask schemathesis`")?;
    let issuer = Issuer::start().await?;
    let plane = ControlPlaneSetup::new(paths::control_plane()?)
        .issuer(&issuer, "name = \"acme\"\naudiences = [\"portcullis\"]\nallow_private_addresses = true")
        .config(&WEBHOOK.replace("ISSUER", issuer.name()))
        .env("HR_WEBHOOK_SECRET", "a secret of the demonstration")
        // It asks faster than any provider.
        .env("PORTCULLIS_INLETS_REQUESTS_PER_MINUTE", "4000000")
        .start()
        .await?;
    let mut schemathesis = Command::new(program);
    schemathesis.arg("run").arg(format!("{}/v1/openapi.json", plane.url()));
    schemathesis.arg("--header").arg(format!("Authorization: Bearer {}", plane.admin_key()));
    schemathesis.args(["--checks", CHECKS]).args(std::env::args_os().skip(1));
    // Killed with us.
    let status = schemathesis.kill_on_drop(true).status().await.context("cannot start schemathesis")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
