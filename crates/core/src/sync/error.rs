//! What can be wrong with what the control plane sends.

use super::{MAX_MESSAGE_BYTES, MAX_SHAPES};
use crate::Version;
use crate::wire::WireError;

/// What is wrong with a message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SyncError {
    /// It cannot be read.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It does not belong here.
    #[error("{0} out of place")]
    OutOfPlace(&'static str),
    /// The set would be larger than the policy allows.
    #[error("{revocations} revocations are more than this worker takes (`limits.revocations` is {limit})")]
    #[expect(missing_docs, reason = "said by the message")]
    TooLarge { revocations: u64, limit: u64 },
    /// The message is longer than [`MAX_MESSAGE_BYTES`].
    #[error("a message of more than {MAX_MESSAGE_BYTES} bytes")]
    TooLong,
    /// Something that goes on without bringing anything.
    #[error("an empty {0}, and more to follow")]
    Empty(&'static str),
    /// The entries of a snapshot do not ascend, or one comes twice.
    #[error("the entries of a snapshot are out of order")]
    OutOfOrder,
    /// The keys are not what a keyed hash gives.
    #[error("the keys of {0} revocations are not spread as hashes are")]
    NotSpread(usize),
    /// More shapes than the bound.
    #[error("{0} shapes are more than this worker evaluates ({MAX_SHAPES})")]
    TooManyShapes(usize),
    /// Shapes that would take too much memory.
    #[error("{0} bytes of shapes are more than a message may have")]
    LargeShapes(usize),
    /// A snapshot has more or fewer entries than announced.
    #[error("a snapshot of {announced} revocations had {received}")]
    #[expect(missing_docs, reason = "said by the message")]
    Count { announced: u64, received: u64 },
    /// The set cannot be continued: it is another store's, or was hashed with another secret.
    #[error("the control plane's store is another one")]
    OtherStore,
    /// Versions do not follow each other.
    #[error("a change from version {from} does not continue version {have}")]
    #[expect(missing_docs, reason = "said by the message")]
    Gap { have: Version, from: Version },
    /// The sets differ.
    #[error("the digest at version {0} is not the control plane's")]
    Digest(Version),
    /// A whole snapshot is not what it should be: asking for it again would not help.
    #[error("the snapshot of version {0} does not have its digest")]
    SnapshotDigest(Version),
    /// A catch-up is longer than is worth keeping.
    #[error("a catch-up of {0} changes or more")]
    LongCatchUp(usize),
}

impl SyncError {
    /// Whether a snapshot mends it; otherwise the peer is not to be talked to for now.
    #[must_use]
    pub fn is_mended_by_snapshot(&self) -> bool {
        matches!(self, Self::OtherStore | Self::Gap { .. } | Self::Digest(_) | Self::LongCatchUp(_))
    }
}
