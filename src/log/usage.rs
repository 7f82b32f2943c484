//! How much of the disk is used.

use std::path::Path;

use super::sqlite;

/// The log's file, and the file system that it is on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Length of the database file, which `log.max_bytes` bounds.
    pub log_bytes: u64,
    /// The file system of the data directory; `None` where the operating system does not say.
    pub disk: Option<Disk>,
}

/// A file system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Disk {
    /// What this process may still write.
    pub free_bytes: u64,
    /// All of it.
    pub total_bytes: u64,
}

impl Usage {
    /// Of a data directory. Blocks, on a network's file system for long.
    #[must_use]
    pub fn of(data_dir: &Path) -> Self {
        let log_bytes = std::fs::metadata(data_dir.join(sqlite::DATABASE)).map_or(0, |file| file.len());
        Self { log_bytes, disk: disk(data_dir) }
    }
}

#[cfg(unix)]
fn disk(path: &Path) -> Option<Disk> {
    let found = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Disk { free_bytes: bytes(found.f_bavail), total_bytes: bytes(found.f_blocks) })
}

#[cfg(not(unix))]
fn disk(_: &Path) -> Option<Disk> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_file_and_its_disk_are_measured() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Usage::of(dir.path()).log_bytes, 0);
        std::fs::write(dir.path().join(sqlite::DATABASE), [0; 77]).unwrap();
        let usage = Usage::of(dir.path());
        assert_eq!(usage.log_bytes, 77);
        let disk = usage.disk.unwrap();
        assert!(disk.free_bytes <= disk.total_bytes && disk.total_bytes > 77, "{disk:?}");
        assert_eq!(Usage::of(&dir.path().join("none")), Usage::default());
    }
}
