//! The control plane and the command line.
//!
//! The path of one revocation: a call arrives at [`api`] (REST) and becomes a request to [`control`], the
//! front door, which asks [`auth`] whether the caller may, lets `control::intake` decide what the request
//! means, and appends an event to the [`log`]. The log makes it durable and hands it, with its version, to
//! [`store`], which applies it to the [`state`] and has [`feed`] encode what has changed, once for everybody.
//! [`inlets`] do the same for identity providers' messages, which [`issuers`] verifies: `control::receive` is
//! their way in. [`edge`] sends that to every worker and takes the receipts that `control` waits for, and that
//! `control::reports` sums up with what was tried since.
//!
//! The log is the truth: the state, the feed and everything that is listed are derived from it. Only `log`
//! touches the database. Time comes from [`clock`], settings from [`config`]; [`tls`] guards the ports, [`system`]
//! tells of the process, and [`serve`] puts it all together.
#![forbid(unsafe_code)]

pub mod api;
pub mod auth;
pub mod body;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod control;
pub mod edge;
pub mod feed;
mod files;
pub mod inlets;
pub mod issuers;
pub mod log;
pub mod metrics;
pub mod modules;
pub mod outbound;
mod quiet;
pub mod serve;
pub mod shutdown;
pub mod state;
pub mod store;
pub mod system;
pub mod tls;
pub mod traces;
