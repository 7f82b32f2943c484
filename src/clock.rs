//! The time of day, from one place that tests can set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub type UnixMillis = u64;

/// Where the time of day comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The operating system.
    #[default]
    System,
    /// What a test says, Unix milliseconds.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands still at that time until it is set.
    #[must_use]
    pub fn manual(now_ms: UnixMillis) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(now_ms)))
    }

    /// The time.
    #[must_use]
    pub fn now_ms(&self) -> UnixMillis {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            }
            Self::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Sets a manual clock; a system clock stays what it is.
    pub fn set_ms(&self, now_ms: UnixMillis) {
        if let Self::Manual(now) = self {
            now.store(now_ms, Ordering::SeqCst);
        }
    }
}
