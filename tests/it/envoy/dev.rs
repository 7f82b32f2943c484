//! What `portcullis dev` makes is enough for an Envoy with TLS and certificates on both sides, and a token to revoke:
//! the commands of docs/src/install/try.md.

use std::path::Path;

use portcullis_testbed::{Bootstrap, Envoy, Upstream, paths};

use super::support::{outcome, workers};
use crate::support::{run, setup};

fn program() -> std::process::Command {
    std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"))
}

/// A run of the command line, which must succeed.
fn portcullis(args: &[&str], dir: &Path) -> String {
    let ran = program().args(args).current_dir(dir).output().unwrap();
    assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[tokio::test]
async fn a_session_is_rejected_with_what_dev_makes() {
    let dir = tempfile::tempdir().unwrap();
    portcullis(&["dev", "init", "try"], dir.path());
    let made = dir.path().join("try");
    let config = std::fs::read_to_string(made.join("portcullis.toml")).unwrap();
    let (_, sections) = config.split_once("\n[tls]").unwrap();
    let plane = setup()
        .config(&format!("[tls]{sections}"))
        // The testbed asks whether it is ready without TLS.
        .env("PORTCULLIS_TLS_PORTS", "edge")
        .start()
        .await
        .unwrap();
    let upstream = Upstream::start().await.unwrap();
    let filter = paths::filter().unwrap();
    let edge = made.join("edge");
    let control_plane = format!("localhost:{}", plane.edge_address().port());
    let args = [
        "config",
        "envoy",
        "--node",
        "edge-1",
        "--control-plane",
        &control_plane,
        "--tls-dir",
        edge.to_str().unwrap(),
        "--write-secrets",
        "--filter",
        filter.to_str().unwrap(),
        "--issuer",
        "https://idp.test",
        "--jwks",
        &format!("{}/jwks.json", made.display()),
        "--service",
        &upstream.address().to_string(),
    ];
    let text = portcullis(&args, dir.path());
    assert!(
        !text.contains("# <-") && !text.contains("remote_jwks") && !text.contains("name: idp\n"),
        "{text}"
    );
    let envoy = Envoy::start(Bootstrap::printed(&text)).await.unwrap();
    // One for its worker thread, and the main thread's.
    workers(&plane, 2).await;

    let token = |sid: &str| portcullis(&["dev", "token", "try", "--sid", sid], dir.path()).trim().to_owned();
    // As a shell reads it.
    let env = std::fs::read_to_string(made.join("env")).unwrap();
    let shell = ". try/env && printf '%s\n%s\n' \"$TOKEN\" \"$PORTCULLIS_CA_FILE\"";
    let read = std::process::Command::new("sh").args(["-c", shell]).current_dir(dir.path()).output().unwrap();
    let read = String::from_utf8(read.stdout).unwrap();
    let (s1, ca) = read.trim_end().split_once('\n').unwrap();
    assert!(Path::new(ca).is_file() && env.contains("PORTCULLIS_ADMIN_KEY="), "{env}");
    let (s1, s2) = (s1.to_owned(), token("s2"));
    let status = async |token: &str| outcome(&envoy.http1().get("/").bearer(token).send().await.unwrap());
    assert_eq!(status(&s1).await.0, 200);
    run(&plane, &["revoke", "session", "s1", "--wait"], 0).await;
    assert_eq!(status(&s1).await, (401, Some("session_revoked".into())));
    assert_eq!(status(&s2).await.0, 200);
    let edges = run(&plane, &["edges"], 0).await;
    assert!(edges.stdout.contains("edge-1"), "{}", edges.stdout);
    // It ends with 0 only if it has found nothing.
    run(&plane, &["doctor", "--envoy", &envoy.admin_url()], 0).await;

    // Nothing is overwritten, secrets are private, and an address is no name.
    let again = program().args(["dev", "init", "try"]).current_dir(dir.path()).output().unwrap();
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    #[cfg(unix)]
    for secret in ["tls.key", "edge/tls.key", "issuer.key", "env"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(made.join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{secret}");
    }
    let address = ["config", "envoy", "--control-plane", "127.0.0.1:8471", "--tls-dir", "x"];
    let address = program().args(address).output().unwrap();
    assert!(String::from_utf8_lossy(&address.stderr).contains("needs a name"), "{address:?}");
}
