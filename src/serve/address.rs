//! Where this process listens, for scripts that let it choose the ports.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::net::TcpListener;

/// The file in the data directory.
pub(super) const FILE: &str = "listen.json";

/// The two addresses, with the ports that were chosen.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Addresses {
    pub(super) http: SocketAddr,
    pub(super) edge: SocketAddr,
}

/// The file, which is there for as long as this value lives.
#[derive(Debug)]
pub(super) struct Published {
    path: PathBuf,
}

impl Addresses {
    pub(super) fn of(http: &TcpListener, edge: &TcpListener) -> io::Result<Self> {
        Ok(Self { http: http.local_addr()?, edge: edge.local_addr()? })
    }

    /// Writes the file, whole or not at all.
    pub(super) fn publish(&self, dir: &Path) -> io::Result<Published> {
        let path = dir.join(FILE);
        let draft = dir.join("listen.json.new");
        let mut file = fs::File::create(&draft)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        drop(file);
        fs::rename(&draft, &path)?;
        Ok(Published { path })
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // One that stays is overwritten by the next start.
        let _ = fs::remove_file(&self.path);
    }
}
