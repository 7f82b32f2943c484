//! One process at a time in a data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::OpenError;

/// A data directory that this process alone uses, for as long as this value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    // The operating system frees the lock with the handle, so a killed process leaves none behind.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is not there, and locks it.
    ///
    /// # Errors
    /// When another process has it, or it cannot be made or written to.
    pub fn lock(path: &Path) -> Result<Self, OpenError> {
        let cannot =
            |error: std::io::Error| OpenError::Directory { path: path.into(), error: error.to_string() };
        create_private(path).map_err(cannot)?;
        let mut options = OpenOptions::new();
        let mut lock = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Only for the message.
                let _ = lock.read_to_string(&mut pid);
                return Err(OpenError::Locked { path: path.into(), pid: pid.trim().parse().ok() });
            }
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        let told = lock.set_len(0).and_then(|()| lock.rewind());
        if let Err(error) = told.and_then(|()| writeln!(lock, "{}", std::process::id())) {
            // Only for the message to a second process: a full disk is no reason not to serve.
            warn!(%error, "the lock cannot say which process holds it");
        }
        Ok(Self { path: path.into(), _lock: lock })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

// User names and reasons are in the log: nobody else on the machine needs to read them.
fn create_private(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let held = DataDir::lock(&path).unwrap();
        let error = DataDir::lock(&path).unwrap_err();
        assert_eq!(error, OpenError::Locked { path: path.clone(), pid: Some(std::process::id()) });
        drop(held);
        assert!(DataDir::lock(&path).is_ok());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_no_reason_not_to_lock() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join("lock")).unwrap();
        assert!(DataDir::lock(dir.path()).is_ok());
    }
}
