//! Where tokens stand in a request: taking the raw token out of header values, cookies and queries.
//!
//! "No token" and "a token that is ambiguous" are different answers: two tokens where one belongs may be
//! read differently by whatever comes after the filter.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::token::Malformed;
use crate::words;

/// One place's answer: nothing there, a raw token, or something that cannot be relied on.
pub type Found<'a> = Result<Option<Cow<'a, [u8]>>, Malformed>;

/// The token in a header: its only value, after the scheme if one is asked for.
///
/// A value of another scheme is not a token; schemes are compared without case (RFC 9110 section 11.1). Two
/// values are ambiguous whatever their schemes. So is a value in which the scheme stands anywhere but at the
/// start: Envoy joins two Authorization headers with a comma, and its jwt_authn takes what follows the first
/// `Bearer ` wherever that is (`extractor.cc`).
#[must_use = "ambiguity is in the error"]
pub fn from_header<'a>(values: &[&'a [u8]], scheme: Option<&str>) -> Found<'a> {
    let value = match values {
        [] => return Ok(None),
        [value] => value,
        _ => return Err(Malformed::Several),
    };
    if let Some(token) = scheme.and_then(|scheme| plain(value, scheme)) {
        return Ok(Some(Cow::Borrowed(token)));
    }
    let value = core::str::from_utf8(value).map_err(|_| Malformed::Characters)?;
    let value = value.trim_matches([' ', '\t']);
    let Some(scheme) = scheme else {
        return if value.is_empty() {
            Err(Malformed::Empty)
        } else {
            Ok(Some(Cow::Borrowed(value.as_bytes())))
        };
    };
    if value.eq_ignore_ascii_case(scheme) {
        return Err(Malformed::Empty);
    }
    match positions_of_scheme(value, scheme).as_slice() {
        // Whoever splits at other white space, or at anything that no scheme contains, sees the scheme.
        [] if starts_with_scheme(value, scheme) => Err(Malformed::Characters),
        [] => Ok(None),
        [0] => {
            let token = value.get(scheme.len()..).unwrap_or_default();
            Ok(Some(Cow::Borrowed(token.trim_start_matches([' ', '\t']).as_bytes())))
        }
        _ => Err(Malformed::Several),
    }
}

/// The token after the scheme and one space, when there is no other space and nothing that is not ASCII: then the
/// scheme stands nowhere else. So nearly all are written, and they are seen at every request.
fn plain<'a>(value: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let (word, rest) = value.split_at_checked(scheme.len())?;
    let token = rest.strip_prefix(b" ")?;
    let is_plain =
        !token.is_empty() && word.eq_ignore_ascii_case(scheme.as_bytes()) && words::are_visible(token);
    is_plain.then_some(token)
}

/// Where the scheme stands with a space after it. Looks at what is before each space: a token has none, so this is
/// the one pass over it.
fn positions_of_scheme(value: &str, scheme: &str) -> Vec<usize> {
    let named = memchr::memchr2_iter(b' ', b'\t', value.as_bytes()).filter_map(|end| {
        let start = end.checked_sub(scheme.len())?;
        let word = value.as_bytes().get(start..end)?;
        word.eq_ignore_ascii_case(scheme.as_bytes()).then_some(start)
    });
    named.collect()
}

/// Whether the scheme stands at the start and ends there: what follows is no `tchar`.
fn starts_with_scheme(value: &str, scheme: &str) -> bool {
    let Some((word, rest)) = value.split_at_checked(scheme.len()) else { return false };
    word.eq_ignore_ascii_case(scheme) && !rest.as_bytes().first().is_some_and(|byte| is_tchar(*byte))
}

/// Whether a byte may stand in a header's name or in a scheme (RFC 9110 section 5.6.2).
pub(crate) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The cookie of that name in all values of the `cookie` header (RFC 6265 section 5.4; HTTP/2 may split it).
/// An empty cookie is no token: that is how a logout leaves it.
#[must_use = "ambiguity is in the error"]
pub fn from_cookie<'a>(values: &[&'a [u8]], name: &str) -> Found<'a> {
    let mut found = None;
    for value in values {
        // Cookies are bytes; one that is not UTF-8 cannot be the token, but must not hide it either.
        for pair in value.split(|byte| *byte == b';') {
            let Some(split) = pair.iter().position(|byte| *byte == b'=') else { continue };
            let (key, value) = pair.split_at(split);
            if key.trim_ascii() != name.as_bytes() {
                continue;
            }
            let value = core::str::from_utf8(value.get(1..).unwrap_or_default().trim_ascii())
                .map_err(|_| Malformed::Characters)?;
            let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            if found.replace(quoted.unwrap_or(value)).is_some() {
                return Err(Malformed::Several);
            }
        }
    }
    Ok(found.filter(|token| !token.is_empty()).map(|token| Cow::Borrowed(token.as_bytes())))
}

/// The query parameter of that name in a request target (RFC 6750 section 2.3), percent-decoded. An empty
/// parameter is no token.
#[must_use = "ambiguity is in the error"]
pub fn from_query<'a>(target: &'a [u8], name: &str) -> Found<'a> {
    let Some(start) = target.iter().position(|byte| *byte == b'?') else { return Ok(None) };
    let query = target.get(start.saturating_add(1)..).unwrap_or_default();
    let query = query.split(|byte| *byte == b'#').next().unwrap_or_default();
    let mut found = None;
    for pair in query.split(|byte| *byte == b'&') {
        let split = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (key, value) = pair.split_at(split);
        if *percent_decode(key) != *name.as_bytes() {
            if pair.split(|byte| *byte == b';').any(|part| others_read(part, name)) {
                return Err(Malformed::Several);
            }
            continue;
        }
        let value = match percent_decode(value.get(1..).unwrap_or_default()) {
            value if core::str::from_utf8(&value).is_ok() => value,
            _ => return Err(Malformed::Characters),
        };
        if found.replace(value).is_some() {
            return Err(Malformed::Several);
        }
    }
    Ok(found.filter(|token| !token.is_empty()))
}

/// Whether some reader takes this for the parameter: one that also splits at `;`, that turns the spaces, dots
/// and brackets of names into `_`, or that does not look at case.
fn others_read(part: &[u8], name: &str) -> bool {
    let key = part.split(|byte| *byte == b'=').next().unwrap_or_default();
    let plain = |key: &[u8]| -> Vec<u8> {
        let replace = |byte: &u8| if matches!(byte, b' ' | b'.' | b'[') { b'_' } else { *byte };
        key.trim_ascii_start().iter().map(replace).map(|byte| byte.to_ascii_lowercase()).collect()
    };
    plain(&percent_decode(key)) == plain(name.as_bytes())
}

// As forms encode: `+` is a space. What is not an escape stays as it is.
fn percent_decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Cow::Owned(plain),
            [b'%', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                plain.push(hex(*high) << 4 | hex(*low));
                after
            }
            [b'+', after @ ..] => {
                plain.push(b' ');
                after
            }
            [other, after @ ..] => {
                plain.push(*other);
                after
            }
        };
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "reads better at the calls")]
    fn check<'a>(found: Found<'a>, expect: Result<Option<&'a str>, Malformed>) {
        assert_eq!(found, expect.map(|token| token.map(|token| Cow::Borrowed(token.as_bytes()))));
    }

    #[test]
    fn headers() {
        let bearer = |values: &[&'static str]| {
            let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            from_header(&values, Some("Bearer"))
        };
        check(bearer(&[]), Ok(None));
        check(bearer(&["Bearer abc"]), Ok(Some("abc")));
        check(bearer(&["bEARER \t abc "]), Ok(Some("abc")));
        check(bearer(&["Basic YTpi"]), Ok(None));
        check(bearer(&["Bearerabc"]), Ok(None));
        check(bearer(&["Bearer"]), Err(Malformed::Empty));
        check(bearer(&["Bearer "]), Err(Malformed::Empty));
        check(bearer(&["Bearer a", "Bearer b"]), Err(Malformed::Several));
        check(bearer(&["Basic YTpi", "Bearer b"]), Err(Malformed::Several));
        check(bearer(&["Basic YTpi,Bearer b"]), Err(Malformed::Several));
        check(bearer(&["Bearer a, bearer b"]), Err(Malformed::Several));
        // jwt_authn of Envoy 1.40 finds a token in each of these.
        check(bearer(&["Basic YTpi Bearer b"]), Err(Malformed::Several));
        check(bearer(&["fooBearer b"]), Err(Malformed::Several));
        check(bearer(&["Bearer Bearer b"]), Err(Malformed::Several));
        check(bearer(&["Bearer ,b"]), Ok(Some(",b")));
        // Readers that split at any white space find one here.
        check(bearer(&["Bearer\u{a0}b"]), Err(Malformed::Characters));
        check(bearer(&["Bearer\u{b}b"]), Err(Malformed::Characters));
        check(bearer(&["Bearer,b"]), Err(Malformed::Characters));
        check(bearer(&["Bearer-like b"]), Ok(None));
        check(from_header(&[b"Bearer \xff"], Some("Bearer")), Err(Malformed::Characters));
        check(from_header(&[b" abc "], None), Ok(Some("abc")));
        check(from_header(&[b""], None), Err(Malformed::Empty));
    }

    #[test]
    fn cookies() {
        let cookie = |values: &[&'static str]| {
            let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            from_cookie(&values, "at")
        };
        check(cookie(&[]), Ok(None));
        check(cookie(&["a=1; at=abc; b=2"]), Ok(Some("abc")));
        check(cookie(&["a=1", "at=\"abc\""]), Ok(Some("abc")));
        check(cookie(&["at="]), Ok(None));
        check(cookie(&["xat=abc; AT=abc"]), Ok(None));
        check(cookie(&["at=a; at=b"]), Err(Malformed::Several));
        check(cookie(&["at=a", " at =b"]), Err(Malformed::Several));
        check(cookie(&["at=a=b"]), Ok(Some("a=b")));
        check(from_cookie(&[b"x=\xff; at=abc"], "at"), Ok(Some("abc")));
    }

    #[test]
    fn queries() {
        let query = |target: &'static str| from_query(target.as_bytes(), "access_token");
        check(query("/"), Ok(None));
        check(query("/?access_token=abc"), Ok(Some("abc")));
        check(query("/?a=b&access%5ftoken=a%2Eb#access_token=c"), Ok(Some("a.b")));
        check(query("/?access_token="), Ok(None));
        check(query("/?access_token=a&access_token=b"), Err(Malformed::Several));
        check(query("/?access_token=a&%61ccess_token=b"), Err(Malformed::Several));
        check(query("/?access_token=%ff"), Err(Malformed::Characters));
        check(query("/?a=1;access_token=b"), Err(Malformed::Several));
        check(query("/?access.token=b"), Err(Malformed::Several));
        check(query("/?+access_token=b"), Err(Malformed::Several));
        check(query("/?Access_Token=b"), Err(Malformed::Several));
        check(query("/?access[token=b"), Err(Malformed::Several));
        check(query("/?my_access_token=b"), Ok(None));
        check(query("/?access_token=a+b%zz"), Ok(Some("a b%zz")));
    }
}
