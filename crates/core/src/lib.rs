//! What Portcullis knows, without a clock, a socket, a file or a log.
//!
//! A revocation is a [`Selector`] (claim = value requirements that must all hold) with an optional
//! [`Cutoff`]. The control plane keeps revocations in a [`Ledger`], which says for every event which entries
//! of the enforced set change. A selector becomes one [`Key`] under the store's [`HashKey`]; an edge
//! holds a [`RevocationSet`] of such keys and no value of any claim.
//!
//! At the edge one [`Gate`] per worker owns everything: it speaks the push protocol ([`link`]), turns tokens
//! into keys, remembers them for the next request ([`live`]), and answers every request with a
//! [`Verdict`]. Whoever embeds it brings the time, the bytes and the sockets.
//!
//! Reading order: [`field`], [`selector`], [`key`], [`cutoff`], [`set`], [`ledger`]; then [`extract`],
//! [`token`], [`shapes`], [`claims`]; then [`policy`], [`verdict`], [`tries`], [`live`], [`link`], [`sync`], [`gate`], [`reply`]; and [`wire`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod claims;
pub mod cutoff;
pub mod extract;
pub mod field;
pub mod gate;
pub mod json;
pub mod key;
pub mod ledger;
pub mod link;
pub mod live;
pub mod pairs;
pub mod policy;
pub mod reply;
pub mod selector;
pub mod set;
pub mod shapes;
pub mod shares;
pub mod sync;
pub mod tally;
pub mod token;
pub mod tries;
pub mod verdict;
pub mod wire;
mod words;

pub use cutoff::{Cutoff, CutoffClaim};
pub use field::{ClaimPath, Field, Kind, Shape};
pub use gate::Gate;
pub use key::{HashKey, Key};
pub use ledger::Ledger;
pub use policy::Policy;
pub use selector::Selector;
pub use set::{Change, Digest, RevocationSet};
pub use shapes::Shapes;
pub use verdict::{Code, Verdict};

/// Seconds since the Unix epoch.
pub type UnixSeconds = u64;

/// Milliseconds on any clock that does not go back; only differences mean something.
pub type Millis = u64;

/// A position in the log; the first event has version 1, an empty log is at 0.
pub type Version = u64;
