//! From a token to the keys under which the set may hold it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::cutoff::{CutoffClaim, IssuedAt};
use crate::field::{ClaimPath, Field, Shape};
use crate::json::Json;
use crate::key::{HashKey, Key};
use crate::pairs;
use crate::selector::{MAX_VALUE_BYTES, number_text, scalar_text};
use crate::token::{MAX_TOKEN_BYTES, Malformed, Token, sha256_hex};

/// Most combinations of the values of several lists in one shape. A single list is bounded by the token.
pub const MAX_COMBINATIONS: usize = 4_096;
/// Most keys of one token: more than a token of [`MAX_TOKEN_BYTES`] has list elements.
pub const MAX_KEYS: usize = MAX_TOKEN_BYTES;
/// Longest verified claim, in bytes: Envoy's form of a list is about ten times as long as JSON's.
pub const MAX_VERIFIED_BYTES: usize = 16 * MAX_TOKEN_BYTES;

/// All that the set needs to know of a token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenKeys {
    /// The keys, each with the index of its shape.
    pub keys: Vec<(Key, usize)>,
    /// The token's `iat`.
    pub issued_at: IssuedAt,
    /// The token's `auth_time`.
    pub auth_time: IssuedAt,
    /// A shape in use looks at something that this source of tokens does not show.
    pub not_covered: bool,
}

impl TokenKeys {
    /// The time that a cut-off is compared with.
    #[must_use]
    pub fn time(&self, claim: CutoffClaim) -> IssuedAt {
        match claim {
            CutoffClaim::Iat => self.issued_at,
            CutoffClaim::AuthTime => self.auth_time,
        }
    }
}

/// Claims as a proxy's own JWT filter has verified and stored them.
///
/// Envoy hands each one over without its type: text as it is, a number as 8 bytes (a little-endian double),
/// a boolean as one byte, a list as pairs whose keys are the elements (`serializeValue` in Envoy's wasm
/// `context.cc`).
#[derive(Clone, Debug, Default)]
pub struct Verified {
    claims: BTreeMap<ClaimPath, Vec<u8>>,
}

impl Verified {
    /// Reads, through `read`, the claims that these shapes look at, and the times.
    ///
    /// # Errors
    /// When a claim is longer than [`MAX_VERIFIED_BYTES`].
    pub fn gather(
        shapes: &[Shape],
        mut read: impl FnMut(&ClaimPath) -> Option<Vec<u8>>,
    ) -> Result<Self, Malformed> {
        // `iss` and `iat` tell that there is a token at all, before any shape is known.
        let mut paths: Vec<ClaimPath> = vec![ClaimPath::top("iss"), ClaimPath::top("iat")];
        if shapes.iter().any(|shape| shape.cutoff_claim() == CutoffClaim::AuthTime) {
            paths.push(ClaimPath::top("auth_time"));
        }
        for field in shapes.iter().flat_map(Shape::fields) {
            match field {
                Field::Claim(path) => paths.push(path.clone()),
                Field::Client => paths.extend([ClaimPath::top("client_id"), ClaimPath::top("azp")]),
                Field::KeyId | Field::TokenSha256 => {}
            }
        }
        paths.sort_unstable();
        paths.dedup();
        let mut claims = BTreeMap::new();
        for path in paths {
            if let Some(value) = read(&path) {
                if value.len() > MAX_VERIFIED_BYTES {
                    return Err(Malformed::TooLong);
                }
                claims.insert(path, value);
            }
        }
        Ok(Self { claims })
    }

    /// Whether none of the claims is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    fn seconds(&self, claim: CutoffClaim) -> IssuedAt {
        let bytes = self.claims.get(&ClaimPath::top(claim.name()));
        let number = bytes.and_then(|bytes| bytes.as_slice().try_into().ok()).map(f64::from_le_bytes);
        number.map_or(IssuedAt::UNKNOWN, IssuedAt::from_seconds)
    }
}

/// The keys of a token for these shapes.
///
/// # Errors
/// When a claim has more values than are looked up.
pub fn keys_of_token(
    hash_key: &HashKey,
    shapes: &[Shape],
    token: &Token<'_>,
) -> Result<TokenKeys, Malformed> {
    let keys = keys(hash_key, shapes, |field, values| values_in_token(field, token, values))?;
    let seconds = |claim: CutoffClaim| match token {
        Token::Jwt(jwt) => match jwt.claims.get(claim.name()) {
            Some(Json::Number(seconds)) => IssuedAt::from_seconds(*seconds),
            _ => IssuedAt::UNKNOWN,
        },
        Token::Opaque(_) => IssuedAt::UNKNOWN,
    };
    Ok(TokenKeys {
        keys,
        issued_at: seconds(CutoffClaim::Iat),
        auth_time: seconds(CutoffClaim::AuthTime),
        not_covered: matches!(token, Token::Opaque(_))
            && shapes.iter().flat_map(Shape::fields).any(|field| *field != Field::TokenSha256),
    })
}

/// The keys of verified claims for these shapes.
///
/// # Errors
/// When a claim has more values than are looked up.
pub fn keys_of_verified(
    hash_key: &HashKey,
    shapes: &[Shape],
    verified: &Verified,
) -> Result<TokenKeys, Malformed> {
    let keys = keys(hash_key, shapes, |field, values| values_in_verified(field, verified, values))?;
    let unseen = |field: &Field| matches!(field, Field::KeyId | Field::TokenSha256);
    Ok(TokenKeys {
        keys,
        issued_at: verified.seconds(CutoffClaim::Iat),
        auth_time: verified.seconds(CutoffClaim::AuthTime),
        not_covered: shapes.iter().flat_map(Shape::fields).any(unseen),
    })
}

fn values_in_token(field: &Field, token: &Token<'_>, values: &mut Vec<String>) {
    match (field, token) {
        (Field::TokenSha256, token) => values.push(sha256_hex(token.raw())),
        (Field::KeyId, Token::Jwt(jwt)) => values.extend(jwt.key_id.clone()),
        (Field::Claim(path), Token::Jwt(jwt)) => values_at(&jwt.claims, path.names(), values),
        (Field::Client, Token::Jwt(jwt)) => {
            for name in ["client_id", "azp"] {
                values.extend(jwt.claims.get(name).and_then(scalar_text));
            }
        }
        (_, Token::Opaque(_)) => {}
    }
}

fn values_at(value: &Json, path: &[String], values: &mut Vec<String>) {
    match (path, value) {
        ([], Json::List(elements)) => values.extend(elements.iter().filter_map(scalar_text)),
        ([], scalar) => values.extend(scalar_text(scalar)),
        ([name, inner @ ..], Json::Object(members)) => {
            if let Some(member) = members.get(name) {
                values_at(member, inner, values);
            }
        }
        // RFC 6901 section 4: a list element by its index.
        ([index, inner @ ..], Json::List(elements)) => {
            if let Some(element) = index.parse().ok().and_then(|index: usize| elements.get(index)) {
                values_at(element, inner, values);
            }
        }
        _ => {}
    }
}

fn values_in_verified(field: &Field, verified: &Verified, values: &mut Vec<String>) {
    let mut claim = |path: &ClaimPath| {
        let Some(bytes) = verified.claims.get(path) else { return };
        match list(bytes) {
            Some(elements) => values.extend(elements.into_iter().filter_map(untyped_text)),
            None => values.extend(untyped_text(bytes)),
        }
    };
    match field {
        Field::Claim(path) => claim(path),
        Field::Client => {
            claim(&ClaimPath::top("client_id"));
            claim(&ClaimPath::top("azp"));
        }
        Field::KeyId | Field::TokenSha256 => {}
    }
}

/// The text of a scalar whose type is not told. A double of a whole number below 2^53 has control characters
/// among its bytes unless it is above 2^51, which no identifier in use is; so printable text is text.
fn untyped_text(bytes: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(bytes).ok();
    if let Some(text) = text
        && !text.chars().any(char::is_control)
    {
        return Some(text.into());
    }
    match bytes {
        [0] => Some("false".into()),
        [1] => Some("true".into()),
        _ => {
            let number = bytes.try_into().ok().map(f64::from_le_bytes).and_then(number_text);
            number.or_else(|| text.map(Into::into))
        }
    }
}

/// A list's elements: pairs with the elements as names and empty values. A map has values.
fn list(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let pairs = pairs::decode(bytes)?;
    pairs.iter().all(|(_, value)| value.is_empty()).then(|| pairs.into_iter().map(|(name, _)| name).collect())
}

/// One key per shape and combination of the values of its fields.
fn keys<'s>(
    hash_key: &HashKey,
    shapes: &'s [Shape],
    values_of: impl Fn(&Field, &mut Vec<String>),
) -> Result<Vec<(Key, usize)>, Malformed> {
    // Shapes share fields, `iss` above all: each is read once.
    let mut known: BTreeMap<&'s Field, Vec<String>> = BTreeMap::new();
    for field in shapes.iter().flat_map(Shape::fields) {
        if !known.contains_key(field) {
            let mut values = Vec::new();
            values_of(field, &mut values);
            // No selector has a longer one: hashing it would only cost.
            values.retain(|value| value.len() <= MAX_VALUE_BYTES);
            values.sort_unstable();
            values.dedup();
            known.insert(field, values);
        }
    }
    let mut keys = Vec::new();
    for (index, shape) in shapes.iter().enumerate() {
        let columns: Vec<&[String]> =
            shape.fields().iter().map(|field| known.get(field).map_or(&[][..], Vec::as_slice)).collect();
        // 32 bits on the edge: six lists of 64 values would come out as none at all.
        let product = columns.iter().try_fold(1_usize, |product, column| product.checked_mul(column.len()));
        let combinations = product.ok_or(Malformed::TooManyValues)?;
        let lists = columns.iter().filter(|column| column.len() > 1).count();
        if (lists > 1 && combinations > MAX_COMBINATIONS)
            || keys.len().saturating_add(combinations) > MAX_KEYS
        {
            return Err(Malformed::TooManyValues);
        }
        for combination in 0..combinations {
            let mut rest = combination;
            let row = columns.iter().map(|column| {
                let pick = rest.checked_rem(column.len()).unwrap_or_default();
                rest = rest.checked_div(column.len()).unwrap_or_default();
                column.get(pick).map_or("", String::as_str)
            });
            keys.push((Key::of(hash_key, shape, row), index));
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
