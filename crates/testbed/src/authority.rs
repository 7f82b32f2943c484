//! A certificate authority of a test's own.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd,
};

/// Vouches for certificates. Each has a key of its own.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its private key, in PEM.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// The key, PKCS #8.
    pub key: String,
}

impl Authority {
    /// One that nobody trusts yet.
    ///
    /// # Errors
    ///
    /// If there is no randomness.
    pub fn new() -> Result<Self> {
        // A name of its own: a certificate whose issuer has its name would pass for one that signs itself.
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// Its own certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for an hour, with these names: URIs, DNS names or addresses.
    ///
    /// # Errors
    ///
    /// If a name is none of them.
    pub fn issue(&self, names: &[&str]) -> Result<Certified> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        self.issue_for(names, now - 60, now + 3_600)
    }

    /// The same for another time, Unix seconds.
    ///
    /// # Errors
    ///
    /// As [`Self::issue`].
    pub fn issue_for(&self, names: &[&str], from: u64, until: u64) -> Result<Certified> {
        let (uris, others): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains("://"));
        let mut params = CertificateParams::new(others.into_iter().map(str::to_owned).collect::<Vec<_>>())?;
        for uri in uris {
            params.subject_alt_names.push(SanType::URI(uri.try_into().context("not a URI")?));
        }
        let epoch = date_time_ymd(1970, 1, 1);
        (params.not_before, params.not_after) =
            (epoch + Duration::from_secs(from), epoch + Duration::from_secs(until));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Certified { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

impl Certified {
    /// Writes `tls.crt` and `tls.key` into a directory, each whole or not at all, as Kubernetes names them.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        for (name, pem) in [("tls.crt", &self.certificate), ("tls.key", &self.key)] {
            let draft = dir.join(format!("{name}.new"));
            fs::write(&draft, pem)?;
            fs::rename(&draft, dir.join(name))?;
        }
        Ok(())
    }
}
