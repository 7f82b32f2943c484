//! The TLS handshake, and why it fails, in words for whoever has configured either end.

use std::io;
use std::mem::{self, Discriminant};
use std::net::SocketAddr;
use std::time::Duration;

use rustls::{AlertDescription, Error};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, sink};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::warn;

use crate::config::Port;
use crate::metrics::Metrics;
use crate::quiet::Quiet;
use crate::tls::{Certificate, Flaw, PortTls};

/// Most bytes that are read of a peer after its handshake has failed, and the longest time that it gets to take the
/// alert: a first request is shorter, and it is a small part of the time that a handshake may take.
const PART_BYTES: u64 = 16 * 1024;
const PART_TIME: Duration = Duration::from_secs(1);

/// Why a handshake fails.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("nothing came in time")]
    Slow,
    #[error("the peer does not speak TLS: give its cluster a transport socket with TLS, or its URL https")]
    Plaintext,
    #[error("the peer shows no certificate: give it one of an authority in tls.edge_ca_file")]
    NoCertificate,
    #[error("the peer's certificate {}{}", .0, mend(.0))]
    Certificate(Flaw),
    #[error(
        "the peer does not accept our certificate ({0}): does it trust its authority, and is the name that it asks for in it?"
    )]
    Distrusted(String),
    #[error("{0}")]
    Other(String),
}

impl Failure {
    fn of(error: &io::Error) -> Self {
        let tls = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
        match tls {
            None => Self::Other(error.to_string()),
            Some(Error::InvalidMessage(_)) => Self::Plaintext,
            Some(Error::NoCertificatesPresented) => Self::NoCertificate,
            Some(Error::InvalidCertificate(error)) => Self::Certificate(Flaw::of(error, "clients")),
            Some(Error::AlertReceived(
                alert @ (AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown),
            )) => Self::Distrusted(format!("{alert:?}")),
            Some(error) => Self::Other(error.to_string()),
        }
    }

    const fn kind(&self) -> Kind {
        let flaw = match self {
            Self::Certificate(flaw) => Some(mem::discriminant(flaw)),
            _ => None,
        };
        (mem::discriminant(self), flaw)
    }
}

/// What to do about a peer's certificate.
const fn mend(flaw: &Flaw) -> &'static str {
    match flaw {
        Flaw::Expired => ": renew it",
        Flaw::NotYet => ": are the clocks right, here and there?",
        Flaw::Authority => {
            ": put that into tls.edge_ca_file, or give the peer a certificate of one that is there"
        }
        Flaw::AuthorityItself => ": sign one for the peer with basicConstraints=CA:FALSE",
        Flaw::Purpose(_) => ": make one with extendedKeyUsage=clientAuth, or without any",
        Flaw::Name(_) | Flaw::Other(_) => "",
    }
}

/// Makes the connection secure; the certificate is the peer's, if it was asked for one.
pub(super) async fn shake(
    tls: &PortTls,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, Option<Certificate>), (Failure, Option<TcpStream>)> {
    let accepted = TlsAcceptor::from(tls.config()).accept(stream).into_fallible().await;
    let stream = accepted.map_err(|(error, stream)| (Failure::of(&error), Some(stream)))?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    match shown.map(Certificate::read).transpose() {
        Ok(certificate) => Ok((stream, certificate)),
        Err(error) => {
            let failure = Failure::Certificate(Flaw::Other(error.to_string()));
            Err((failure, Some(stream.into_inner().0)))
        }
    }
}

/// Leaves a peer after the alert that says why. What it has sent meanwhile is read: a socket that is closed with
/// something unread in it is reset, and the alert may be lost with that.
pub(super) async fn part(mut stream: TcpStream) {
    let rest = async {
        let _ = stream.shutdown().await;
        let _ = copy(&mut stream.take(PART_BYTES), &mut sink()).await;
    };
    let _ = timeout(PART_TIME, rest).await;
}

/// Failures that are logged apart.
type Kind = (Discriminant<Failure>, Option<Discriminant<Flaw>>);

/// Counts and logs the failures of a port.
#[derive(Debug)]
pub(super) struct Failures {
    port: Port,
    metrics: Metrics,
    quiet: Quiet<Kind>,
}

impl Failures {
    pub(super) fn new(port: Port, metrics: Metrics) -> Self {
        Self { port, metrics, quiet: Quiet::default() }
    }

    pub(super) fn note(&self, peer: SocketAddr, failure: &Failure) {
        self.metrics.handshake_failed(self.port);
        if self.quiet.is_due(Some(peer.ip()), failure.kind(), Instant::now()) {
            warn!(%peer, port = self.port.name(), "no TLS with a peer: {failure}");
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;
    use tokio::net::TcpListener;
    use tokio::time::sleep;

    use super::*;

    #[test]
    fn a_certificate_that_is_refused_is_told_in_words() {
        let of = |error: CertificateError| {
            let error = io::Error::new(io::ErrorKind::InvalidData, Error::InvalidCertificate(error));
            Failure::of(&error).to_string()
        };
        assert_eq!(of(CertificateError::Expired), "the peer's certificate has expired: renew it");
        let purpose = of(CertificateError::InvalidPurpose);
        assert!(purpose.starts_with("the peer's certificate is not for clients: make one with"), "{purpose}");
        let authority = of(CertificateError::UnknownIssuer);
        assert!(authority.contains("not trusted here: put that into tls.edge_ca_file"), "{authority}");
        assert_eq!(of(CertificateError::Revoked), "the peer's certificate is refused: Revoked");
    }

    /// What a peer receives to whom this was said while it goes on sending.
    async fn received(leave: impl AsyncFnOnce(TcpStream)) -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut peer = TcpStream::connect(listener.local_addr()?).await?;
        let (mut stream, _) = listener.accept().await?;
        peer.write_all(b"a request").await?;
        stream.write_all(b"alert").await?;
        let read = async {
            sleep(Duration::from_millis(50)).await;
            peer.write_all(b"and its body").await?;
            sleep(Duration::from_millis(50)).await;
            let mut text = String::new();
            peer.read_to_string(&mut text).await.map(|_| text)
        };
        tokio::join!(read, leave(stream)).0
    }

    #[tokio::test]
    async fn a_peer_that_goes_on_sending_still_reads_the_alert() {
        assert_eq!(received(part).await.unwrap(), "alert");
        assert!(received(async |stream| drop(stream)).await.is_err());
    }

    #[tokio::test]
    async fn a_peer_that_stays_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let begun = Instant::now();
        part(stream).await;
        assert!(begun.elapsed() >= PART_TIME);

        let (mut flood, stream) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        flood.as_mut().unwrap().write_all(&[0; 64 * 1024]).await.unwrap();
        let begun = Instant::now();
        part(stream.unwrap().0).await;
        assert!(begun.elapsed() < PART_TIME);
        assert_eq!(peer.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }
}
