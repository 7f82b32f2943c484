//! What the disk can do.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// About what SQLite writes for an event that comes alone: a page of its write-ahead log, with its header.
const APPEND: [u8; 4_120] = [7; 4_120];

/// Small appends that are on the disk in a second, one after another, each by itself (fdatasync).
pub(super) fn syncs_per_second(dir: &Path, time: Duration) -> Result<f64> {
    let mut file =
        tempfile::tempfile_in(dir).with_context(|| format!("cannot write to {}", dir.display()))?;
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < time {
        file.write_all(&APPEND)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_does_not_exist_is_named() {
        let error = syncs_per_second(Path::new("/nowhere"), Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("/nowhere"), "{error}");
    }
}
