//! Tokens out of headers, cookies and queries, against the loosest reader that stands beside the filter.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use portcullis_core::extract::{Found, from_cookie, from_header, from_query};
use portcullis_core::token::{Decoded, MAX_TOKEN_BYTES, Token, sha256_hex};
use serde_json::Value;

/// The first byte says where, the rest are the values of the header, one a line.
pub fn run(bytes: &[u8]) {
    let Some((place, rest)) = bytes.split_first() else { return };
    let values: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').collect();
    match place % 4 {
        0 => bearer(&values),
        1 => whole(&values),
        2 => cookie(&values),
        _ => query(rest),
    }
}

fn bearer(values: &[&[u8]]) {
    let found = from_header(values, Some("Bearer"));
    let joined = values.join(&b","[..]);
    let Some(theirs) = first_jwt(&joined) else {
        if let Ok(Some(raw)) = found {
            read(text(&raw));
        }
        return;
    };
    same(&found, &theirs);
}

fn whole(values: &[&[u8]]) {
    if let Ok(Some(raw)) = from_header(values, None) {
        let raw = text(&raw);
        assert!(!raw.is_empty() && raw.trim_matches([' ', '\t']) == raw);
        read(raw);
    }
}

fn cookie(values: &[&[u8]]) {
    let found = from_cookie(values, "at");
    // Every reader of cookies: the first one, the last one, quoted or not.
    let theirs: BTreeSet<String> = values
        .iter()
        .flat_map(|value| value.split(|byte| *byte == b';'))
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='))
        .filter(|(name, _)| name.trim_ascii() == "at")
        .map(|(_, value)| value.trim_ascii().trim_matches('"').to_owned())
        .filter(|value| is_jwt(value))
        .collect();
    if let Ok(Some(raw)) = &found {
        read(text(raw));
    }
    theirs.iter().for_each(|theirs| same(&found, theirs));
}

fn query(target: &[u8]) {
    let found = from_query(target, "access_token");
    if let Ok(Some(raw)) = &found {
        read(text(raw));
    }
    let Some(text) = std::str::from_utf8(target).ok().and_then(|text| text.split_once('?')) else { return };
    let pairs = text.1.split('#').next().unwrap_or_default().split('&');
    for theirs in pairs.filter_map(|pair| pair.strip_prefix("access_token=")).filter(|value| is_jwt(value)) {
        same(&found, theirs);
    }
}

/// Somebody else takes that token from here: it is the one that the filter reads, or the filter relies on none.
fn same(found: &Found<'_>, theirs: &str) {
    let Ok(found) = found else { return };
    let ours = found.as_deref().unwrap_or_else(|| panic!("no token here, and for others {theirs:?}"));
    let ours = text(ours);
    read(ours);
    match Token::read(ours, &mut Decoded::default()) {
        Err(_) => {}
        Ok(Token::Opaque(raw)) => panic!("opaque here and a JWT for others: {raw:?}, they take {theirs:?}"),
        Ok(Token::Jwt(jwt)) => {
            let signed = |raw: &str| raw.rsplit_once('.').map(|(signed, _)| signed.to_owned());
            assert_eq!(signed(jwt.raw), signed(theirs), "another token than others read");
        }
    }
}

fn text(raw: &[u8]) -> &str {
    std::str::from_utf8(raw).expect("what is no text was found to be a token")
}

/// What holds for every raw token.
fn read(raw: &str) {
    let mut decoded = Decoded::default();
    let Ok(token) = Token::read(raw, &mut decoded) else { return };
    assert!(!raw.is_empty() && raw.len() <= MAX_TOKEN_BYTES && raw.is_ascii() && !raw.contains([' ', ',']));
    assert_eq!(token.raw(), raw);
    assert_eq!(sha256_hex(raw), sha256_hex(&format!("{raw}=")), "padding makes another token");
    if let Token::Jwt(jwt) = token {
        let payload = jwt.raw.split('.').nth(1).unwrap_or_default();
        assert!(object(payload).is_some(), "a payload that no other reader reads: {raw}");
    }
}

/// What jwt_authn takes from an Authorization header: after the first `Bearer `, the first run of characters of
/// base64url and dots (`extractJWT` in Envoy's `extractor.cc`), if that is a JWT.
fn first_jwt(value: &[u8]) -> Option<String> {
    let value = String::from_utf8_lossy(value);
    let (_, after) = value.split_once("Bearer ")?;
    let legal = |symbol: char| symbol.is_ascii_alphanumeric() || "-_.".contains(symbol);
    let start = after.find(legal)?;
    let run = after.get(start..)?.split(|symbol| !legal(symbol)).next()?;
    is_jwt(run).then(|| run.to_owned())
}

/// Whether a lenient reader sees three parts with an object in the first two; jwt_authn skips empty ones.
fn is_jwt(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').filter(|part| !part.is_empty()).collect();
    matches!(parts.as_slice(), [header, payload, _] if object(header).is_some() && object(payload).is_some())
}

fn object(part: &str) -> Option<Value> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text = LENIENT.decode(part).ok()?;
    serde_json::from_slice(&text).ok().filter(Value::is_object)
}
