//! Security event tokens: the payload of one that is signed, or a text as it stands.

use super::world::{self, NOW, SKEW, claims_of, is_strict, sign};

/// Longest time after `iat` for which one is taken: 30 days.
const MAX_AGE: u64 = 30 * 86_400;

/// What starts like an object is signed as a payload.
pub fn run(bytes: &[u8]) {
    let signed = bytes.starts_with(b"{");
    let raw = if signed { sign("secevent+jwt", bytes) } else { String::from_utf8_lossy(bytes).into_owned() };
    let Ok(reading) = world::read("ssf", "application/secevent+jwt", raw) else { return };
    assert!(signed, "nobody has signed {bytes:?}");
    let claims = claims_of(bytes, &reading);
    let iat = claims["iat"].as_f64().unwrap_or_default();
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let oldest = (NOW - MAX_AGE - SKEW) as f64;
    assert!(iat.floor() >= oldest, "{claims}");
    let events = claims["events"].as_object().unwrap_or_else(|| panic!("no events: {claims}"));
    assert!((1..=8).contains(&events.len()) && events.values().all(serde_json::Value::is_object), "{claims}");
    if is_strict(&reading) {
        assert!(claims.get("sub").is_none() && claims.get("exp").is_none(), "{claims}");
        assert!(reading.effects.is_empty() || claims["sub_id"].is_object(), "{claims}");
    }
}
