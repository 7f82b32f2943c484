//! A control plane behind https, as a certificate authority of the operator's own vouches for it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use portcullis_testbed::{Authority, Certified};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::now;

const ANSWER: &str = "{\"issuers\": [] }";

/// A server that answers every call with this JSON; `ca.pem` in the directory vouches for it.
pub(crate) fn server(json: &str) -> (SocketAddr, TempDir) {
    let authority = Authority::new().unwrap();
    let own = authority.issue(&["127.0.0.1"]).unwrap();
    server_with(&own, &authority.pem(), json)
}

/// The same with another certificate, and who vouches for it.
fn server_with(own: &Certified, authority: &str, json: &str) -> (SocketAddr, TempDir) {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{json}",
        json.len()
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), authority).unwrap();

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

/// Why it is not trusted, and what to do; doctor says the same, and not to start what is there.
async fn refused(own: &Certified, authority: &str, says: &str, hint: &str) {
    let (address, dir) = server_with(own, authority, ANSWER);
    for verb in ["issuers", "doctor"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args([verb, "--url", &format!("https://{address}"), "--ca-file", "ca.pem"]);
        let output = command.current_dir(dir.path()).output().await.unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        assert!(text.contains(&format!("no secure connection to https://{address}: {says}")), "{text}");
        assert!(text.contains(&format!("hint: {hint}")), "{text}");
        assert!(!text.contains("portcullis serve") && !text.contains("Other("), "{text}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told() {
    let (authority, now) = (Authority::new().unwrap(), now());
    let own = |names: &[&str], from, until| authority.issue_for(names, from, until).unwrap();
    let good = own(&["127.0.0.1"], now - 60, now + 3_600);
    let expired = own(&["127.0.0.1"], now - 7_200, now - 60);
    refused(&expired, &authority.pem(), "its certificate has expired", "renew it").await;
    let early = own(&["127.0.0.1"], now + 3_600, now + 7_200);
    refused(&early, &authority.pem(), "its certificate is not valid yet", "are the clocks right").await;
    let other = own(&["plane.example"], now - 60, now + 3_600);
    let says = "its certificate is not for 127.0.0.1, but for plane.example";
    refused(&other, &authority.pem(), says, "give a --url with a name that is in its certificate").await;
    let stranger = Authority::new().unwrap();
    let says = "its certificate is of an authority that is not trusted here";
    refused(&good, &stranger.pem(), says, "give the certificate authority").await;

    let itself = |edit: fn(&mut CertificateParams)| {
        let (key, mut params) =
            (KeyPair::generate().unwrap(), CertificateParams::new(["127.0.0.1".to_owned()]).unwrap());
        edit(&mut params);
        Certified { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    };
    let own = itself(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let says = "its certificate is a certificate authority's own";
    refused(&own, &own.certificate, says, "its certificate is an authority's own (CA:TRUE)").await;
    let own = itself(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    refused(&own, &own.certificate, "its certificate is not for servers", "make one with").await;
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
