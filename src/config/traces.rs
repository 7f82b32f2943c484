//! `[traces]`: where traces go.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::file::Source;

/// A collector of traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// Where it takes OTLP over gRPC: an http or https URL. Without one, there are no traces.
    pub endpoint: Option<String>,
    /// How many of the traces it gets, 0 to 1.
    pub sample: f64,
    /// Certificate authorities to trust for https, in PEM, instead of the public ones.
    pub ca_file: Option<PathBuf>,
}

// What was read as a share is no NaN.
impl Eq for Traces {}

impl Default for Traces {
    fn default() -> Self {
        Self { endpoint: None, sample: 1.0, ca_file: None }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TracesSection {
    endpoint: Option<Spanned<String>>,
    sample: Option<Spanned<f64>>,
    ca_file: Option<PathBuf>,
}

impl TracesSection {
    pub(super) fn read(self, source: &Source<'_>) -> Result<Traces, ConfigError> {
        let mut traces = Traces { ca_file: self.ca_file, ..Traces::default() };
        source
            .set(&mut traces.endpoint, "traces.endpoint", self.endpoint, |text| endpoint(text).map(Some))?;
        if let Some(given) = self.sample {
            traces.sample =
                share(*given.get_ref()).map_err(|error| source.wrong("traces.sample", &given, error))?;
        }
        Ok(traces)
    }
}

/// A URL of a host; what stands after it is gRPC's.
pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let uri: axum::http::Uri = text.parse().map_err(|_| format!("`{text}` is not a URL"))?;
    let known = matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some();
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    if known && bare {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err(format!("`{text}` is not an http or https URL of a host and a port, such as http://127.0.0.1:4317"))
}

/// A share of the whole.
fn share(share: f64) -> Result<f64, String> {
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(format!("{share} is not from 0 to 1")) }
}

/// The same as a text.
pub(super) fn sample(text: &str) -> Result<f64, String> {
    share(text.parse().map_err(|_| format!("`{text}` is not a number"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for good in ["http://127.0.0.1:4317", "https://collector.example", "http://[::1]:4317/"] {
            assert_eq!(endpoint(good).as_deref(), Ok(good.trim_end_matches('/')));
        }
        for wrong in ["", "127.0.0.1:4317", "grpc://x:1", "http://x:4318/v1/traces", "http://x?y"] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
        assert_eq!(sample("0"), Ok(0.0));
        for wrong in ["1.1", "-0.1", "NaN", "all", ""] {
            assert!(sample(wrong).is_err(), "{wrong}");
        }
    }
}
