//! Why a connection is not secure, in words, and what to do about it.

use std::io;

use rustls::{AlertDescription, Error};

use crate::tls::Flaw;

/// Why a connection is not secure.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Distrust {
    /// What answers is not TLS.
    #[error("what answers there is not TLS")]
    NotTls,
    /// It wants to see a certificate.
    #[error("it asks for a certificate")]
    CertificateRequired,
    /// Something is wrong with its certificate.
    #[error("its certificate {0}")]
    Certificate(Flaw),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Distrust {
    /// Why TLS has failed, if it is that.
    pub(super) fn of_io(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().map(Self::of)
    }

    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::InvalidMessage(_) => Self::NotTls,
            Error::AlertReceived(AlertDescription::CertificateRequired) => Self::CertificateRequired,
            Error::InvalidCertificate(error) => Self::Certificate(Flaw::of(error, "servers")),
            error => Self::Other(error.to_string()),
        }
    }

    /// What to do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NotTls => "does it speak TLS? is this the right port?",
            Self::CertificateRequired => "that is the port for edges: use the HTTP port, 8470 by default",
            Self::Certificate(Flaw::Expired) => "renew it: the control plane reads its files again by itself",
            Self::Certificate(Flaw::NotYet) => "are the clocks right, here and there?",
            Self::Certificate(Flaw::Name(_)) => {
                "give a --url with a name that is in its certificate, or the control plane a certificate with that name"
            }
            Self::Certificate(Flaw::AuthorityItself) => {
                "its certificate is an authority's own (CA:TRUE): sign one for it with basicConstraints=CA:FALSE"
            }
            Self::Certificate(Flaw::Purpose(_)) => "make one with extendedKeyUsage=serverAuth",
            Self::Certificate(Flaw::Authority) => {
                "give the certificate authority that signed its certificate with --ca-file (PORTCULLIS_CA_FILE)"
            }
            Self::Certificate(Flaw::Other(_)) | Self::Other(_) => {
                "look at its certificate, and at the control plane's log: it says why a handshake failed"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{CertificateError, InvalidMessage, OtherError};

    use super::*;

    #[track_caller]
    fn check(error: &Error, says: &str, hint: &str) {
        let found = Distrust::of(error);
        assert!(found.to_string().contains(says), "{found}");
        assert!(found.hint().contains(hint), "{found:?}: {}", found.hint());
    }

    #[test]
    fn each_reason_has_its_own_words_and_what_to_do() {
        check(&InvalidMessage::InvalidContentType.into(), "not TLS", "is this the right port?");
        check(
            &Error::AlertReceived(AlertDescription::CertificateRequired),
            "asks for",
            "the HTTP port, 8470",
        );
        check(&Error::AlertReceived(AlertDescription::HandshakeFailure), "HandshakeFailure", "log");
        let certificate = |error: CertificateError, says: &str, hint: &str| check(&error.into(), says, hint);
        certificate(CertificateError::Expired, "has expired", "renew it");
        certificate(CertificateError::NotValidYet, "not valid yet", "clocks");
        certificate(CertificateError::NotValidForName, "not for that name", "give a --url with a name");
        certificate(
            CertificateError::NotValidForNameContext {
                expected: "localhost".try_into().unwrap(),
                presented: vec!["DnsName(\"a.example\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()],
            },
            "not for localhost, but for a.example, 10.0.0.1",
            "give a --url with a name",
        );
        certificate(CertificateError::UnknownIssuer, "not trusted here", "--ca-file");
        certificate(CertificateError::BadSignature, "not trusted here", "--ca-file");
        certificate(CertificateError::InvalidPurpose, "not for servers", "serverAuth");
        certificate(CertificateError::Revoked, "refused: Revoked", "look at its certificate");
        let other = |name: &'static str| CertificateError::Other(OtherError(Arc::from(Box::from(name))));
        certificate(other("CaUsedAsEndEntity"), "authority's own", "basicConstraints=CA:FALSE");
        certificate(other("NameConstraintViolation"), "may not sign such names", "look at");
        certificate(other("EndEntityUsedAsCa"), "is no certificate authority", "look at");
        certificate(other("BadDer"), "refused: BadDer", "look at");
    }

    #[test]
    fn what_is_not_tls_is_another_matter() {
        assert_eq!(Distrust::of_io(&io::Error::from(io::ErrorKind::ConnectionReset)), None);
        assert_eq!(Distrust::of_io(&io::Error::new(io::ErrorKind::InvalidData, "not UTF-8")), None);
        let error = Error::InvalidCertificate(CertificateError::Expired);
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, error);
        assert_eq!(Distrust::of_io(&wrapped), Some(Distrust::Certificate(Flaw::Expired)));
    }
}
