//! `PORTCULLIS_*` variables.

use std::convert::Infallible;
use std::fmt::Display;
use std::path::PathBuf;

use super::file::{address, duration, heartbeat, positive};
use super::inlets::public_url;
use super::{Config, ConfigError, Tls, traces};
use crate::auth::{KeyText, SecretHash};

/// Secrets that automation hands over in the environment, as hashes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys {
    /// `PORTCULLIS_ADMIN_KEY`.
    pub admin: Option<SecretHash>,
    /// `PORTCULLIS_EDGE_KEY`.
    pub edge: Option<SecretHash>,
}

const ADMIN_KEY: &str = "PORTCULLIS_ADMIN_KEY";
const EDGE_KEY: &str = "PORTCULLIS_EDGE_KEY";
/// Read by the command line and by the project's own tests.
const ELSEWHERE: [&str; 5] =
    ["PORTCULLIS_URL", "PORTCULLIS_KEY", "PORTCULLIS_CA_FILE", "PORTCULLIS_BIN", "PORTCULLIS_FILTER"];
const MIN_SECRET_BYTES: usize = 16;

type Set = fn(&mut Config, &str) -> Result<(), String>;

/// Every key of the file that is one value, as `PORTCULLIS_<SECTION>_<KEY>`.
const VARIABLES: &[(&str, Set)] = &[
    ("PORTCULLIS_DATA_DIR", |config, text| set(&mut config.data_dir, path(text))),
    ("PORTCULLIS_STRICT_ISSUERS", |config, text| set(&mut config.issuers.strict, text.parse())),
    ("PORTCULLIS_LISTEN_HTTP", |config, text| set(&mut config.listen.http, address(text))),
    ("PORTCULLIS_LISTEN_EDGE", |config, text| set(&mut config.listen.edge, address(text))),
    ("PORTCULLIS_TLS_CERTIFICATE_FILE", |config, text| set(&mut tls(config).certificate_file, path(text))),
    ("PORTCULLIS_TLS_KEY_FILE", |config, text| set(&mut tls(config).key_file, path(text))),
    ("PORTCULLIS_TLS_EDGE_CA_FILE", |config, text| set(&mut tls(config).edge_ca_file, path(text).map(Some))),
    ("PORTCULLIS_TLS_PORTS", |config, text| {
        set(&mut tls(config).ports, text.split(',').map(str::parse).collect())
    }),
    ("PORTCULLIS_FILTER_FILES", |config, text| {
        set(&mut config.filter_files, Ok::<_, Infallible>(Some(text.split(',').map(Into::into).collect())))
    }),
    ("PORTCULLIS_LOG_RETENTION", |config, text| set(&mut config.log.retention, positive(text))),
    ("PORTCULLIS_LOG_MAX_BYTES", |config, text| set(&mut config.log.max_bytes, text.parse())),
    ("PORTCULLIS_FEED_HISTORY", |config, text| set(&mut config.feed.history, text.parse())),
    ("PORTCULLIS_EDGE_HEARTBEAT", |config, text| set(&mut config.edge.heartbeat, heartbeat(text))),
    ("PORTCULLIS_EDGE_FORGET_AFTER", |config, text| set(&mut config.edge.forget_after, duration(text))),
    ("PORTCULLIS_EDGE_MAX_SUBSCRIBERS", |config, text| set(&mut config.edge.max_subscribers, text.parse())),
    ("PORTCULLIS_EDGE_HELLO_TIMEOUT", |config, text| set(&mut config.edge.hello_timeout, positive(text))),
    ("PORTCULLIS_INLETS_PUBLIC_URL", |config, text| {
        public_url(text).map(|url| config.inlets.public_url = Some(url))
    }),
    ("PORTCULLIS_INLETS_REQUESTS_PER_MINUTE", |config, text| {
        set(&mut config.inlets.requests_per_minute, text.parse())
    }),
    ("PORTCULLIS_INLETS_TRUSTED_PROXIES", |config, text| {
        let networks: Result<_, String> = text.split(',').map(|network| network.trim().parse()).collect();
        set(&mut config.inlets.trusted_proxies, networks)
    }),
    ("PORTCULLIS_INLETS_CA_FILE", |config, text| set(&mut config.inlets.ca_file, path(text).map(Some))),
    ("PORTCULLIS_TRACES_ENDPOINT", |config, text| {
        traces::endpoint(text).map(|endpoint| config.traces.endpoint = Some(endpoint))
    }),
    ("PORTCULLIS_TRACES_SAMPLE", |config, text| set(&mut config.traces.sample, traces::sample(text))),
    ("PORTCULLIS_TRACES_CA_FILE", |config, text| set(&mut config.traces.ca_file, path(text).map(Some))),
    ("PORTCULLIS_EDGE_SEND_TIMEOUT", |config, text| set(&mut config.edge.send_timeout, positive(text))),
];

/// Overrides `config` by the variables that are ours.
pub(super) fn apply(
    config: &mut Config,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Keys, ConfigError> {
    let mut keys = Keys::default();
    for (name, value) in environment {
        if !is_ours(&name) {
            continue;
        }
        match name.as_str() {
            ADMIN_KEY => keys.admin = Some(secret(ADMIN_KEY, &value)?),
            EDGE_KEY => keys.edge = Some(secret(EDGE_KEY, &value)?),
            _ => {
                let Some((name, set)) = VARIABLES.iter().find(|(known, _)| *known == name) else {
                    return Err(ConfigError::UnknownVariable { hint: nearest(&name), name });
                };
                set(config, &value).map_err(|error| ConfigError::Variable { name, error })?;
            }
        }
    }
    Ok(keys)
}

fn is_ours(name: &str) -> bool {
    name.starts_with("PORTCULLIS_") && !is_of_kubernetes(name) && !ELSEWHERE.contains(&name)
}

/// Kubernetes describes a Service called `portcullis`, or `portcullis-edge`, to every pod of its namespace:
/// `…_SERVICE_HOST`, `…_SERVICE_PORT`, `…_SERVICE_PORT_HTTP`, `…_PORT`, `…_PORT_8470_TCP`, `…_PORT_8470_TCP_ADDR`.
fn is_of_kubernetes(name: &str) -> bool {
    let is_numbered = |(_, rest): (&str, &str)| {
        let (number, protocol) = rest.split_once('_').unwrap_or((rest, ""));
        let protocol = protocol.split('_').next().unwrap_or_default();
        number.bytes().all(|byte| byte.is_ascii_digit()) && ["TCP", "UDP", "SCTP"].contains(&protocol)
    };
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|end| name.ends_with(end))
        || name.contains("_SERVICE_PORT_")
        || name.rsplit_once("_PORT_").is_some_and(is_numbered)
        || name.strip_suffix("_PORT").and_then(|name| name.rsplit_once("_PORT_")).is_some_and(is_numbered)
}

fn tls(config: &mut Config) -> &mut Tls {
    config.tls.get_or_insert_default()
}

fn path(text: &str) -> Result<PathBuf, Infallible> {
    Ok(text.into())
}

fn set<T, E: Display>(value: &mut T, read: Result<T, E>) -> Result<(), String> {
    *value = read.map_err(|error| error.to_string())?;
    Ok(())
}

// The value never gets into a message.
fn secret(name: &'static str, value: &str) -> Result<SecretHash, ConfigError> {
    let wrong = |error: &str| ConfigError::Variable { name, error: error.into() };
    let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if value.trim() != value || !value.bytes().all(is_plain) {
        // A header cannot carry it as it is: every caller would be refused.
        return Err(wrong(
            "a key has plain ASCII characters, without a line break or a space at either end; was it read \
             from a file that ends with one?",
        ));
    }
    if value.len() < MIN_SECRET_BYTES {
        return Err(wrong("a key has at least 16 characters"));
    }
    if KeyText::split(value).is_some() {
        return Err(wrong("keys that begin with pk_ are made by the control plane: choose another text"));
    }
    Ok(SecretHash::of(value))
}

/// The known variable that shares the longest end with a mistyped one.
fn nearest(name: &str) -> Option<&'static str> {
    let common_end =
        |known: &str| known.bytes().rev().zip(name.bytes().rev()).take_while(|(a, b)| a == b).count();
    let known = VARIABLES.iter().map(|(known, _)| *known).chain([ADMIN_KEY, EDGE_KEY]);
    known.map(|known| (common_end(known), known)).filter(|(len, _)| *len >= 4).max().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(name: &str, value: &str) -> Result<(Config, Keys), ConfigError> {
        let mut config = Config::default();
        apply(&mut config, [(name.to_owned(), value.to_owned())]).map(|keys| (config, keys))
    }

    #[test]
    fn variables_override() {
        let (config, _) = applied("PORTCULLIS_LISTEN_HTTP", "127.0.0.1:0").unwrap();
        assert_eq!(config.listen.http.port(), 0);
        let (config, _) = applied("PORTCULLIS_LOG_RETENTION", "1d").unwrap();
        assert_eq!(config.log.retention.as_secs(), 86_400);
    }

    #[test]
    fn mistyped_variables_are_refused_by_name() {
        let error = applied("PORTCULLIS_HTTP", "127.0.0.1:0").unwrap_err().to_string();
        assert!(error.contains("did you mean PORTCULLIS_LISTEN_HTTP"), "{error}");
        let error = applied("PORTCULLIS_EDGE_HEARTBEAT", "often").unwrap_err().to_string();
        assert!(error.contains("PORTCULLIS_EDGE_HEARTBEAT"), "{error}");
    }

    #[test]
    fn other_variables_are_none_of_our_business() {
        for name in ["PATH", "PORTCULLIS_URL", "PORTCULLIS_KEY"] {
            assert!(applied(name, "x").is_ok());
        }
    }

    #[test]
    fn what_kubernetes_says_of_a_service_is_passed_over() {
        for name in [
            "PORTCULLIS_SERVICE_HOST",
            "PORTCULLIS_SERVICE_PORT",
            "PORTCULLIS_SERVICE_PORT_HTTP",
            "PORTCULLIS_PORT",
            "PORTCULLIS_PORT_8470_TCP",
            "PORTCULLIS_PORT_8470_TCP_ADDR",
            "PORTCULLIS_EDGE_SERVICE_HOST",
            "PORTCULLIS_EDGE_SERVICE_PORT_GRPC",
            "PORTCULLIS_EDGE_PORT",
            "PORTCULLIS_EDGE_PORT_8471_TCP_PORT",
        ] {
            assert_eq!(applied(name, "tcp://10.0.0.1:8470").unwrap().0, Config::default(), "{name}");
        }
        for name in ["PORTCULLIS_PORTS", "PORTCULLIS_SERVICE", "PORTCULLIS_EDGE_PORT_HTTP"] {
            assert!(applied(name, "x").is_err(), "{name}");
        }
    }

    #[test]
    fn keys_are_hashed_and_never_shown() {
        let (_, keys) = applied(ADMIN_KEY, "sixteen characters").unwrap();
        assert!(keys.admin.unwrap().matches(&SecretHash::of("sixteen characters")));
        for wrong in ["secret-short", "pk_abcdefgh_0123456789", "secret-of-a-file-\n", " secret with a space"]
        {
            let error = applied(EDGE_KEY, wrong).unwrap_err().to_string();
            assert!(error.contains(EDGE_KEY) && !error.contains(wrong), "{error}");
        }
    }
}
