//! What a certificate says of its holder (RFC 5280).

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::clock::UnixMillis;

/// Most names that are looked at: who has signed it decides how many there are.
const MAX_NAMES: usize = 64;
/// Whoever renews late does so before this, milliseconds.
const TWO_WEEKS_MS: u64 = 14 * 86_400_000;

/// A certificate's names and its time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// URI (a SPIFFE ID is one) and DNS names of the subject (section 4.2.1.6).
    pub names: Vec<String>,
    /// Its IP addresses, which name servers only.
    addresses: Vec<IpAddr>,
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
    /// No client takes it for a server's.
    #[error(
        "the certificate is a certificate authority: clients refuse it as a server's; make one with basicConstraints=CA:FALSE"
    )]
    Authority,
    /// It is for clients, mail, code, ..
    #[error(
        "the certificate is not for servers: clients refuse it; make one with extendedKeyUsage=serverAuth, or without any"
    )]
    Purpose,
}

impl Certificate {
    /// Reads one. Its signature is somebody else's business.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        Self::of(&parse(der)?)
    }

    /// Reads one that a server is to show.
    ///
    /// # Errors
    /// When it is none, or every client would refuse it.
    pub fn read_server(der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let certificate = parse(der)?;
        if certificate.is_ca() {
            return Err(CertificateError::Authority);
        }
        let purposes = certificate.extended_key_usage().map_err(|error| syntax(&error))?;
        if purposes.is_some_and(|purposes| !purposes.value.server_auth) {
            return Err(CertificateError::Purpose);
        }
        Self::of(&certificate)
    }

    fn of(certificate: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let found = certificate.subject_alternative_name().map_err(|error| syntax(&error))?;
        let found = found.iter().flat_map(|names| &names.value.general_names);
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        for name in found.take(MAX_NAMES) {
            match name {
                GeneralName::URI(name) | GeneralName::DNSName(name) => names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        Ok(Self {
            names,
            addresses,
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

    /// Whether it should have been renewed by now.
    #[must_use]
    pub fn is_due(&self, now_ms: UnixMillis) -> bool {
        renewal_is_due(self.begins_ms(), self.expires_ms(), now_ms)
    }

    /// What a client may ask a server for: names and addresses.
    pub fn server_names(&self) -> impl Iterator<Item = String> {
        self.names.iter().cloned().chain(self.addresses.iter().map(IpAddr::to_string))
    }

    /// Whether a client that asks for this name accepts it.
    #[must_use]
    pub fn serves(&self, name: &str) -> bool {
        self.server_names().any(|own| {
            let is_under = |parent: &str| {
                name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
            };
            own.eq_ignore_ascii_case(name) || own.strip_prefix("*.").is_some_and(is_under)
        })
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

/// Whether a certificate of that time should have been renewed by now: less than two weeks are left, and less than a
/// third of its life, since a mesh's certificates live for a day and are renewed half-way.
#[must_use]
pub fn renewal_is_due(from: UnixMillis, until: UnixMillis, now: UnixMillis) -> bool {
    let left = until.saturating_sub(now);
    left < TWO_WEEKS_MS && left < until.saturating_sub(from) / 3
}

pub(super) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    X509Certificate::from_der(der).map(|(_, certificate)| certificate).map_err(|error| syntax(&error))
}

fn syntax(error: &dyn std::fmt::Display) -> CertificateError {
    CertificateError::Syntax(error.to_string())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let of_four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    of_four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Beyond what a timestamp holds (the year 9999), the last one.
fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
