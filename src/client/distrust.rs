//! Why a connection is not secure, in words, and what to do about it.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// Why a connection is not secure.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Distrust {
    /// What answers is not TLS.
    #[error("what answers there is not TLS")]
    NotTls,
    /// It wants to see a certificate.
    #[error("it asks for a certificate")]
    CertificateRequired,
    /// Its certificate is over.
    #[error("its certificate has expired")]
    Expired,
    /// Its certificate is of the future.
    #[error("its certificate is not valid yet")]
    NotYet,
    /// Its certificate is for others.
    #[error("its certificate is not for {0}")]
    Name(String),
    /// Who has signed its certificate is not trusted.
    #[error("its certificate is of an authority that is not trusted here")]
    Authority,
    /// Its certificate is an authority's.
    #[error("its certificate is a certificate authority's own")]
    AuthorityAsServer,
    /// Its certificate is for clients, mail, code, ..
    #[error("its certificate is not for servers")]
    Purpose,
    /// Something else is wrong with its certificate.
    #[error("its certificate is refused: {0}")]
    Refused(String),
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
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            error => Self::Other(error.to_string()),
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYet,
            CertificateError::NotValidForName => Self::Name("that name".to_owned()),
            CertificateError::NotValidForNameContext { expected, presented } => {
                let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
                let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
                Self::Name(format!("{}, but for {names}", expected.to_str()))
            }
            // A bad signature is one of an authority of the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Authority,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::Purpose
            }
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                Self::Refused("its signature is of an unknown kind".to_owned())
            }
            // webpki's own errors have no other type here.
            CertificateError::Other(error) => match error.to_string() {
                name if name == "CaUsedAsEndEntity" => Self::AuthorityAsServer,
                name => Self::Refused(name),
            },
            error => Self::Refused(error.to_string()),
        }
    }

    /// What to do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NotTls => "does it speak TLS? is this the right port?",
            Self::CertificateRequired => "that is the port for edges: use the HTTP port, 8470 by default",
            Self::Expired => "renew it: the control plane reads its files again by itself",
            Self::NotYet => "are the clocks right, here and there?",
            Self::Name(_) => "--url must have a name that is in its certificate",
            Self::AuthorityAsServer => {
                "its certificate is an authority's own (CA:TRUE): sign one for it with basicConstraints=CA:FALSE"
            }
            Self::Purpose => "make one with extendedKeyUsage=serverAuth",
            Self::Authority => {
                "give the certificate authority that signed its certificate with --ca-file (PORTCULLIS_CA_FILE)"
            }
            Self::Refused(_) | Self::Other(_) => {
                "look at its certificate, and at the control plane's log: it says why a handshake failed"
            }
        }
    }
}

/// A name without its kind: `a.example` of `DnsName("a.example")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{InvalidMessage, OtherError};

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
        certificate(CertificateError::NotValidForName, "not for that name", "--url must have a name");
        certificate(
            CertificateError::NotValidForNameContext {
                expected: "localhost".try_into().unwrap(),
                presented: vec!["DnsName(\"a.example\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()],
            },
            "not for localhost, but for a.example, 10.0.0.1",
            "--url must have a name",
        );
        certificate(CertificateError::UnknownIssuer, "not trusted here", "--ca-file");
        certificate(CertificateError::BadSignature, "not trusted here", "--ca-file");
        certificate(CertificateError::InvalidPurpose, "not for servers", "serverAuth");
        certificate(CertificateError::Revoked, "refused: Revoked", "look at its certificate");
        let other = |name: &'static str| CertificateError::Other(OtherError(Arc::from(Box::from(name))));
        certificate(other("CaUsedAsEndEntity"), "authority's own", "basicConstraints=CA:FALSE");
        certificate(other("NameConstraintViolation"), "refused: NameConstraintViolation", "look at");
    }

    #[test]
    fn what_is_not_tls_is_another_matter() {
        assert_eq!(Distrust::of_io(&io::Error::from(io::ErrorKind::ConnectionReset)), None);
        assert_eq!(Distrust::of_io(&io::Error::new(io::ErrorKind::InvalidData, "not UTF-8")), None);
        let error = Error::InvalidCertificate(CertificateError::Expired);
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, error);
        assert_eq!(Distrust::of_io(&wrapped), Some(Distrust::Expired));
    }
}
