//! TLS on the two ports: what the files of `[tls]` say, read again when they change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

mod authorities;
mod certificate;
mod expiry;
mod flaw;

use authorities::Authorities;
pub use certificate::{Certificate, CertificateError, renewal_is_due};
use expiry::{Expiry, Notice};
pub use flaw::Flaw;

use crate::clock::{Clock, UnixMillis};
use crate::config::{self, Port};
use crate::files;
use crate::metrics::Metrics;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Longest file, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why the files are of no use.
#[expect(missing_docs, reason = "the fields are what the message says")]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TlsError {
    #[error("{key}: cannot read {}: {error}", path.display())]
    Unreadable { key: &'static str, path: PathBuf, error: String },
    #[error("{key}: no certificate (PEM, `BEGIN CERTIFICATE`) in {}", path.display())]
    NoCertificate { key: &'static str, path: PathBuf },
    #[error("tls.key_file: no private key (PEM, unencrypted) in {}", path.display())]
    NoKey { path: PathBuf },
    #[error("{key}: {}: {error}", path.display())]
    Certificate { key: &'static str, path: PathBuf, error: CertificateError },
    #[error("{key}: {}: not a certificate: {error}", path.display())]
    Authority { key: &'static str, path: PathBuf, error: String },
    #[error(
        "tls.edge_ca_file: {}: `{subject}` is not a certificate authority (basicConstraints=CA:TRUE): put the one there that signs the edges' certificates",
        path.display()
    )]
    NoAuthority { path: PathBuf, subject: String },
    #[error(
        "tls.key_file: {} is not the key of the first certificate in {}",
        key.display(),
        certificate.display()
    )]
    Mismatch { key: PathBuf, certificate: PathBuf },
    #[error("tls: {0}")]
    Other(String),
}

/// What the files held when they were last read.
#[derive(Eq, PartialEq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    edge_ca: Option<Vec<u8>>,
}

/// The ports' TLS.
pub struct Tls {
    settings: config::Tls,
    provider: Arc<CryptoProvider>,
    current: watch::Sender<Configs>,
    /// Why the files were of no use when they were last looked at.
    failure: Mutex<Option<TlsError>>,
    clock: Clock,
    metrics: Metrics,
}

#[derive(Clone)]
struct Configs {
    http: Arc<ServerConfig>,
    edge: Arc<ServerConfig>,
    files: Arc<Files>,
    own: Certificate,
    edges: Arc<Authorities>,
}

/// What other files have changed.
#[derive(Debug, Eq, PartialEq)]
struct Change {
    own: Certificate,
    /// How many authorities vouch for edges now.
    authorities: usize,
    /// Names that the certificate before was good for.
    lost_names: Vec<String>,
    /// Subjects of authorities that were there before.
    lost_authorities: Vec<String>,
}

/// The ports' certificate as it is now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsStatus {
    /// The certificate in force.
    pub certificate: Certificate,
    /// Why the files that are there now are of no use, if they are not.
    pub failure: Option<TlsError>,
}

/// The TLS of one port, as it is at any time. Cheap to clone.
#[derive(Clone)]
pub struct PortTls {
    current: watch::Receiver<Configs>,
    port: Port,
}

impl PortTls {
    /// What a connection that is accepted now is to be served with.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        let configs = self.current.borrow();
        Arc::clone(match self.port {
            Port::Http => &configs.http,
            Port::Edge => &configs.edge,
        })
    }
}

impl fmt::Debug for PortTls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PortTls").field("port", &self.port).finish_non_exhaustive()
    }
}

// Never the key.
impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, the certificate is not valid now or no server's, or the key is another one's.
    pub fn load(settings: config::Tls, clock: Clock, metrics: Metrics) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let files = Files::read(&settings)?;
        let configs = configs(&settings, &provider, files, clock.now_ms())?;
        metrics.certificate_expires(&configs.own);
        let current = watch::Sender::new(configs);
        Ok(Self { settings, provider, current, failure: Mutex::default(), clock, metrics })
    }

    /// The certificate, and whether its files can be read again.
    #[must_use]
    pub fn status(&self) -> TlsStatus {
        let certificate = self.current.borrow().own.clone();
        TlsStatus { certificate, failure: self.failure().clone() }
    }

    fn failure(&self) -> MutexGuard<'_, Option<TlsError>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The TLS of a port, if it speaks it.
    #[must_use]
    pub fn port(&self, port: Port) -> Option<PortTls> {
        self.settings.covers(port).then(|| PortTls { current: self.current.subscribe(), port })
    }

    /// Reads the files again when they change, until `stop`. While they are of no use, what was read before stays
    /// in force, with a line in the log for each new reason.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut expiry = Expiry::default();
        while stop.run_until_cancelled(look.tick()).await.is_some() {
            let this = Arc::clone(&self);
            let Ok(looked) = tokio::task::spawn_blocking(move || this.look()).await else { continue };
            self.tell(looked);
            self.tell_expiry(&mut expiry);
        }
    }

    fn tell(&self, looked: Result<Option<Change>, TlsError>) {
        match looked {
            Ok(None) => {
                if self.failure().take().is_some() {
                    info!("the files of [tls] are good again");
                }
            }
            Ok(Some(change)) => {
                *self.failure() = None;
                change.tell();
            }
            Err(error) => {
                self.metrics.tls_reload_failures.inc();
                let is_new = self.failure().replace(error.clone()).as_ref() != Some(&error);
                if is_new {
                    warn!(%error, "the files of [tls] have changed and are of no use; what was read before stays in force");
                }
            }
        }
    }

    fn tell_expiry(&self, expiry: &mut Expiry) {
        let own = self.current.borrow().own.clone();
        let valid_until = own.valid_until();
        match expiry.notice(&own, self.clock.now_ms()) {
            Some(Notice::Soon) => warn!(%valid_until, "the ports' certificate ends soon: renew it"),
            Some(Notice::Ended) => {
                error!(%valid_until, "the ports' certificate has expired: edges and callers refuse it; renew it");
            }
            None => {}
        }
    }

    /// Takes the files over if they are others than before.
    fn look(&self) -> Result<Option<Change>, TlsError> {
        let files = Files::read(&self.settings)?;
        if files == *self.current.borrow().files {
            return Ok(None);
        }
        let configs = configs(&self.settings, &self.provider, files, self.clock.now_ms())?;
        self.metrics.certificate_expires(&configs.own);
        let before = self.current.send_replace(configs.clone());
        Ok(Some(Change::between(&before, &configs)))
    }
}

impl Change {
    fn between(before: &Configs, now: &Configs) -> Self {
        let lost = before.own.server_names().filter(|name| !now.own.serves(name));
        Self {
            own: now.own.clone(),
            authorities: now.edges.len(),
            lost_names: lost.collect(),
            lost_authorities: before.edges.missing_in(&now.edges),
        }
    }

    fn tell(&self) {
        let names = self.own.server_names().collect::<Vec<_>>().join(", ");
        let valid_until = self.own.valid_until();
        info!(names, %valid_until, edge_authorities = self.authorities, "the ports' certificate was read again");
        if !self.lost_names.is_empty() {
            let missing = self.lost_names.join(", ");
            warn!(
                missing,
                "the new certificate lacks names of the one before: whoever asks for them refuses it"
            );
        }
        for subject in &self.lost_authorities {
            warn!(
                subject,
                "an authority is gone from tls.edge_ca_file: edges with its certificates cannot come back"
            );
        }
    }
}

impl Files {
    fn read(settings: &config::Tls) -> Result<Self, TlsError> {
        let edge_ca = settings.edge_ca_file.as_deref();
        Ok(Self {
            certificate: read("tls.certificate_file", &settings.certificate_file)?,
            key: read("tls.key_file", &settings.key_file)?,
            edge_ca: edge_ca.map(|path| read("tls.edge_ca_file", path)).transpose()?,
        })
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    files::read(path, MAX_FILE_BYTES).map_err(|error| TlsError::Unreadable {
        key,
        path: path.to_owned(),
        error,
    })
}

/// What both ports are served with.
fn configs(
    settings: &config::Tls,
    provider: &Arc<CryptoProvider>,
    files: Files,
    now_ms: UnixMillis,
) -> Result<Configs, TlsError> {
    const KEY: &str = "tls.certificate_file";
    let path = &settings.certificate_file;
    let chain = certificates(KEY, path, &files.certificate)?;
    let Some(first) = chain.first() else {
        return Err(TlsError::NoCertificate { key: KEY, path: path.clone() });
    };
    let unfit = |error| TlsError::Certificate { key: KEY, path: path.clone(), error };
    let own = Certificate::read_server(first).map_err(unfit)?;
    own.check(now_ms).map_err(unfit)?;
    let key = PrivateKeyDer::from_pem_slice(&files.key)
        .map_err(|_| TlsError::NoKey { path: settings.key_file.clone() })?;

    let edges = settings.edge_ca_file.as_ref().zip(files.edge_ca.as_ref());
    let (roots, edges) = edges.map(|(path, pem)| Authorities::read(path, pem)).transpose()?.unzip();
    let other = |error: &dyn fmt::Display| TlsError::Other(error.to_string());
    let serve = |roots: Option<RootCertStore>, protocols: &[&[u8]]| {
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| other(&error))?;
        let builder = match roots {
            None => builder.with_no_client_auth(),
            Some(roots) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                        .build();
                builder.with_client_cert_verifier(verifier.map_err(|error| other(&error))?)
            }
        };
        let mut config =
            builder.with_single_cert(chain.clone(), key.clone_key()).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
                    key: settings.key_file.clone(),
                    certificate: settings.certificate_file.clone(),
                },
                error => other(&error),
            })?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    };
    let mut edge = serve(roots, &[b"h2"])?;
    // A session that is resumed shows no certificate, and the one of its first handshake may not be good any more.
    edge.session_storage = Arc::new(NoServerSessionStorage {});
    edge.send_tls13_tickets = 0;
    let http = serve(None, &[b"h2", b"http/1.1"])?;
    Ok(Configs {
        http: Arc::new(http),
        edge: Arc::new(edge),
        files: Arc::new(files),
        own,
        edges: Arc::new(edges.unwrap_or_default()),
    })
}

/// The certificates of a PEM file: at least one.
fn certificates(
    key: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsError::NoCertificate { key, path: path.to_owned() }),
        Err(error) => Err(TlsError::Authority { key, path: path.to_owned(), error: error.to_string() }),
    }
}

#[cfg(test)]
mod tests;
