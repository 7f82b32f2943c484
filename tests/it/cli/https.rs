//! A control plane behind https, as a certificate authority of the operator's own vouches for it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use portcullis_testbed::Authority;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;
use tokio::process::Command;

const ANSWER: &str = "{\"issuers\": [] }";

/// A server that answers every call with this JSON; `ca.pem` in the directory vouches for it.
pub(crate) fn server(json: &str) -> (SocketAddr, TempDir) {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{json}",
        json.len()
    );
    let authority = Authority::new().unwrap();
    let own = authority.issue(&["127.0.0.1"]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(connection, socket));
            // A client that does not trust it hangs up here.
            let whole = stream.by_ref().lines().map_while(Result::ok).any(|line| line.is_empty());
            if whole {
                let _ = stream.get_mut().write_all(answer.as_bytes());
                stream.get_mut().conn.send_close_notify();
                let _ = stream.get_mut().flush();
            }
        }
    });
    (address, dir)
}

async fn issuers(address: SocketAddr, more: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["issuers", "--json", "--url", &format!("https://{address}")]).args(more);
    command.output().await.unwrap()
}

#[tokio::test]
async fn a_certificate_authority_that_is_given_is_trusted() {
    let (address, dir) = server(ANSWER);
    let ca = dir.path().join("ca.pem");
    let output = issuers(address, &["--ca-file", ca.to_str().unwrap()]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"{\"issuers\": [] }\n");
}

#[tokio::test]
async fn another_one_is_not() {
    let (address, _dir) = server(ANSWER);
    let output = issuers(address, &[]).await;
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("no secure connection") && stderr.contains("--ca-file"), "{stderr}");
}

#[tokio::test]
async fn a_file_without_certificates_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("empty.pem");
    std::fs::write(&path, "no certificate").unwrap();
    let address = "127.0.0.1:1".parse().unwrap();
    let output = issuers(address, &["--ca-file", path.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
