//! The filter's configuration: what happens to whom, decided once by the operator.

use alloc::string::String;
use alloc::vec::Vec;

use prost::Message;

use crate::wire::edge;

mod read;

/// The configuration of one filter, valid as a whole. Durations are milliseconds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// Where revocations come from.
    pub control_plane: ControlPlane,
    /// Where tokens are looked for; all are checked.
    pub tokens: Vec<TokenSource>,
    /// Before the first snapshot.
    pub startup: Startup,
    /// After the control plane has gone silent.
    pub staleness: Staleness,
    /// A request without a token.
    pub missing: Choice,
    /// A token that cannot be read, or is ambiguous.
    pub malformed: Choice,
    /// What a verdict does to the request.
    pub mode: Mode,
    /// What a revocation does to requests and streams already open.
    pub streams: Streams,
    /// What a rejection looks like.
    pub reject: Reject,
    /// Path prefixes that are never checked.
    pub exempt: Vec<String>,
    /// What a worker takes in.
    pub limits: Limits,
    /// What the control plane is told of what revoked tokens ask for.
    pub reports: Reports,
}

/// Where revocations come from.
#[derive(Clone, Eq, PartialEq)]
pub struct ControlPlane {
    /// Name of the Envoy cluster.
    pub cluster: String,
    /// Edge credential, sent as a bearer token in the stream's metadata.
    pub token: Option<String>,
}

impl core::fmt::Debug for ControlPlane {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let token = self.token.as_ref().map(|_| "..");
        out.debug_struct("ControlPlane").field("cluster", &self.cluster).field("token", &token).finish()
    }
}

impl ControlPlane {
    /// What names the cluster in `proxy_grpc_stream`: a serialized `envoy.config.core.v3.GrpcService`,
    /// because Envoy first tries to parse the argument as one, and takes names such as `users` for an empty
    /// one. It bounds a message to about 8 MiB, and gives the call an authority of its own: Envoy would take the
    /// cluster's name, and with the `|` of Istio's names no HTTP/2 server accepts the call (RFC 3986 section 3.2).
    ///
    /// Made of bytes that are UTF-8 as well, since the SDK takes text. A name too long for that stays plain;
    /// one that could be misunderstood, or is no authority, is refused.
    ///
    /// # Errors
    /// For a long name that would parse as a protobuf message, or has a `|`.
    pub fn target(&self) -> Result<String, PolicyError> {
        // EnvoyGrpc.max_receive_message_length: UInt32Value { value: 8_392_800 }.
        const LIMIT: &str = "\u{22}\u{5}\u{8}\u{800}\u{4}";
        // EnvoyGrpc.authority.
        const AUTHORITY: &str = "\u{12}\u{a}portcullis";
        let name = &self.cluster;
        // cluster_name: tag, length, text. Lengths stay one byte, and so ASCII.
        let inner = name.len().saturating_add(2 + AUTHORITY.len() + LIMIT.len());
        let (Ok(name_len @ ..=0x7f), Ok(inner_len @ ..=0x7f)) =
            (u8::try_from(name.len()), u8::try_from(inner))
        else {
            let reason = if edge::Unit::decode(name.as_bytes()).is_ok() {
                "is a name that Envoy would take for a protobuf message: choose a shorter one"
            } else if name.contains('|') {
                "is longer than 106 bytes and has a `|`, which no server accepts as an authority: add a cluster with a \
                 shorter name"
            } else {
                return Ok(name.clone());
            };
            return Err(PolicyError::Key { key: "control_plane.cluster".into(), reason: reason.into() });
        };
        let mut target = String::from("\u{a}");
        target.push(char::from(inner_len));
        target.push('\u{a}');
        target.push(char::from(name_len));
        target.push_str(name);
        target.push_str(AUTHORITY);
        target.push_str(LIMIT);
        Ok(target)
    }
}

/// A place where a token may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TokenSource {
    /// A request header, its name in lower case; after the scheme if there is one.
    #[expect(missing_docs, reason = "said by the variant")]
    Header { name: String, scheme: Option<String> },
    /// A cookie.
    Cookie(String),
    /// A query parameter.
    Query(String),
    /// Claims that jwt_authn has verified and stored under this `payload_in_metadata` key.
    JwtAuthn(String),
}

/// What to do with a request that the set cannot decide.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Choice {
    /// Let it pass.
    Allow,
    /// Reject it.
    Deny,
}

/// Before the first snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Startup {
    /// How long a request waits for the snapshot, milliseconds.
    pub hold: u64,
    /// What happens to it then.
    pub then: Choice,
}

/// After the control plane has gone silent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Staleness {
    /// How long without a word, milliseconds.
    pub after: u64,
    /// `Allow` keeps enforcing the last set; `Deny` rejects every token.
    pub then: Choice,
}

/// What a verdict does to the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Reject what is revoked.
    Enforce,
    /// Decide and count, let everything pass, delay nothing.
    Observe,
    /// As `Observe`, and tell the next filter in a request header.
    Mark,
}

/// What a revocation does to requests and streams already open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Streams {
    /// Ends them.
    Cut,
    /// Leaves them alone.
    Keep,
}

/// What the control plane is told of what revoked tokens ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reports {
    /// How often, and at which paths.
    Paths,
    /// How often.
    Counts,
}

/// What a rejection looks like.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reject {
    /// HTTP status of a rejected token.
    pub status: u16,
    /// HTTP status when the edge cannot decide (`not_synced`, `stale`).
    pub unavailable_status: u16,
    /// Body; the default is a small JSON object with the code.
    pub body: Option<String>,
    /// Where browsers (GET or HEAD with `accept: text/html`) are sent.
    pub redirect: Option<String>,
}

/// What a worker takes in, whatever the control plane says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Most revocations. One takes up to 60 bytes of the VM's memory, and twice that while a snapshot replaces
    /// the set.
    pub revocations: u64,
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// Not JSON that can be relied on.
    #[error("the plugin configuration is not valid JSON ({0}); give it as a google.protobuf.StringValue")]
    Json(String),
    /// A key is unknown, missing, or has an unusable value.
    #[error("configuration key `{key}`: {reason}")]
    #[expect(missing_docs, reason = "said by the message")]
    Key { key: String, reason: String },
}

impl Policy {
    /// Reads the plugin configuration.
    ///
    /// # Errors
    /// Names the key and the reason.
    pub fn parse(configuration: &[u8]) -> Result<Self, PolicyError> {
        read::policy(configuration)
    }

    /// Whether requests to this target are never checked.
    ///
    /// A prefix ends at a path segment: `/health` covers `/health` and `/health/live`, not `/healthz`. A
    /// path that a later reader might normalize into another one is not exempt.
    #[must_use]
    pub fn is_exempt(&self, target: &[u8]) -> bool {
        if self.exempt.is_empty() {
            return false;
        }
        let path = target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
        if can_be_normalized(path) {
            return false;
        }
        self.exempt.iter().any(|prefix| {
            let Some(rest) = path.strip_prefix(prefix.as_bytes()) else { return false };
            rest.is_empty() || rest.starts_with(b"/") || prefix.ends_with('/')
        })
    }
}

fn can_be_normalized(path: &[u8]) -> bool {
    let dots = |segment: &[u8]| matches!(segment, b"." | b"..");
    let plain = path.strip_prefix(b"/").unwrap_or(path);
    let last = plain.strip_suffix(b"/").unwrap_or(plain);
    path.iter().any(|byte| matches!(byte, b'%' | b'\\' | b';'))
        || last
            .split(|byte| *byte == b'/')
            .any(|segment| dots(segment) || (segment.is_empty() && !last.is_empty()))
}

#[cfg(test)]
mod tests;
