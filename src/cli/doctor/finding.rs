//! What can be found: codes that scripts may rely on, how grave each is, and what to do about it.

use serde::Serialize;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// Something revoked may pass, or something good may be stopped.
    Error,
    /// It works, but not for long, not everywhere, or not as one would expect.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Finding {
    /// Which kind of thing; stable.
    pub(super) code: Code,
    /// How grave it is.
    pub(super) severity: Severity,
    /// Where: the control plane, an issuer, an edge, a listener of an Envoy.
    pub(super) subject: String,
    /// What was seen there.
    pub(super) seen: String,
    /// What to do.
    pub(super) advice: &'static str,
}

impl Finding {
    pub(super) fn new(code: Code, subject: impl Into<String>, seen: impl Into<String>) -> Self {
        let (severity, advice) = code.meaning();
        Self { code, severity, subject: subject.into(), seen: seen.into(), advice }
    }

    /// What was observed of one subject.
    pub(super) fn all(subject: &str, observed: impl IntoIterator<Item = Observed>) -> Vec<Self> {
        observed.into_iter().map(|(code, seen)| Self::new(code, subject, seen)).collect()
    }
}

/// A finding but for its subject: which kind of thing, and what was seen.
pub(super) type Observed = (Code, String);

/// All codes in one place: name, severity, what to do.
macro_rules! codes {
    ($($code:ident $severity:ident $advice:literal)*) => {
        /// Which kind of thing is wrong.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, clap::ValueEnum)]
        #[serde(rename_all = "snake_case")]
        #[value(rename_all = "snake_case")]
        pub(super) enum Code {
            $(#[doc = $advice] $code,)*
        }

        impl Code {
            const fn meaning(self) -> (Severity, &'static str) {
                match self {
                    $(Self::$code => (Severity::$severity, $advice),)*
                }
            }
        }
    };
}

codes! {
    // The control plane.
    ControlPlaneUnreachable Error "start `portcullis serve`, or set PORTCULLIS_URL (and PORTCULLIS_CA_FILE) to where it listens"
    ControlPlaneNotReady Error "look at its log: it reads its store, shuts down, or cannot use its disk"
    ControlPlaneAnswer Error "use the command line of the control plane's release"
    KeyRefused Error "set PORTCULLIS_KEY to an API key with the scope `read`"
    KeyScope Error "use a key with the scope `read`: `portcullis key create NAME --scope read`"
    ClockDiffers Warning "set both clocks by NTP: cut-offs are times of the control plane's clock"
    DiskNearlyFull Warning "make room: on a full disk no revocation is accepted"
    LogNearlyFull Warning "raise log.max_bytes: at the limit no revocation is accepted"
    Plaintext Warning "set [tls], or listen on loopback behind a proxy with TLS"
    CertificateExpiring Warning "renew it: the files are read again by themselves"
    CertificateReload Error "put usable files there: until then the old certificate is shown, and it will expire"
    // Who issues tokens, and who sends messages.
    IssuerNone Warning "add [[issuers]]: without it default lifetimes apply, and no signed message is accepted"
    IssuerUnconfigured Warning "configure it, or undo the revocations if the name is a mistake: no token has that `iss`"
    IssuerKeysMissing Error "make its keys reachable, or correct jwks_uri: its signed messages are refused until then"
    IssuerKeysStale Warning "make its keys reachable again: messages signed with a new key are refused until then"
    IssuerClockAhead Error "correct the clocks, or raise clock_skew above it: tokens issued just before a cut-off pass"
    StreamPaused Error "enable it: `portcullis ssf status NAME --set enabled`"
    StreamFailing Error "see `portcullis ssf status NAME`: what the transmitter reports does not arrive"
    StatusListFailing Error "make the list reachable and valid: what it said last stays in force"
    // Edges, as the control plane sees them.
    EdgeNone Warning "load the filter into an Envoy: `portcullis config envoy` prints a configuration; if one has it, ask that: `portcullis doctor --envoy http://HOST:9901`, and look for `no TLS with a peer` in the control plane's log"
    EdgeRefused Error "correct what it was refused for: no revocation reaches it before it is let in"
    EdgeLagging Error "look at the edge's log and its way to the control plane: it enforces an old version"
    EdgeWorkersDisagree Error "look at the edge's log: whether a request is rejected depends on its worker"
    EdgeSilent Error "look at the way to the edge: it may be cut off and enforce an old version"
    EdgeOverLimit Error "raise limits.revocations of its filter, and the memory with it: it enforces an old version"
    EdgeGone Warning "if it was not taken out of service, look at it: it may go on with an old version"
    EdgeFilterVersion Warning "load the filter that the control plane hands out (GET /filter)"
    EdgeNeverRejected Warning "try a revoked token at it: another listener may take the traffic, or `mode` may not enforce"
    NodeIdMissing Warning "give it a node.id of its own: nobody can tell it from the others"
    NodeIdShared Warning "give every Envoy a node.id of its own"
    // An Envoy, as its admin interface shows it.
    EnvoyUnreachable Error "give the address of its admin interface, which must be reachable from here"
    EnvoyVersion Error "use Envoy 1.33 or later: older ones have no FAIL_RELOAD"
    EnvoyElsewhere Warning "if that is not its control plane, give the right one with --url; if it is, `portcullis config envoy --control-plane HOST:8471` prints a cluster that leads there"
    EnvoyCertificateExpiring Warning "renew it"
    ListenerRejected Error "correct the configuration: Envoy goes on with the listener from before"
    FilterAbsent Error "add the filter to the listeners: `portcullis config envoy` prints a configuration"
    FilterMissing Warning "add the filter there, unless nothing behind it needs a token"
    FilterDisabled Warning "enable it on the routes that need it: what is revoked passes elsewhere"
    FilterBeforeJwtAuthn Error "move the filter behind envoy.filters.http.jwt_authn"
    FilterConfigInvalid Error "correct the plugin configuration: a worker that gets it has no filter"
    FilterNotRunning Error "look at Envoy's log for `wasm`: until the filter runs, requests get 503, or pass with fail_open"
    ModuleNotFetched Error "make the module's address reachable from Envoy, with the sha256 of `GET /filter`"
    ModuleUnknown Error "load a module of `GET /filter`, or name this one in filter.files if it is meant"
    ModuleOld Warning "load the current module: the first of `GET /filter`"
    JwtPayloadMissing Error "set payload_in_metadata of the provider to the key that `tokens` names"
    JwtRemovesToken Error "set `forward: true`: the filter looks for a token that is not there any more"
    TokenUnchecked Error "add the place to the filter's `tokens`, or name the provider's from_headers without it"
    FailurePolicy Warning "set failure_policy: FAIL_RELOAD, or a worker whose filter traps answers 503 for ever"
    FailOpen Error "set failure_policy: FAIL_RELOAD: what is revoked passes when the filter fails"
    Runtime Error "set runtime: envoy.wasm.runtime.v8, the only one that the filter is made for"
    ModeObserve Warning "remove `mode`: nothing is rejected"
    DelayedCloseTimeout Warning "set delayed_close_timeout: 0.01s: an HTTP/1.1 connection stays open for so long after it was cut"
    StatsTags Warning "copy stats_tags from envoy/envoy.yaml: outcome and code are no labels in Prometheus"
    ClusterMissing Error "add the cluster, or correct control_plane.cluster in the plugin configuration"
    ClusterUnhealthy Error "correct the cluster's endpoints: there is no host to connect to"
    ClusterUnreachable Error "check address, port (8471 by default) and TLS of the cluster, and what is between"
    ClusterTls Error "if the control plane is up, why is in the control plane's log as `no TLS with a peer`; `portcullis config envoy --tls-dir DIR --control-plane HOST:8471` prints a cluster that fits [tls]"
    ClusterHttp1 Error "set explicit_http_config.http2_protocol_options: gRPC needs HTTP/2"
    VmReloaded Warning "look for the trap in Envoy's log, and report it: open streams of that worker were lost"
    WorkersUnsynced Error "look at the cluster, the edge key, and the logs of both ends: they have no set"
    WorkersStale Error "look at the way to the control plane: they enforce what they had"
    WorkersOverLimit Error "raise limits.revocations of the filter: they enforce what they had"
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn a_code_has_one_name_for_programs_and_on_the_command_line() {
        for code in Code::value_variants() {
            let name = code.to_possible_value().unwrap().get_name().to_owned();
            assert_eq!(serde_json::to_value(code).unwrap(), name);
        }
    }
}
