//! The process as its operator sees it: its disk, its ports, and what these show of themselves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::config::{Config, Port};
use crate::log::Usage;
use crate::tls::{Tls, TlsStatus};

/// What does not change while the process runs, and where to look for the rest.
#[derive(Debug)]
pub struct System {
    /// When it was started.
    pub started_ms: UnixMillis,
    /// The two ports.
    pub ports: [Listening; 2],
    /// Longest silence of the control plane towards an edge; every worker answers.
    pub heartbeat: Duration,
    /// Most bytes of the log's file; `None`: no limit.
    pub log_max_bytes: Option<u64>,
    data_dir: PathBuf,
    tls: Option<Arc<Tls>>,
}

/// A port that is listened on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listening {
    /// Which.
    pub port: Port,
    /// Where.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

impl System {
    /// A process with this configuration, that listens there.
    #[must_use]
    pub fn new(
        config: &Config,
        http: SocketAddr,
        edge: SocketAddr,
        tls: Option<Arc<Tls>>,
        started_ms: UnixMillis,
    ) -> Self {
        let listening = |port, address| Listening { port, address, tls: config.has_tls(port) };
        Self {
            started_ms,
            ports: [listening(Port::Http, http), listening(Port::Edge, edge)],
            heartbeat: config.edge.heartbeat,
            log_max_bytes: Some(config.log.max_bytes).filter(|max| *max > 0),
            data_dir: config.data_dir.clone(),
            tls,
        }
    }

    /// The ports' certificate, and whether its files can be read again; `None` without TLS.
    #[must_use]
    pub fn tls(&self) -> Option<TlsStatus> {
        self.tls.as_ref().map(|tls| tls.status())
    }

    /// How full the disk is; zeros where the operating system does not answer.
    pub async fn usage(&self) -> Usage {
        let data_dir = self.data_dir.clone();
        tokio::task::spawn_blocking(move || Usage::of(&data_dir)).await.unwrap_or_default()
    }
}
