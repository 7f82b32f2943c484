//! What the filter logs.

use std::fmt;

use crate::thread::Thread;

/// How grave a message is, in the ABI's numbering.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u32)]
pub enum Level {
    /// Everything.
    Trace = 0,
    /// For debugging.
    Debug = 1,
    /// What operators may want to know. Standard output is logged at this level.
    Info = 2,
    /// What may be wrong.
    Warn = 3,
    /// What is wrong. Standard error is logged at this level.
    Error = 4,
    /// What is fatal: the Rust SDK's panics.
    Critical = 5,
}

impl Level {
    pub(crate) fn from_code(code: u32) -> Option<Self> {
        let levels = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Critical];
        levels.into_iter().find(|level| *level as u32 == code)
    }
}

/// A message that a filter has logged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    /// The VM that logged it.
    pub vm: Thread,
    /// The context that was current, or effective.
    pub context: u32,
    /// How grave it is.
    pub level: Level,
    /// The text.
    pub message: String,
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{} {:?}: {}", self.vm, self.context, self.level, self.message)
    }
}
