//! The webhooks' secrets, from where the file says they are.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Scheme, Secret, SecretSource, Webhook};
use crate::config::ConfigError;

/// Fewest bytes of a secret.
const MIN_BYTES: usize = 16;
/// Of Standard Webhooks, by its specification.
const MIN_STANDARD_BYTES: usize = 24;

/// Reads the secrets of all webhooks. A file that is named without a directory is looked for beside `path`.
pub(in crate::config) fn resolve(
    webhooks: &mut [Webhook],
    path: Option<&Path>,
    environment: &[(String, String)],
) -> Result<(), ConfigError> {
    for webhook in webhooks {
        let wrong = |error: String| ConfigError::Secret { webhook: webhook.name.clone(), error };
        let text = match &webhook.secret_from {
            SecretSource::Variable(name) => {
                let found = environment.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone()).ok_or_else(|| wrong(format!("{name} is not set")))?
            }
            SecretSource::File(file) => {
                let file = path.and_then(Path::parent).map_or_else(|| file.clone(), |dir| dir.join(file));
                std::fs::read_to_string(&file)
                    .map_err(|error| wrong(format!("cannot read {}: {error}", file.display())))?
            }
        };
        webhook.secret = secret(&webhook.scheme, text.trim()).map_err(wrong)?;
    }
    Ok(())
}

/// The bytes that a text stands for. No message has the text.
fn secret(scheme: &Scheme, text: &str) -> Result<Secret, String> {
    let (bytes, min) = match scheme {
        Scheme::Standard { .. } => {
            let encoded = text.strip_prefix("whsec_").unwrap_or(text);
            let bytes =
                STANDARD.decode(encoded).map_err(|_| "it is not base64, such as whsec_…".to_owned())?;
            (bytes, MIN_STANDARD_BYTES)
        }
        Scheme::Hmac { .. } | Scheme::Token { .. } | Scheme::ClientState => {
            (text.as_bytes().to_vec(), MIN_BYTES)
        }
    };
    if bytes.len() < min {
        return Err(format!("it has fewer than {min} bytes, which can be guessed"));
    }
    Ok(Secret::new(bytes))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_secret_is_what_the_scheme_says_and_never_shown() {
        let standard = Scheme::Standard { tolerance: Duration::ZERO };
        let token = Scheme::Token { header: "authorization".into(), prefix: String::new() };
        let encoded = STANDARD.encode("0123456789abcdef01234567");
        for text in [format!("whsec_{encoded}"), encoded] {
            let secret = secret(&standard, &text).unwrap();
            assert_eq!(secret.reveal(), b"0123456789abcdef01234567");
            assert_eq!(format!("{secret:?}"), "Secret(…)");
        }
        assert_eq!(secret(&token, "sixteen characte").unwrap().reveal(), b"sixteen characte");
        for (scheme, text) in [(&standard, "whsec_AAAA"), (&standard, "whsec_!"), (&token, "too short")] {
            let error = secret(scheme, text).unwrap_err();
            assert!(!error.contains(text), "{error}");
        }
    }
}
