//! From a payload to keys, against a reader that knows no more than JSON.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::claims::{MAX_COMBINATIONS, keys_of_token};
use portcullis_core::cutoff::IssuedAt;
use portcullis_core::selector::MAX_VALUE_BYTES;
use portcullis_core::token::{Decoded, Malformed, Token};
use portcullis_core::{CutoffClaim, Field, HashKey, Key, Shape, Shapes};
use serde_json::Value;

const HASH_KEY: HashKey = HashKey::new([9; 16]);

/// A header and a payload with a byte between them that JSON has not, or a payload alone.
pub fn run(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0xff);
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    let (header, payload) =
        second.map_or((&br#"{"alg":"RS256","kid":"k1"}"#[..], first), |payload| (first, payload));
    let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let raw = format!("{}.{}.c2ln", encode(header), encode(payload));
    let mut decoded = Decoded::default();
    let Ok(token) = Token::read(&raw, &mut decoded) else { return };
    let shapes = shapes();
    let ours = keys_of_token(&HASH_KEY, &shapes, &token);
    if matches!(token, Token::Opaque(_)) {
        assert!(ours.is_ok_and(|ours| ours.keys.is_empty() && ours.not_covered));
        return;
    }
    let parse =
        |part: &[u8]| serde_json::from_slice::<Value>(part).unwrap_or_else(|error| panic!("{raw}: {error}"));
    let (header, payload) = (parse(header), parse(payload));
    let theirs: Vec<BTreeSet<Key>> =
        shapes.as_slice().iter().map(|shape| naive(shape, &header, &payload)).collect();
    let ours = match ours {
        Ok(ours) => ours,
        Err(error) => {
            assert_eq!(error, Malformed::TooManyValues);
            assert!(theirs.iter().any(|keys| keys.len() > MAX_COMBINATIONS), "refused without need: {raw}");
            return;
        }
    };
    for (index, theirs) in theirs.into_iter().enumerate() {
        let of_shape = ours.keys.iter().filter(|(_, at)| *at == index);
        assert_eq!(of_shape.clone().count(), theirs.len(), "shape {index} of {payload}");
        assert_eq!(
            of_shape.map(|(key, _)| *key).collect::<BTreeSet<_>>(),
            theirs,
            "shape {index} of {payload}"
        );
    }
    for claim in [CutoffClaim::Iat, CutoffClaim::AuthTime] {
        let time = payload
            .get(claim.name())
            .and_then(Value::as_f64)
            .map_or(IssuedAt::UNKNOWN, IssuedAt::from_seconds);
        assert_eq!(ours.time(claim), time, "{payload}");
    }
}

/// The everyday shapes, a nested one, one that goes into a list, and one of two lists.
fn shapes() -> Shapes {
    let claim = |name: &str| Field::Claim(name.parse().unwrap_or_else(|error| panic!("{name}: {error}")));
    let fields = [
        vec![claim("iss")],
        vec![claim("iss"), claim("sid")],
        vec![claim("sub")],
        vec![claim("iss"), Field::Client],
        vec![claim("iss"), Field::KeyId],
        vec![claim("/a/b")],
        vec![claim("/l/0")],
        vec![claim("groups"), claim("l")],
    ];
    Shapes::new(fields.into_iter().filter_map(|fields| Shape::new(fields, CutoffClaim::Iat)).collect())
}

/// Every combination, or the first of more than anybody looks up.
fn naive(shape: &Shape, header: &Value, payload: &Value) -> BTreeSet<Key> {
    let mut rows: Vec<Vec<String>> = vec![vec![]];
    for field in shape.fields() {
        let values: BTreeSet<String> = match field {
            Field::Claim(path) => {
                // A list answers to the numbers of its elements and an object to names, as in a JSON Pointer,
                // but for `-` and leading zeros, which stand for no element there.
                let found = path.names().iter().try_fold(payload, |value, name| match value {
                    Value::Array(list) => list.get(name.parse::<usize>().ok()?),
                    other => other.get(name),
                });
                scalars(found)
            }
            Field::Client => {
                ["client_id", "azp"].iter().filter_map(|name| text(payload.get(name)?)).collect()
            }
            Field::KeyId => header.get("kid").and_then(text).into_iter().collect(),
            Field::TokenSha256 => BTreeSet::new(),
        };
        rows = rows
            .into_iter()
            .flat_map(|row| values.iter().map(move |value| [row.clone(), vec![value.clone()]].concat()))
            .take(100_000)
            .collect();
    }
    rows.iter().map(|row| Key::of(&HASH_KEY, shape, row.iter().map(String::as_str))).collect()
}

fn scalars(value: Option<&Value>) -> BTreeSet<String> {
    match value {
        None => BTreeSet::new(),
        Some(Value::Array(list)) => list.iter().filter_map(text).collect(),
        Some(scalar) => text(scalar).into_iter().collect(),
    }
}

/// A number is its digits as long as every reader agrees on them; what no selector can say is no value.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (text.len() <= MAX_VALUE_BYTES).then(|| text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        Value::Number(number) => {
            let number = number.as_f64()?;
            (number.fract() == 0.0 && number.abs() < 2_f64.powi(53)).then(|| format!("{:.0}", number + 0.0))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
