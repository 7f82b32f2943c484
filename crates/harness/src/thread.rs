//! The threads of an Envoy, each with its own VM.

use std::fmt;

/// Where a VM lives, and what for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Thread {
    /// The VM that only shows that the module loads.
    Base,
    /// The VM that only shows that the configuration is accepted, and is then dropped.
    Canary,
    /// The full VM on Envoy's main thread. It ticks, has streams, and never sees a request.
    Main,
    /// The VM of a worker thread, from zero.
    Worker(usize),
}

impl Thread {
    /// The thread that runs what is posted for a VM of this one: the canary lives on the main thread.
    pub(crate) const fn event_loop(self) -> Self {
        match self {
            Self::Base | Self::Canary => Self::Main,
            other => other,
        }
    }
}

impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("base"),
            Self::Canary => f.write_str("canary"),
            Self::Main => f.write_str("main_thread"),
            Self::Worker(index) => write!(f, "worker_{index}"),
        }
    }
}
