//! What the disk can do.

use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// About what SQLite writes for an event that comes alone: a page of its write-ahead log, with its header.
const WRITE: [u8; 4_120] = [7; 4_120];
const WRITES: usize = 4_096;

/// Small writes that are on the disk in a second, one after another, each by itself (fdatasync).
///
/// Into a file that has its size already, as SQLite's log mostly has: what makes the file longer takes the file
/// system longer, and would flatter whatever is compared with it.
pub(super) fn syncs_per_second(dir: &Path, time: Duration) -> Result<f64> {
    let mut file =
        tempfile::tempfile_in(dir).with_context(|| format!("cannot write to {}", dir.display()))?;
    file.write_all(&WRITE.repeat(WRITES))?;
    file.sync_all()?;
    let (start, mut count) = (Instant::now(), 0_usize);
    while start.elapsed() < time {
        if count.is_multiple_of(WRITES) {
            file.rewind()?;
        }
        file.write_all(&WRITE)?;
        file.sync_data()?;
        count += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    Ok(count as f64 / start.elapsed().as_secs_f64())
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
