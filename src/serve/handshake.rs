//! The TLS handshake, and why it fails, in words for whoever has configured either end.

use std::io;
use std::mem::{self, Discriminant};
use std::net::SocketAddr;

use rustls::{AlertDescription, Error};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::warn;

use crate::config::Port;
use crate::metrics::Metrics;
use crate::quiet::Quiet;
use crate::tls::{Certificate, Flaw, PortTls};

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
) -> Result<(TlsStream<TcpStream>, Option<Certificate>), Failure> {
    let stream = TlsAcceptor::from(tls.config()).accept(stream).await.map_err(|error| Failure::of(&error))?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = shown.map(Certificate::read).transpose();
    let certificate = certificate.map_err(|error| Failure::Certificate(Flaw::Other(error.to_string())))?;
    Ok((stream, certificate))
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
}
