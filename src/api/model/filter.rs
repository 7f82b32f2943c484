use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A compiled filter that can be fetched.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FilterModule {
    /// The release that it is of.
    pub version: String,
    /// Of its bytes, in lower-case hexadecimal: hosts want it beside the address.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Its path at this control plane.
    pub path: String,
}

/// The filters that can be fetched.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FilterModules {
    /// The current one first.
    pub modules: Vec<FilterModule>,
}
