//! What a certificate says of its holder (RFC 5280).

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::clock::UnixMillis;

/// Most names that are looked at: who has signed it decides how many there are.
const MAX_NAMES: usize = 64;

/// A certificate's names and its time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// URI (a SPIFFE ID is one) and DNS names of the subject (section 4.2.1.6).
    pub names: Vec<String>,
    /// Not valid before, Unix seconds.
    not_before: i64,
    /// Not valid after, Unix seconds.
    not_after: i64,
}

/// Why a certificate is of no use.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// Its bytes are none.
    #[error("not an X.509 certificate: {0}")]
    Syntax(String),
    /// It has expired.
    #[error("the certificate has expired at {0}: renew it")]
    Expired(Timestamp),
    /// It is of the future, or the clock is wrong.
    #[error("the certificate is not valid before {0}: is the clock right?")]
    NotYet(Timestamp),
}

impl Certificate {
    /// Reads one. Its signature is somebody else's business.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let syntax = |error: &dyn std::fmt::Display| CertificateError::Syntax(error.to_string());
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| syntax(&error))?;
        let names = certificate.subject_alternative_name().map_err(|error| syntax(&error))?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::URI(name) | GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        Ok(Self {
            names: names.take(MAX_NAMES).collect(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }

    /// Whether it is valid at that time.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, now_ms: UnixMillis) -> Result<(), CertificateError> {
        let now = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
        if now > self.not_after {
            return Err(CertificateError::Expired(timestamp(self.not_after)));
        }
        if now < self.not_before {
            return Err(CertificateError::NotYet(timestamp(self.not_before)));
        }
        Ok(())
    }

    /// When its validity ends.
    #[must_use]
    pub fn valid_until(&self) -> Timestamp {
        timestamp(self.not_after)
    }

    /// When its validity begins, Unix milliseconds.
    #[must_use]
    pub fn begins_ms(&self) -> UnixMillis {
        u64::try_from(self.not_before).unwrap_or_default().saturating_mul(1000)
    }

    /// When its validity ends, Unix milliseconds.
    #[must_use]
    pub fn expires_ms(&self) -> UnixMillis {
        u64::try_from(self.not_after).unwrap_or_default().saturating_mul(1000)
    }
}

/// Beyond what a timestamp holds (the year 9999), the last one.
fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
