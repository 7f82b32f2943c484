//! The compiled filter in the harness, one behaviour a file. The control plane's part is played by
//! [`support::Plane`], which speaks the push protocol from a real ledger.

mod budget;
mod config;
mod confusion;
mod flood;
mod hostile;
mod kinds;
mod limits;
mod link;
mod modes;
mod receipts;
mod rejection;
mod requests;
mod startup;
mod streams;
mod support;
mod sync;
mod tokens;
