//! Help, completions and the manual page.

use tokio::process::Command;

async fn stdout(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let output = command.args(args).env("PORTCULLIS_KEY", "very-secret").output().await.unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn help_documents_the_exit_codes_and_hides_the_key() {
    let help = stdout(&["--help"]).await;
    for line in [
        "0  done",
        "1  the control plane said no",
        "2  wrong usage",
        "3  the control plane cannot",
        "4  the key",
        "5  accepted, but not enforced",
    ] {
        assert!(help.contains(line), "{line} in {help}");
    }
    for verb in [
        "serve",
        "revoke",
        "reinstate",
        "undo",
        "list",
        "check",
        "edges",
        "events",
        "report",
        "import",
        "key",
        "doctor",
    ] {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb} in {help}");
        assert!(!stdout(&[verb, "--help"]).await.contains("very-secret"));
    }
    assert!(!help.contains("very-secret"));
}

#[tokio::test]
async fn completions_are_there_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&["completions", shell]).await;
        assert!(script.contains("portcullis") && script.contains("reinstate"), "{shell}");
    }
}

#[tokio::test]
async fn the_manual_page_has_every_verb() {
    let page = stdout(&["man"]).await;
    assert!(page.contains(".TH portcullis 1"), "{page}");
    for verb in ["REVOKE", "UNDO", "REPORT", "IMPORT", "KEY CREATE", "CONFIG ENVOY", "DOCTOR"] {
        assert!(page.contains(&format!(".SH \"PORTCULLIS {verb}\"")), "{verb}");
    }
    assert!(!page.contains("very-secret"));
}

#[tokio::test]
async fn an_envoy_configuration_is_the_example_with_what_was_given() {
    let example = include_str!("../../../envoy/envoy.yaml");
    assert_eq!(stdout(&["config", "envoy"]).await, example);
    let given =
        stdout(&["config", "envoy", "--control-plane", "10.0.0.7:9471", "--edge-key", "pk_a_b"]).await;
    assert!(
        given.contains("{ address: 10.0.0.7, port_value: 9471 }") && given.contains("\"token\": \"pk_a_b\"")
    );
}
