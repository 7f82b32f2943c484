//! What the gate asks for.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::live::{self, StreamId};
use crate::verdict::Code;
use crate::{Millis, Version};

/// What to do after the gate has been told something.
#[derive(Debug, Default)]
pub struct Effects {
    /// Messages for the control plane, in order.
    pub send: Vec<Vec<u8>>,
    /// Open a stream to the control plane, and say whether that worked.
    pub connect: bool,
    /// Give the stream up.
    pub disconnect: bool,
    /// Streams to end.
    pub cut: BTreeMap<StreamId, Code>,
    /// Held requests to be presented and decided again.
    pub retry: Vec<StreamId>,
    /// Verified claims that must be read again ([`Gate::reread`](super::Gate::reread)).
    pub reread: Vec<live::Verified>,
    /// What the operator's log should say.
    pub notes: Vec<Note>,
    /// From the control plane's acceptance of a change to now, milliseconds.
    pub propagation: Option<u64>,
}

/// Something that the operator's log should say.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "said by the messages")]
pub enum Note {
    #[error("enforcing {revocations} revocations at version {version}")]
    Synced { version: Version, revocations: usize },
    #[error("in touch with the control plane again, at version {0}")]
    Resumed(Version),
    #[error(
        "the control plane's log has gone back from version {from} to {to}: was it restored from a backup?"
    )]
    WentBack { from: Version, to: Version },
    #[error("stale: no word from the control plane for {0} ms")]
    Stale(Millis),
    #[error("asking for a snapshot: {0}")]
    Resync(String),
    #[error("giving up the control plane's stream: {0}")]
    GaveUp(String),
    #[error("the control plane has been silent for {0} ms")]
    Silent(Millis),
    #[error("{0} more messages about the control plane were left out")]
    LeftOut(u64),
}

impl Note {
    /// Whether the operator should look into it.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        !matches!(self, Self::Synced { .. } | Self::Resumed(_))
    }
}
