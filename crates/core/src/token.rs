//! Raw tokens: a JSON Web Token that can be read, an opaque token, or something ambiguous.
//!
//! Signatures are not verified here (that is jwt_authn's work in front of the filter). What matters is that
//! no reader behind the filter can see other claims than the filter did: whatever looks like a JWT to a
//! lenient reader must be one to this strict reader, or it is malformed.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};

use crate::json::{Json, Members};
use crate::words;

mod headers;

use headers::Headers;

/// Longest token, in bytes. Envoy's default for all headers together is 60 KiB.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// A token, read.
#[derive(Debug)]
pub enum Token<'a> {
    /// A signed JWT in compact form (RFC 7519, RFC 7515 section 7.1).
    Jwt(Jwt<'a>),
    /// Anything else that a bearer may carry; matched by its hash alone.
    Opaque(&'a str),
}

/// The parts of a JWT that selectors look at.
#[derive(Debug)]
pub struct Jwt<'a> {
    /// The whole token.
    pub raw: &'a str,
    /// `kid` of its header.
    pub key_id: Option<&'a str>,
    /// Its claims: an object.
    pub claims: Json<'a>,
}

/// Where the parts of a JWT are decoded into, for as long as it is looked at. Whoever reads many keeps it: the headers
/// seen lately are not decoded again.
#[derive(Debug, Default)]
pub struct Decoded {
    headers: Headers,
    payload: Vec<u8>,
}

/// Why a token cannot be relied on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// More than one token where one belongs.
    #[error("several tokens in one place")]
    Several,
    /// Nothing where a token belongs.
    #[error("the token is empty")]
    Empty,
    /// Over [`MAX_TOKEN_BYTES`].
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// Not RFC 6750's token syntax.
    #[error("the token has characters that no token has")]
    Characters,
    /// The header looks like a JWT's but is not one.
    #[error("the JWT's header is not a base64url JSON object without duplicates")]
    Header,
    /// Something that some reader takes for a JWT by leaving out what is around or between its parts.
    #[error("a JWT with other characters around it")]
    Surrounded,
    /// The payload is not a JWT's.
    #[error("the JWT's payload is not a base64url JSON object without duplicates")]
    Payload,
    /// A claim that a shape looks at has too many values to look them all up.
    #[error("a claim has too many values")]
    TooManyValues,
}

impl<'a> Token<'a> {
    /// Reads a raw token.
    ///
    /// # Errors
    /// When it is not a token, or is one that two readers could understand differently.
    pub fn read(raw: &'a str, decoded: &'a mut Decoded) -> Result<Self, Malformed> {
        if raw.is_empty() {
            return Err(Malformed::Empty);
        }
        if raw.len() > MAX_TOKEN_BYTES {
            return Err(Malformed::TooLong);
        }
        let Some((header, payload, signature)) = three_parts(raw) else { return Self::opaque(raw) };
        let Decoded { headers, payload: payload_text } = decoded;
        let Some(key_id) = headers.key_id(header) else {
            // What this reader takes for a header, a lenient one does as well.
            return if resembles_object(header) {
                Err(malformed(raw, Malformed::Header))
            } else {
                Self::opaque(raw)
            };
        };
        let claims = read_object(payload, payload_text).ok_or_else(|| malformed(raw, Malformed::Payload))?;
        // The others were decoded, strictly, from characters that a token has.
        if !are_token_bytes(signature) {
            return Err(Malformed::Characters);
        }
        Ok(Self::Jwt(Jwt { raw, key_id: key_id?, claims: Json::Object(claims) }))
    }

    fn opaque(raw: &'a str) -> Result<Self, Malformed> {
        if !are_token_bytes(raw) {
            return Err(Malformed::Characters);
        }
        if hides_a_jwt(raw) { Err(Malformed::Surrounded) } else { Ok(Self::Opaque(raw)) }
    }

    /// The token as it was given.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        match self {
            Self::Jwt(jwt) => jwt.raw,
            Self::Opaque(raw) => raw,
        }
    }

    /// The SHA-256 by which it is revoked, see [`sha256_hex`].
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        hash(match self {
            Self::Jwt(jwt) => jwt.raw.rsplit_once('.').map_or(jwt.raw, |(signed, _)| signed),
            Self::Opaque(raw) => raw.trim_end_matches('='),
        })
    }
}

/// The SHA-256 by which a raw token is revoked, in lower-case hexadecimal.
///
/// Of a JWT, that of the signed part (`header.payload`): a signature has several spellings that verifiers
/// accept (padding, unused bits of the last character, the other `s` of an ECDSA signature), the signed part
/// has one. Of any other token, that of the whole without trailing padding.
#[must_use]
pub fn sha256_hex(raw: &str) -> String {
    match Token::read(raw, &mut Decoded::default()) {
        Ok(token) => token.sha256_hex(),
        Err(_) => hash(raw.trim_end_matches('=')),
    }
}

fn hash(identity: &str) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(identity.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// What stands before, between and after exactly two dots.
fn three_parts(raw: &str) -> Option<(&str, &str, &str)> {
    let split = |text: &'_ str| -> Option<usize> { words::position(text.as_bytes(), b'.') };
    let (header, rest) = raw.split_at_checked(split(raw)?)?;
    let rest = rest.get(1..)?;
    let (payload, rest) = rest.split_at_checked(split(rest)?)?;
    let signature = rest.get(1..)?;
    split(signature).is_none().then_some((header, payload, signature))
}

/// The reason, unless there is the more general one.
fn malformed(raw: &str, reason: Malformed) -> Malformed {
    if are_token_bytes(raw) { reason } else { Malformed::Characters }
}

// b64token of RFC 6750 section 2.1. Most bytes of every new token are looked at, so by a table, and several at a time.
fn are_token_bytes(text: &str) -> bool {
    let is_one = |byte: &u8| TOKEN_BYTES.get(usize::from(*byte)).copied().unwrap_or_default();
    let (fours, rest) = text.as_bytes().as_chunks::<4>();
    fours.iter().fold(true, |all, [a, b, c, d]| all & is_one(a) & is_one(b) & is_one(c) & is_one(d))
        && rest.iter().all(is_one)
}

#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < u8::MAX {
        table[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
        byte += 1;
    }
    table
};

/// Whether the whole, or a run of the characters that a JWT has, is one once its empty parts are left out.
/// jwt_authn of Envoy 1.40 takes such a run out of what is around it (`extractJWT` in `extractor.cc`); its parser
/// passes over empty parts, and takes padding (`Jwt::parseFromString`).
fn hides_a_jwt(raw: &str) -> bool {
    let in_a_jwt = |symbol: char| symbol.is_ascii_alphanumeric() || matches!(symbol, '-' | '_' | '.');
    raw.split(|symbol| !in_a_jwt(symbol)).chain([raw]).any(|text| {
        let mut parts = text.split('.').filter(|part| !part.is_empty());
        let (first, others) = (parts.next(), parts.count());
        others == 2 && first.is_some_and(resembles_object)
    })
}

fn read_object<'a>(part: &str, text: &'a mut Vec<u8>) -> Option<Members<'a>> {
    text.clear();
    URL_SAFE_NO_PAD.decode_vec(part, text).ok()?;
    match Json::parse(text) {
        Ok(Json::Object(members)) => Some(members),
        _ => None,
    }
}

/// Whether some lenient base64 reader could see the start of a JSON object: padded or not, of either
/// alphabet, with white space or a byte order mark before the brace.
fn resembles_object(part: &str) -> bool {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let url_safe: Vec<u8> = part
        .bytes()
        .filter(|byte| *byte != b'=')
        .map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        })
        // Decoding needs whole groups; a brace further in than this is not the start of a header.
        .take(64)
        .collect();
    let whole = url_safe.len() - url_safe.len() % 4;
    let groups =
        if url_safe.len() < 4 { url_safe.as_slice() } else { url_safe.get(..whole).unwrap_or_default() };
    let Ok(text) = LENIENT.decode(groups) else { return false };
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    text.trim_ascii_start().first() == Some(&b'{') || text.trim_ascii_start().is_empty()
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn encode(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn jwt(header: &str, payload: &str) -> String {
        format!("{}.{}.c2ln", encode(header), encode(payload))
    }

    #[track_caller]
    fn check(raw: &str, expect: Result<&str, Malformed>) {
        let seen = Token::read(raw, &mut Decoded::default()).map(|token| match token {
            Token::Jwt(_) => "jwt",
            Token::Opaque(_) => "opaque",
        });
        assert_eq!(seen, expect, "{raw}");
    }

    #[test]
    fn a_jwt_is_read() {
        let raw = jwt(r#"{"alg":"RS256","kid":"k1"}"#, r#"{"sub":"alice"}"#);
        let mut decoded = Decoded::default();
        let Ok(Token::Jwt(jwt)) = Token::read(&raw, &mut decoded) else { panic!("not a JWT") };
        assert_eq!(jwt.key_id, Some("k1"));
        assert_eq!(jwt.claims.get("sub").and_then(Json::as_text), Some("alice"));
    }

    #[test]
    fn what_is_no_jwt_is_opaque() {
        check("secret-token", Ok("opaque"));
        check("ya29.a0AfH6SMB", Ok("opaque"));
        check("hvs.CAES.IJ", Ok("opaque"));
        check("a.b.c.d.e", Ok("opaque"));
        check(&format!("{}.{}", encode(r#"{"alg":"none"}"#), encode("{}")), Ok("opaque"));
    }

    #[test]
    fn what_a_lenient_reader_could_take_for_a_jwt_is_malformed() {
        let payload = encode(r#"{"sub":"alice"}"#);
        let header = encode(r#"{"alg":"RS256"}"#);
        check(&format!("{header}=.{payload}.c2ln"), Err(Malformed::Header));
        check(&format!("{header}.{payload}=.c2ln"), Err(Malformed::Payload));
        check(&format!("{header}.{payload}==.c2ln"), Err(Malformed::Payload));
        check(&jwt(r#"{"alg":"RS256""#, "{}"), Err(Malformed::Header));
        check(&jwt("\u{feff}{\"alg\":\"RS256\"}", "{}"), Err(Malformed::Header));
        check(&jwt(r#"{"alg":"RS256","alg":"none"}"#, "{}"), Err(Malformed::Header));
        check(&jwt(r#"{"alg":"RS256"}"#, r#"{"sub":"a","sub":"b"}"#), Err(Malformed::Payload));
        check(&jwt(r#"{"alg":"RS256"}"#, r#"["sub"]"#), Err(Malformed::Payload));
        check(&jwt(r#"{"alg":"RS256","kid":7}"#, "{}"), Err(Malformed::Header));
        check(&format!("{header}..c2ln"), Err(Malformed::Payload));
        // White space before the brace is JSON: this one is simply read.
        check(&jwt("\n {\"alg\":\"RS256\"}", "{}"), Ok("jwt"));
        // The last character's unused bits are set: canonical readers refuse it, lenient ones do not.
        check(&format!("{header}.{}.c2ln", "eyJzdWIiOiJhIn1"), Err(Malformed::Payload));
    }

    #[test]
    fn a_jwt_with_something_around_it_is_malformed() {
        let token = jwt(r#"{"alg":"RS256"}"#, r#"{"sub":"alice"}"#);
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("{token}")
        };
        for raw in [
            format!("{token}."),
            format!("{token}..."),
            format!(".{token}"),
            format!("{header}..{payload}.{signature}"),
            format!("{header}.{payload}..{signature}"),
            format!("~{token}"),
            format!("+{token}"),
            format!("=/{token}"),
            format!("~~+/{token}"),
            format!("{token}~.x"),
            format!("{token}=.x.y"),
            format!("x.y/{token}"),
            // Read as a whole: padded, and with an empty part.
            format!("{header}=.{payload}.{signature}."),
            format!("{header}.{payload}=..{signature}"),
        ] {
            check(&raw, Err(Malformed::Surrounded));
        }
        check(&format!("{token}=="), Ok("jwt"));
        check("+a.b.c", Ok("opaque"));
        check("a.b.c=.d", Ok("opaque"));
        // A JWE has five parts, none of them empty.
        check(&format!("{token}.a.b"), Ok("opaque"));
    }

    #[test]
    fn what_no_token_may_be_is_malformed() {
        check("", Err(Malformed::Empty));
        check("a b", Err(Malformed::Characters));
        check("a,Bearer b", Err(Malformed::Characters));
        check("tökén", Err(Malformed::Characters));
        check("a\0b", Err(Malformed::Characters));
        check(&"x".repeat(MAX_TOKEN_BYTES), Ok("opaque"));
        check(&"x".repeat(1_000_000), Err(Malformed::TooLong));
    }

    #[test]
    fn an_opaque_token_is_hashed_whole_but_for_its_padding() {
        let expect = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex("abc"), expect);
        assert_eq!(sha256_hex("abc=="), expect);
    }

    #[test]
    fn a_jwt_keeps_its_hash_however_its_signature_is_spelled() {
        let raw = jwt(r#"{"alg":"ES256"}"#, r#"{"sub":"alice"}"#);
        let (signed, _) = raw.rsplit_once('.').unwrap();
        for signature in ["c2ln", "c2ln==", "c2lo", "b3RoZXI"] {
            assert_eq!(sha256_hex(&format!("{signed}.{signature}")), sha256_hex(&raw));
        }
        assert_ne!(sha256_hex(&jwt(r#"{"alg":"ES256"}"#, r#"{"sub":"bob"}"#)), sha256_hex(&raw));
    }
}
