//! The edges: their streams, what they have, and their receipts.

mod admission;
pub mod codec;
mod fanout;
mod hello;
mod outgoing;
mod peer;
mod refusal;
mod refused;
mod registry;
mod service;
mod session;
mod sessions;
mod tried;

pub use outgoing::Outgoing;
pub use peer::Peer;
pub use refused::{Refused, RefusedEdge};
pub use registry::{Enforced, Registry};
pub use service::{Context, EdgeService, serve};
pub use tried::Tries;

/// The generated service of `proto/portcullis/edge/v1/edge.proto`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications,
    reason = "generated; see `cargo xtask codegen`"
)]
pub mod wire {
    include!("gen/portcullis.edge.v1.rs");
}
