//! The API's data: what requests and answers look like as JSON.
//!
//! The handlers and the command line's client share these types, so the two cannot drift apart. Requests
//! refuse fields that they do not know; answers are read leniently, so that an older client understands a
//! newer control plane.

mod check;
mod claims;
mod edge;
mod event;
mod filter;
mod inlet;
mod key;
mod kind;
mod moment;
mod problem;
mod receipt;
mod report;
mod revocation;
mod secret;
mod status;
mod stream;

pub use check::{CheckAnswer, CheckRequest};
pub use claims::ClaimValues;
pub use edge::{Edge, Edges, RefusedSet, Worker};
pub use event::{Event, Events, VerifyAnswer, VerifyRequest};
pub use filter::{FilterModule, FilterModules};
pub use inlet::{CapturedMessage, InletAnswer, InletRefusal, WouldRevoke};
pub use key::{Issuer, IssuerKey, Issuers, Key, Keys, NewKey, NewKeyAnswer, Scope};
pub use kind::{CutoffClaim, Kind, Status};
pub use moment::{Moment, MomentError};
pub use problem::{FieldProblem, Problem};
pub use receipt::{EdgeReceipt, Receipts};
pub use report::{Enforced, Report, ReportedRevocation, Tried, TriedAt};
pub use revocation::{Actor, BatchLine, NewRevocation, Revocation, RevocationAnswer, Revocations, TakeBack};
pub use secret::Secret;
pub use status::{
    CertificateStatus, DiskSpace, LogSize, PortStatus, RefusedEdge, ServiceStatus, StatusListStatus,
    StreamStatus,
};
pub use stream::{NewStreamStatus, Stream, StreamState, Verification};
