//! The plugin configuration.

use portcullis_core::Policy;
use portcullis_core::policy::{PolicyError, TokenSource};
use portcullis_core::sync::MAX_ENTRIES;
use serde_json::Value;

const KEYS: [&str; 11] = [
    "control_plane",
    "tokens",
    "startup",
    "staleness",
    "missing",
    "malformed",
    "mode",
    "streams",
    "reject",
    "exempt",
    "limits",
];
const YEAR_MS: u64 = 365 * 86_400_000;

/// The configuration, as an operator may have mistyped it.
pub fn run(bytes: &[u8]) {
    let policy = match Policy::parse(bytes) {
        Ok(policy) => policy,
        Err(PolicyError::Json(reason) | PolicyError::Key { reason, .. }) => {
            return assert!(!reason.is_empty());
        }
    };
    let json: Value =
        serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("no JSON for others: {error}"));
    let members = json.as_object().unwrap_or_else(|| panic!("not an object: {json}"));
    assert!(members.keys().all(|key| KEYS.contains(&key.as_str())), "an unknown key: {json}");
    assert_eq!(
        json.pointer("/control_plane/cluster").and_then(Value::as_str),
        Some(&*policy.control_plane.cluster)
    );
    assert!(policy.startup.hold <= YEAR_MS && (1..=YEAR_MS).contains(&policy.staleness.after));
    assert!([policy.reject.status, policy.reject.unavailable_status].iter().all(|s| (400..=599).contains(s)));
    assert!((1..=64).contains(&policy.tokens.len()) && policy.exempt.len() <= 64);
    assert!((1..=MAX_ENTRIES).contains(&policy.limits.revocations));
    for token in &policy.tokens {
        let (TokenSource::Header { name, .. }
        | TokenSource::Cookie(name)
        | TokenSource::Query(name)
        | TokenSource::JwtAuthn(name)) = token;
        assert!(!name.is_empty());
    }
    if let Ok(target) = policy.control_plane.target() {
        assert!(target.contains(&policy.control_plane.cluster));
    }
    for prefix in &policy.exempt {
        assert!(policy.is_exempt(prefix.as_bytes()), "{prefix} is exempt in vain");
        assert!(!policy.is_exempt(format!("{prefix}/../x").as_bytes()), "{prefix}");
        assert!(!policy.is_exempt(format!("/%2e{prefix}").as_bytes()), "{prefix}");
    }
    let token = policy.control_plane.token.as_deref().filter(|token| token.len() > 20);
    if let Some(token) = token {
        let mut rest = policy.clone();
        rest.control_plane.token = None;
        let said = |text: &str| text.matches(token).count();
        assert_eq!(said(&format!("{policy:?}")), said(&format!("{rest:?}")), "the credential is printed");
    }
}
