//! API keys where a protocol wants a client to authenticate (RFC 6749 section 2.3, RFC 6750).

use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Cause, Inbound, Inlets, Scheme};
use crate::auth::{Caller, Scope, bearer};

/// The holder of the API key in `Authorization`: as a bearer, or as the password of Basic with any user name.
pub(super) fn holder(inbound: &Inbound, inlets: &Inlets, inlet: &str, scope: Scope) -> Result<Caller, Cause> {
    let value = inbound
        .header(AUTHORIZATION.as_str())
        .ok_or(Cause::Credential("one `Authorization` header with an API key is needed"))?;
    let basic = basic_password(value);
    let key = bearer(value)
        .or(basic.as_deref())
        .ok_or(Cause::Credential("the scheme is neither `Bearer KEY` nor `Basic` with a key as password"))?;
    let principal =
        inlets.control().authenticate(key).map_err(|_| Cause::Credential("the API key is unknown"))?;
    if !principal.may(scope) {
        return Err(Cause::Scope { needed: scope, tried: tried(inbound) });
    }
    Ok(Caller { principal, via: inlet.into() })
}

/// The same of an OAuth client, which is told by the scheme that it has tried what is wrong.
pub(super) fn client(inbound: &Inbound, inlets: &Inlets, inlet: &str, scope: Scope) -> Result<Caller, Cause> {
    holder(inbound, inlets, inlet, scope).map_err(|cause| match cause {
        Cause::Credential(why) => Cause::Client { tried: tried(inbound), why },
        other => other,
    })
}

/// The scheme of `Authorization`.
fn tried(inbound: &Inbound) -> Scheme {
    let scheme = inbound.header(AUTHORIZATION.as_str()).and_then(|value| value.split_whitespace().next());
    match scheme {
        Some(scheme) if scheme.eq_ignore_ascii_case("basic") => Scheme::Basic,
        Some(scheme) if scheme.eq_ignore_ascii_case("bearer") => Scheme::Bearer,
        _ => Scheme::Other,
    }
}

/// The password of Basic (RFC 7617), form-encoded as RFC 6749 section 2.3.1 wants it.
fn basic_password(header: &str) -> Option<String> {
    let (scheme, credentials) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (_, password) = decoded.split_once(':')?;
    // A pair without `=` is a name.
    form_urlencoded::parse(password.as_bytes()).next().map(|(name, _)| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_basic_is_the_key() {
        let check = |credentials: &str, expect: Option<&str>| {
            let header = format!("Basic {}", STANDARD.encode(credentials));
            assert_eq!(basic_password(&header).as_deref(), expect, "{credentials}");
        };
        check("client:pk_a_b-C", Some("pk_a_b-C"));
        check("client:a%2Bb", Some("a+b"));
        check("client:", None);
        check("client", None);
        assert_eq!(basic_password("Basic !"), None);
        assert_eq!(basic_password("Bearer YTpi"), None);
    }
}
