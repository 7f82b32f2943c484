//! Whether the sender of a webhook knows the secret, and which message it is.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use portcullis_core::UnixSeconds;
use portcullis_core::json::Json;
use portcullis_core::token::sha256_hex;
use subtle::ConstantTimeEq as _;

use super::rules;
use crate::config::webhooks::{Encoding, Hash, Scheme, Secret, Webhook};
use crate::control::MessageId;
use crate::inlets::{Cause, Inbound};

/// Most signatures of one message.
const MAX_SIGNATURES: usize = 16;

/// Verifies a message; the id that the scheme gives it, if it does.
pub(super) fn verify(
    webhook: &Webhook,
    inbound: &Inbound,
    now: UnixSeconds,
) -> Result<Option<MessageId>, Cause> {
    match &webhook.scheme {
        Scheme::Standard { tolerance } => standard(webhook, inbound, now, tolerance.as_secs()).map(Some),
        Scheme::Hmac { header, prefix, hash, encoding } => {
            let signature = after_prefix(inbound, header, prefix)?;
            let signature = match encoding {
                Encoding::Hex => from_hex(signature),
                Encoding::Base64 => STANDARD.decode(signature).ok(),
            };
            let signature =
                signature.ok_or(Cause::Credential("the signature is not encoded as configured"))?;
            if !is_signed(&webhook.secret, *hash, &inbound.body, &signature) {
                return Err(Cause::Credential("the signature is not one of the body with this secret"));
            }
            Ok(None)
        }
        Scheme::Token { header, prefix } => {
            let token = after_prefix(inbound, header, prefix)?;
            if !bool::from(token.as_bytes().ct_eq(webhook.secret.reveal())) {
                return Err(Cause::Credential("the header does not have the secret"));
            }
            Ok(None)
        }
        // In its events: see `verify_events`.
        Scheme::ClientState => Ok(None),
    }
}

/// Whether each event has the secret, where the scheme has it there.
pub(super) fn verify_events(webhook: &Webhook, events: &[Json<'_>]) -> Result<(), Cause> {
    if webhook.scheme != Scheme::ClientState {
        return Ok(());
    }
    let has_secret = |event: &Json<'_>| {
        let state = event.get("clientState").and_then(Json::as_text).unwrap_or_default();
        bool::from(state.as_bytes().ct_eq(webhook.secret.reveal()))
    };
    if events.is_empty() || !events.iter().all(has_secret) {
        return Err(Cause::Credential("`clientState` of an event is not the secret"));
    }
    Ok(())
}

/// What tells the message from others of this webhook.
pub(super) fn id(
    webhook: &Webhook,
    proven: Option<MessageId>,
    inbound: &Inbound,
    body: &Json<'_>,
    now: UnixSeconds,
) -> Result<MessageId, Cause> {
    if let Some(id) = proven {
        return Ok(id);
    }
    let text = match &webhook.id {
        Some(pointer) => pointer.find(body).and_then(rules::plain).ok_or_else(|| {
            Cause::rule("webhook_id", format!("there is no id (a text or a whole number) at `{pointer}`"))
        })?,
        None => sha256_hex(inbound.text()?),
    };
    Ok(MessageId { text, remember_until: now.saturating_add(webhook.remember.as_secs()) })
}

fn standard(
    webhook: &Webhook,
    inbound: &Inbound,
    now: UnixSeconds,
    tolerance: UnixSeconds,
) -> Result<MessageId, Cause> {
    let header = |name, missing| inbound.header(name).ok_or(Cause::Credential(missing));
    let id = header("webhook-id", "one `webhook-id` header is needed")?;
    let timestamp = header("webhook-timestamp", "one `webhook-timestamp` header is needed")?;
    let signatures = header("webhook-signature", "one `webhook-signature` header is needed")?;
    // A dot would let an id run into the timestamp that is signed with it.
    if id.is_empty() || id.contains('.') {
        return Err(Cause::Credential("`webhook-id` is empty or has a dot"));
    }
    let plain = timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let at: UnixSeconds = timestamp
        .parse()
        .ok()
        .filter(|_| plain)
        .ok_or(Cause::Credential("`webhook-timestamp` is not a time in seconds"))?;
    if at.abs_diff(now) > tolerance {
        return Err(Cause::Credential("`webhook-timestamp` is further from now than the tolerance"));
    }
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(&inbound.body);
    let given = signatures.split(' ').filter_map(|one| one.strip_prefix("v1,")).take(MAX_SIGNATURES);
    let mut decoded = given.filter_map(|one| STANDARD.decode(one).ok());
    if !decoded.any(|signature| is_signed(&webhook.secret, Hash::Sha256, &signed, &signature)) {
        return Err(Cause::Credential("no `v1` signature is one of id, timestamp and body with this secret"));
    }
    // A sender that tries again keeps the id and takes a new timestamp.
    let remembered = now.saturating_add(webhook.remember.as_secs());
    Ok(MessageId { text: id.into(), remember_until: remembered.max(at.saturating_add(tolerance)) })
}

fn after_prefix<'a>(inbound: &'a Inbound, header: &str, prefix: &str) -> Result<&'a str, Cause> {
    let value = inbound.header(header).ok_or(Cause::Credential("the configured header is not there once"))?;
    value
        .strip_prefix(prefix)
        .ok_or(Cause::Credential("the header does not start with the configured prefix"))
}

/// Whether this is the HMAC of the bytes, compared in constant time.
fn is_signed(secret: &Secret, hash: Hash, bytes: &[u8], signature: &[u8]) -> bool {
    let algorithm = match hash {
        Hash::Sha256 => Algorithm::HS256,
        Hash::Sha384 => Algorithm::HS384,
        Hash::Sha512 => Algorithm::HS512,
    };
    let key = DecodingKey::from_secret(secret.reveal());
    let signature = URL_SAFE_NO_PAD.encode(signature);
    jsonwebtoken::crypto::verify(&signature, bytes, &key, algorithm).unwrap_or(false)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::{HeaderMap, HeaderValue, Method};
    use jsonwebtoken::EncodingKey;

    use super::*;
    use crate::config::webhooks::SecretSource;

    #[test]
    fn hexadecimal_digits_are_bytes() {
        assert_eq!(from_hex("00fFa1"), Some(vec![0, 255, 161]));
        for wrong in ["0", "0g", "é", "+1", " 1"] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }

    /// A sender that tries again keeps the id and takes a new timestamp: it must be known long after the tolerance.
    #[test]
    fn a_standard_id_is_remembered_for_as_long_as_senders_try_again() {
        let body = "{}";
        let day = 86_400;
        let webhook = Webhook {
            name: "hook".into(),
            issuer: "https://idp.example".into(),
            secret_from: SecretSource::Variable("X".into()),
            secret: Secret::new(b"secret".to_vec()),
            scheme: Scheme::Standard { tolerance: Duration::from_secs(300) },
            id: None,
            events: None,
            remember: Duration::from_secs(7 * day),
            rules: Vec::new(),
        };
        let now = 1_000_000;
        let key = EncodingKey::from_secret(b"secret");
        let signed = format!("m1.{now}.{body}");
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
        let signature = STANDARD.encode(URL_SAFE_NO_PAD.decode(signature).unwrap());
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", HeaderValue::from_static("m1"));
        headers.insert("webhook-timestamp", now.to_string().parse().unwrap());
        headers.insert("webhook-signature", format!("v1,{signature}").parse().unwrap());
        let inbound = Inbound {
            method: Method::POST,
            headers,
            path: String::new(),
            query: String::new(),
            body: body.into(),
        };
        let id = verify(&webhook, &inbound, now).unwrap().unwrap();
        assert_eq!((id.text.as_str(), id.remember_until), ("m1", now + 7 * day));
    }

    #[test]
    fn an_hmac_is_the_one_of_rfc_4231() {
        // Test case 2.
        let (secret, data) = (Secret::new(b"Jefe".to_vec()), b"what do ya want for nothing?");
        let sha256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let sha384 = "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649";
        for (hash, expect) in [(Hash::Sha256, sha256), (Hash::Sha384, sha384)] {
            let signature = from_hex(expect).unwrap();
            assert!(is_signed(&secret, hash, data, &signature));
            assert!(!is_signed(&secret, hash, b"other", &signature));
            assert!(!is_signed(&secret, hash, data, &signature[1..]));
            assert!(!is_signed(&secret, hash, data, b""));
        }
    }
}
