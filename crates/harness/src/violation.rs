//! What a filter did that real Envoy would not survive, or not answer for.

use std::fmt;

use crate::thread::Thread;

/// A misuse of the host, and where it happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// The VM.
    pub vm: Thread,
    /// The context that was current.
    pub context: u32,
    /// The callback in which it happened.
    pub callback: &'static str,
    /// What was done.
    pub rule: Rule,
}

/// A rule of real Envoy that the host calls themselves do not enforce.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// One stream was both answered and closed: Envoy crashes.
    RepliedAndClosed {
        /// The context of the stream.
        stream: u32,
    },
    /// One stream was closed twice in the same callback: Envoy crashes.
    ClosedTwice {
        /// The context of the stream.
        stream: u32,
    },
    /// The response was continued before there was one: Envoy crashes.
    ContinuedMissingResponse {
        /// The context of the stream.
        stream: u32,
    },
    /// A call-out was made after another had failed within the same callback: Envoy hangs.
    CalloutAfterFailedCallout,
    /// A gRPC stream was used after its peer had closed it: Envoy touches freed memory.
    UsedClosedGrpcStream {
        /// The token of the stream.
        token: u32,
    },
    /// A gRPC stream that its peer has closed was not given back with `proxy_grpc_cancel` within the close
    /// callback: Envoy keeps a pointer to freed memory, and follows it at the next configuration update.
    KeptClosedGrpcStream {
        /// The token of the stream.
        token: u32,
    },
    /// A call-out was made by the canary, or while starting or configuring: clusters may not be there yet.
    CalloutDuringStart,
    /// A unary gRPC call was made with a timeout of zero, which is none for Envoy; but it tells the peer
    /// `grpc-timeout: 0m`, and a peer that heeds it gives up at once.
    GrpcCallWithoutTime {
        /// The token of the call.
        token: u32,
    },
    /// A call-out was still open when its root context went away: Envoy cuts it, and its answer is lost. Give it
    /// back in `proxy_on_done`, or put the end off until it is answered, for which Envoy waits unless the process ends.
    LeakedCallout {
        /// The token of the call-out.
        token: u32,
    },
    /// A gRPC target is meant as a cluster name, but parses as a `GrpcService` without a target: Envoy aborts.
    AmbiguousGrpcTarget {
        /// The target.
        target: String,
    },
    /// Headers were continued within the callback for them, which let them go on as well: Envoy sends them
    /// twice. A request loses its body by that; a response is cut, and crashes Envoy if it has no body.
    ContinuedTwice {
        /// The context of the stream.
        stream: u32,
    },
    /// The filter's allocator had no room for what a foreign function has made, such as `uncompress` of data that
    /// an outsider has sent: Envoy crashes.
    NoRoomForResult {
        /// The name of the function.
        function: String,
    },
    /// The body was read outside of its callback although that let go of it: Envoy touches freed memory.
    UsedLostBody {
        /// The context of the stream.
        stream: u32,
    },
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RepliedAndClosed { stream } => {
                write!(f, "stream #{stream} was both answered and closed: Envoy crashes")
            }
            Self::ClosedTwice { stream } => {
                write!(f, "stream #{stream} was closed twice in the same callback: Envoy crashes")
            }
            Self::ContinuedMissingResponse { stream } => {
                write!(
                    f,
                    "the response of stream #{stream} was continued before there was one: Envoy crashes"
                )
            }
            Self::CalloutAfterFailedCallout => {
                f.write_str("a call-out followed a failed one in the same callback: Envoy hangs")
            }
            Self::UsedClosedGrpcStream { token } => {
                write!(
                    f,
                    "gRPC stream {token} was used after its peer had closed it: Envoy touches freed memory"
                )
            }
            Self::KeptClosedGrpcStream { token } => write!(
                f,
                "gRPC stream {token} was closed by its peer and not cancelled in the close callback: \
                 Envoy keeps a pointer to freed memory"
            ),
            Self::ContinuedTwice { stream } => write!(
                f,
                "the headers of stream #{stream} were continued within the callback for them, which did not \
                 pause: Envoy sends them twice; answer the callback with 0 only"
            ),
            Self::CalloutDuringStart => {
                f.write_str("a call-out was made while starting or configuring: make it on a tick")
            }
            Self::GrpcCallWithoutTime { token } => write!(
                f,
                "gRPC call {token} has a timeout of zero: Envoy waits for ever, and tells the peer that there \
                 is no time left"
            ),
            Self::LeakedCallout { token } => write!(
                f,
                "call-out {token} was still open when its root context went away: its answer is lost"
            ),
            Self::AmbiguousGrpcTarget { target } => write!(
                f,
                "the cluster name {target:?} parses as a GrpcService without a target: Envoy aborts; \
                 pass a serialized GrpcService"
            ),
            Self::NoRoomForResult { function } => write!(
                f,
                "the filter's allocator had no room for what the foreign function {function:?} has made: \
                 Envoy crashes"
            ),
            Self::UsedLostBody { stream } => write!(
                f,
                "the body of stream #{stream} was used after its callback had answered otherwise than \
                 with 0 or 1: Envoy touches freed memory"
            ),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} of #{}: {}", self.vm, self.callback, self.context, self.rule)
    }
}
