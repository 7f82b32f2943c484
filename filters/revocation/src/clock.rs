//! The worker's own time.

use std::sync::OnceLock;
use std::time::Instant;

use portcullis_core::Millis;

/// Milliseconds since this VM has first asked.
pub(crate) fn now() -> Millis {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    u64::try_from(STARTED.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
}
