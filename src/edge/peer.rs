//! The other end of a connection of the edges' port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::tls::Certificate;

/// Who is at the other end, and whether it has shown a credential yet. Clones are the same peer.
#[derive(Clone, Debug)]
pub struct Peer {
    address: Option<SocketAddr>,
    certificate: Option<Arc<Certificate>>,
    admitted: Arc<AtomicBool>,
}

impl Peer {
    /// One that has shown nothing yet.
    #[must_use]
    pub fn new(address: Option<SocketAddr>, certificate: Option<Certificate>) -> Self {
        Self { address, certificate: certificate.map(Arc::new), admitted: Arc::default() }
    }

    /// The certificate that it has proven to hold.
    #[must_use]
    pub fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.certificate.as_ref()
    }

    /// Its address, as far as the system knows it.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// It has shown a credential: its connection may stay.
    pub fn admit(&self) {
        self.admitted.store(true, Ordering::Relaxed);
    }

    /// Whether it has.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::Relaxed)
    }
}
