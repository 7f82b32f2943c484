//! The worker's own time.

use std::sync::LazyLock;
use std::time::Instant;

use portcullis_core::Millis;

/// Milliseconds since this VM has first asked.
pub(crate) fn now() -> Millis {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(STARTED.elapsed().as_millis()).unwrap_or(u64::MAX)
}
