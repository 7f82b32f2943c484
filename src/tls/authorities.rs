//! The authorities of edges' certificates: `tls.edge_ca_file`.

use std::path::Path;

use rustls::RootCertStore;
use x509_parser::prelude::X509Version;

use super::{TlsError, certificate, certificates};

const KEY: &str = "tls.edge_ca_file";

/// Who vouches for edges.
#[derive(Clone, Debug, Default)]
pub(super) struct Authorities(Vec<Authority>);

/// The same one when its certificate was renewed for the same key.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Authority {
    subject: String,
    key: Vec<u8>,
}

impl Authorities {
    /// Those of a PEM file.
    pub(super) fn read(path: &Path, pem: &[u8]) -> Result<(RootCertStore, Self), TlsError> {
        let (mut roots, mut known) = (RootCertStore::empty(), Vec::new());
        for der in certificates(KEY, path, pem)? {
            let wrong = |error: String| TlsError::Authority { key: KEY, path: path.to_owned(), error };
            let certificate = certificate::parse(&der).map_err(|error| wrong(error.to_string()))?;
            let subject = certificate.subject().to_string();
            // Version 1 has no extensions to say it with; version 2 never was.
            if certificate.version() == X509Version::V3 && !certificate.is_ca() {
                return Err(TlsError::NoAuthority { path: path.to_owned(), subject });
            }
            let authority = Authority { subject, key: certificate.public_key().raw.to_vec() };
            roots.add(der).map_err(|error| wrong(error.to_string()))?;
            if !known.contains(&authority) {
                known.push(authority);
            }
        }
        Ok((roots, Self(known)))
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The subjects of those that are not among the others.
    pub(super) fn missing_in(&self, others: &Self) -> Vec<String> {
        let missing = self.0.iter().filter(|authority| !others.0.contains(authority));
        missing.map(|authority| authority.subject.clone()).collect()
    }
}
