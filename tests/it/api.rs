//! Every call of the API over a real socket: what it does, and every way in which it says no.

mod auth;
mod bad_input;
mod batch;
mod check;
mod events;
mod filter;
mod keys;
mod openapi;
mod operation;
mod revocations;
mod routes;
mod status;
mod take_back;
