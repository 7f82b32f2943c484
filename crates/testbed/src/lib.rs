//! Real peers for tests and the demonstration, each on ports that the system chose, each gone when dropped.
//!
//! - [`Envoy`]: the real one, with a configuration made from `envoy/envoy.yaml` by [`Bootstrap`].
//! - [`Issuer`]: an identity provider that signs tokens and publishes its keys.
//! - [`ControlPlane`]: the real one, and its command line.
//! - [`Upstream`]: a service with plain, streaming, WebSocket and gRPC endpoints.
//! - [`Client`]: HTTP/1.1, HTTP/2 and WebSocket, with the end of a stream as an event that can be awaited.
//! - [`OidcProviderExample`]: `examples/oidc-provider`, whole: a provider that is not ours, with all of the above.
//! - [`Authority`]: certificates for both ends of a connection.
//! - [`Process`]: any other program, its log kept.
//!
//! Nothing here knows what Portcullis decides. Errors carry the end of the log of whoever failed.

pub mod paths;

mod authority;
mod bootstrap;
mod client;
#[cfg(feature = "codegen")]
pub mod codegen;
#[cfg(feature = "conformance")]
pub mod conformance;
mod control_plane;
mod envoy;
mod issuer;
mod log;
mod oidc_provider;
mod process;
mod server;
mod upstream;

pub use authority::{Authority, Certified};
pub use bootstrap::Bootstrap;
pub use client::{Call, Client, End, How, Reply, Stream, WebSocket};
pub use control_plane::{ControlPlane, ControlPlaneSetup, Ran};
pub use envoy::Envoy;
pub use issuer::{BrokenKeys, Issuer, Token};
pub use log::{Log, Mark};
pub use oidc_provider::OidcProviderExample;
pub use process::Process;
pub use upstream::{TICK, Upstream};
