//! From a token to the keys under which the set may hold it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::cutoff::{CutoffClaim, IssuedAt};
use crate::field::{ClaimPath, Field};
use crate::json::Json;
use crate::key::{HashKey, Key};
use crate::pairs;
use crate::selector::{MAX_VALUE_BYTES, number_text, scalar_text};
use crate::shapes::Shapes;
use crate::token::{MAX_TOKEN_BYTES, Malformed, Token};

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
    // In the order of the shapes' paths.
    claims: Vec<Option<Vec<u8>>>,
}

impl Verified {
    /// Reads, through `read`, the claims that these shapes look at, and the times.
    ///
    /// # Errors
    /// When a claim is longer than [`MAX_VERIFIED_BYTES`].
    pub fn gather(
        shapes: &Shapes,
        read: impl FnMut(&ClaimPath) -> Option<Vec<u8>>,
    ) -> Result<Self, Malformed> {
        let claims: Vec<_> = shapes.paths().iter().map(read).collect();
        if claims.iter().flatten().any(|value| value.len() > MAX_VERIFIED_BYTES) {
            return Err(Malformed::TooLong);
        }
        Ok(Self { claims })
    }

    /// Whether none of the claims is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.claims.iter().all(Option::is_none)
    }

    fn get(&self, path: usize) -> Option<&[u8]> {
        self.claims.get(path)?.as_deref()
    }

    fn seconds(&self, path: Option<usize>) -> IssuedAt {
        let bytes = path.and_then(|path| self.get(path));
        let number = bytes.and_then(|bytes| bytes.try_into().ok()).map(f64::from_le_bytes);
        number.map_or(IssuedAt::UNKNOWN, IssuedAt::from_seconds)
    }
}

/// The keys of a token for these shapes.
///
/// # Errors
/// When a claim has more values than are looked up.
pub fn keys_of_token(hash_key: &HashKey, shapes: &Shapes, token: &Token<'_>) -> Result<TokenKeys, Malformed> {
    let keys = keys(hash_key, shapes, |_, field| values_in_token(field, token))?;
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
            && shapes.fields().iter().any(|field| *field != Field::TokenSha256),
    })
}

/// The keys of verified claims for the shapes that they were gathered for.
///
/// # Errors
/// When a claim has more values than are looked up.
pub fn keys_of_verified(
    hash_key: &HashKey,
    shapes: &Shapes,
    verified: &Verified,
) -> Result<TokenKeys, Malformed> {
    let keys = keys(hash_key, shapes, |at, _| {
        let claims = shapes.sources(at).iter().filter_map(|path| verified.get(*path));
        claims.flat_map(values_of_verified).collect()
    })?;
    let unseen = |field: &Field| matches!(field, Field::KeyId | Field::TokenSha256);
    Ok(TokenKeys {
        keys,
        issued_at: verified.seconds(shapes.time(CutoffClaim::Iat)),
        auth_time: verified.seconds(shapes.time(CutoffClaim::AuthTime)),
        not_covered: shapes.fields().iter().any(unseen),
    })
}

fn values_in_token<'t>(field: &Field, token: &'t Token<'_>) -> Vec<Cow<'t, str>> {
    match (field, token) {
        (Field::TokenSha256, token) => vec![token.sha256_hex().into()],
        (Field::KeyId, Token::Jwt(jwt)) => jwt.key_id.iter().map(|key_id| (*key_id).into()).collect(),
        (Field::Claim(path), Token::Jwt(jwt)) => values_at(&jwt.claims, path.names()),
        (Field::Client, Token::Jwt(jwt)) => {
            ["client_id", "azp"].iter().filter_map(|name| scalar_text(jwt.claims.get(name)?)).collect()
        }
        (_, Token::Opaque(_)) => vec![],
    }
}

fn values_at<'t>(claims: &'t Json<'_>, path: &[String]) -> Vec<Cow<'t, str>> {
    let inner = path.iter().try_fold(claims, |value, name| match value {
        Json::Object(members) => members.get(name),
        // RFC 6901 section 4: a list element by its index.
        Json::List(elements) => elements.get(name.parse::<usize>().ok()?),
        _ => None,
    });
    match inner {
        Some(Json::List(elements)) => elements.iter().filter_map(scalar_text).collect(),
        Some(scalar) => scalar_text(scalar).into_iter().collect(),
        None => vec![],
    }
}

fn values_of_verified(bytes: &[u8]) -> Vec<Cow<'_, str>> {
    match list(bytes) {
        Some(elements) => elements.into_iter().filter_map(untyped_text).collect(),
        None => untyped_text(bytes).into_iter().collect(),
    }
}

/// The text of a scalar whose type is not told. A double of a whole number below 2^53 has control characters
/// among its bytes unless it is above 2^51, which no identifier in use is; so printable text is text.
fn untyped_text(bytes: &[u8]) -> Option<Cow<'_, str>> {
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
            number.map(Cow::Owned).or_else(|| text.map(Into::into))
        }
    }
}

/// A list's elements: pairs with the elements as names and empty values. A map has values.
fn list(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let pairs = pairs::decode(bytes)?;
    pairs.iter().all(|(_, value)| value.is_empty()).then(|| pairs.into_iter().map(|(name, _)| name).collect())
}

/// One key per shape and combination of the values of its fields.
fn keys<'t>(
    hash_key: &HashKey,
    shapes: &Shapes,
    values_of: impl Fn(usize, &Field) -> Vec<Cow<'t, str>>,
) -> Result<Vec<(Key, usize)>, Malformed> {
    let values = |(at, field)| {
        let mut values = values_of(at, field);
        // No selector has a longer one: hashing it would only cost.
        values.retain(|value| value.len() <= MAX_VALUE_BYTES);
        if values.len() > 1 {
            values.sort_unstable();
            values.dedup();
        }
        values
    };
    let known: Vec<Vec<Cow<'_, str>>> = shapes.fields().iter().enumerate().map(values).collect();
    let values = |field: &usize| known.get(*field).map_or(&[][..], Vec::as_slice);
    let mut keys = Vec::new();
    for (index, (shape, columns)) in shapes.columns().enumerate() {
        // 32 bits on the edge: six lists of 64 values would come out as none at all.
        let product =
            columns.iter().try_fold(1_usize, |product, field| product.checked_mul(values(field).len()));
        let combinations = product.ok_or(Malformed::TooManyValues)?;
        let lists = columns.iter().filter(|field| values(field).len() > 1).count();
        if (lists > 1 && combinations > MAX_COMBINATIONS)
            || keys.len().saturating_add(combinations) > MAX_KEYS
        {
            return Err(Malformed::TooManyValues);
        }
        for combination in 0..combinations {
            let mut rest = combination;
            let row = columns.iter().map(|field| {
                let column = values(field);
                let pick = rest.checked_rem(column.len()).unwrap_or_default();
                rest = rest.checked_div(column.len()).unwrap_or_default();
                column.get(pick).map_or("", |value| value.as_ref())
            });
            keys.push((Key::of(hash_key, shape, row), index));
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
