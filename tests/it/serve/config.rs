use super::Serve;

#[tokio::test]
async fn what_is_wrong_in_the_file_is_named_with_its_line() {
    for (text, says) in [
        ("[listen]\nhtpp = \"127.0.0.1:0\"\n", &["line 2", "htpp"][..]),
        ("\n\n[log]\nretention = \"soon\"\n", &["portcullis.toml:4", "log.retention", "soon"]),
        ("data_dir = 7\n", &["line 1", "data_dir"]),
        ("[[issuers]]\nissuer = \"a\"\ncutoff_claim = \"exp\"\n", &["portcullis.toml:3", "cutoff_claim"]),
    ] {
        Serve::new().config(text).refuses(2, says).await;
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_an_error_if_it_was_named() {
    Serve::new().arg("--config").arg("elsewhere.toml").refuses(2, &["elsewhere.toml"]).await;
}

#[tokio::test]
async fn wrong_variables_are_named() {
    Serve::new().env("PORTCULLIS_DATADIR", "x").refuses(2, &["PORTCULLIS_DATADIR"]).await;
    Serve::new().env("PORTCULLIS_EDGE_HEARTBEAT", "x").refuses(2, &["PORTCULLIS_EDGE_HEARTBEAT"]).await;
    let short = Serve::new().env("PORTCULLIS_ADMIN_KEY", "s3cret").ends().await;
    let stderr = String::from_utf8_lossy(&short.stderr).into_owned();
    assert_eq!(short.status.code(), Some(2));
    assert!(stderr.contains("PORTCULLIS_ADMIN_KEY") && !stderr.contains("s3cret"), "{stderr}");
}

#[tokio::test]
async fn other_machines_are_not_let_in_without_tls() {
    let any = || Serve::new().env("PORTCULLIS_LISTEN_EDGE", "0.0.0.0:0");
    any().refuses(2, &["listen.edge", "0.0.0.0:0", "--allow-plaintext"]).await;
    let any = Serve::new().env("PORTCULLIS_LISTEN_HTTP", "[::]:0");
    any.refuses(2, &["listen.http", "--allow-plaintext"]).await;
}
