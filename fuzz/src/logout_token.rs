//! Logout tokens: the payload of one that is signed, or a text as it stands.

use portcullis::control::{Effect, Target};

use super::world::{self, claims_of, is_strict, sign};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What starts like an object is signed as a payload.
pub fn run(bytes: &[u8]) {
    let signed = bytes.starts_with(b"{");
    let body = match signed {
        true => format!("logout_token={}", sign("logout+jwt", bytes)),
        // A whole form.
        false => String::from_utf8_lossy(bytes).into_owned(),
    };
    let Ok(reading) = world::read("backchannel-logout", "application/x-www-form-urlencoded", body) else {
        return;
    };
    assert!(signed, "nobody has signed {bytes:?}");
    let claims = claims_of(bytes, &reading);
    assert!(claims["events"][EVENT].is_object() && claims.get("nonce").is_none(), "{claims}");
    let [Effect::Revoke(request)] = reading.effects.as_slice() else {
        panic!("{:?}: {claims}", reading.effects)
    };
    match &request.target {
        Target::Session { sid, .. } => assert_eq!(claims["sid"], **sid),
        Target::Subject { sub, .. } => {
            assert_eq!(claims["sub"], **sub);
            // The strict one ends all of the user's only where no session is named.
            assert!(!is_strict(&reading) || claims.get("sid").is_none(), "{claims}");
        }
        other => panic!("{other:?}: {claims}"),
    }
    assert!(!is_strict(&reading) || claims["exp"].is_number(), "{claims}");
}
