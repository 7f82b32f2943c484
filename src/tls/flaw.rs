//! What is wrong with a certificate that the other end of a connection has shown, in words.

use rustls::CertificateError;

/// What is wrong with a certificate, as what is said of it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Flaw {
    /// It is over.
    #[error("has expired")]
    Expired,
    /// It is of the future.
    #[error("is not valid yet")]
    NotYet,
    /// It is for others.
    #[error("is not for {0}")]
    Name(String),
    /// Who has signed it is not trusted.
    #[error("is of an authority that is not trusted here")]
    Authority,
    /// It is an authority's.
    #[error("is a certificate authority's own")]
    AuthorityItself,
    /// It is for mail, code, the other end, ..
    #[error("is not for {0}")]
    Purpose(&'static str),
    /// Something else.
    #[error("is refused: {0}")]
    Other(String),
}

impl Flaw {
    /// What was found in the certificate of one of the `holders`: servers or clients.
    #[must_use]
    pub fn of(error: &CertificateError, holders: &'static str) -> Self {
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
                Self::Purpose(holders)
            }
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                Self::Other("its signature is of an unknown kind".to_owned())
            }
            // webpki's own errors have no other type here.
            CertificateError::Other(error) => Self::of_name(error.to_string()),
            error => Self::Other(error.to_string()),
        }
    }

    fn of_name(name: String) -> Self {
        Self::Other(match name.as_str() {
            "CaUsedAsEndEntity" => return Self::AuthorityItself,
            "EndEntityUsedAsCa" => "what has signed it is no certificate authority (CA:FALSE)".to_owned(),
            "NameConstraintViolation" => "its authority may not sign such names (nameConstraints)".to_owned(),
            "PathLenConstraintViolated" => {
                "there are more authorities between it and the root than that allows (pathlen)".to_owned()
            }
            "UnsupportedCertVersion" => "it is not of X.509 version 3".to_owned(),
            _ => name,
        })
    }
}

/// A name without its kind: `a.example` of `DnsName("a.example")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}
