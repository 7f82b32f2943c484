//! What a host call answers.

/// The result code of a host call, as proxy-wasm ABI 0.2.1 numbers them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u32)]
pub enum Status {
    /// The call did what it was asked.
    Ok = 0,
    /// The key, token, context or property is unknown.
    NotFound = 1,
    /// An argument is out of range, or the map is not available in this phase.
    BadArgument = 2,
    /// The value has no serialized form: JSON `null`.
    SerializationFailure = 3,
    /// The target of a gRPC call is neither a `GrpcService` nor the name of a cluster.
    ParseFailure = 4,
    /// A malformed expression.
    BadExpression = 5,
    /// A pointer lies outside the memory of the VM, or the VM's allocator failed.
    InvalidMemoryAccess = 6,
    /// The queue holds nothing.
    Empty = 7,
    /// The shared value has changed since it was read.
    CasMismatch = 8,
    /// The result is not of the expected kind.
    ResultMismatch = 9,
    /// The host failed: for gRPC, no host is available.
    InternalFailure = 10,
    /// The connection broke.
    BrokenConnection = 11,
    /// The host does not have this call.
    Unimplemented = 12,
}

impl Status {
    /// The number that the module gets to see.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }
}
