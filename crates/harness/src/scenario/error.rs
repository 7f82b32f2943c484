//! Why a scenario cannot be read or carried out.

use std::fmt;

use crate::error::StartError;

/// Why there is no outcome. What the filter does wrong is no such error but a difference in the report.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What the operating system says.
        reason: String,
    },
    /// The file is not a scenario; the reason names the key and shows the line.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A step cannot be carried out.
    #[error("{scenario}: step {number}: {reason}")]
    Step {
        /// The scenario.
        scenario: String,
        /// Which step, from one.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The filter did not start, though it was expected to.
    #[error("{scenario}: the filter does not start: {reason}")]
    Start {
        /// The scenario.
        scenario: String,
        /// Why not.
        reason: StartError,
    },
}

/// As `unwrap` shows it: in words.
impl fmt::Debug for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
