//! Configurations that the project's own tests run, with what stands in them as an example replaced.

use std::net::IpAddr;

/// Where the manifests of `deploy/kubernetes` put the control plane.
pub(super) const CONTROL_PLANE: &str = "portcullis.portcullis-system.svc.cluster.local";

/// A text with its examples replaced by what was given.
pub(super) fn fill(template: &str, replacements: &[(&str, Option<String>)]) -> String {
    let given = replacements.iter().filter_map(|(example, actual)| Some((example, actual.as_ref()?)));
    given.fold(template.to_owned(), |text, (example, actual)| text.replace(example, actual))
}

/// An edge key in YAML; marked when nobody has given one.
pub(super) fn edge_key(key: Option<&String>) -> String {
    key.map_or_else(|| "\"EDGE-KEY\" # <-".to_owned(), |key| format!("\"{key}\""))
}

/// How a cluster finds an address: a name has to be looked up.
pub(super) fn cluster_type(host: &str) -> &'static str {
    if host.parse::<IpAddr>().is_ok() { "STATIC" } else { "LOGICAL_DNS" }
}

/// The cluster of the control plane where a resource patches it in; with TLS when there is an authority to trust.
pub(super) fn callout_cluster(host: &str, port: u16, authority: Option<&String>) -> String {
    let values = [("HOST", Some(host.to_owned())), ("PORT", Some(port.to_string()))];
    let mut text = fill(CLUSTER, &values);
    if let Some(pem) = authority {
        text += &fill(CLUSTER_TLS, &values);
        let lines = pem.lines().filter(|line| !line.trim().is_empty());
        text += &lines.map(|line| format!("            {}\n", line.trim())).collect::<String>();
    }
    // Below `value` of a patch in either kind of resource.
    text.lines().map(|line| format!("          {line}\n")).collect()
}

const CLUSTER: &str = r#"name: portcullis
type: LOGICAL_DNS
connect_timeout: 5s
load_assignment:
  cluster_name: portcullis
  endpoints:
    - lb_endpoints:
        - endpoint:
            address:
              socket_address: { address: HOST, port_value: PORT }
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config:
      http2_protocol_options:
        connection_keepalive: { interval: 10s, timeout: 5s }
        # A worker takes in what has come before it turns to a request: of a large set, 64 KiB at a time.
        initial_stream_window_size: 65535
"#;

const CLUSTER_TLS: &str = r#"transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    sni: HOST
    common_tls_context:
      validation_context:
        match_typed_subject_alt_names:
          - san_type: DNS
            matcher: { exact: HOST }
        trusted_ca:
          inline_string: |
"#;

/// The certificates in a file, as PEM.
pub(super) fn authority(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let own = |line: &str| line.starts_with("-----BEGIN CERTIFICATE-----");
    if text.lines().any(own) { Ok(text) } else { Err("no certificate (PEM, BEGIN CERTIFICATE) in it".into()) }
}

/// Text that means in YAML and in JSON what it says.
pub(super) fn plain(text: &str) -> Result<String, String> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:@%+=&?".contains(&byte);
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'/');
    if starts && text.bytes().all(safe) && !text.ends_with(':') {
        Ok(text.to_owned())
    } else {
        Err("only letters, digits and -._~/:@%+=&? are possible here".to_owned())
    }
}

/// A host and a port.
pub(super) fn address(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("expected HOST:PORT")?;
    let port = port.parse().map_err(|_| "the port is a number up to 65535")?;
    Ok((plain(host)?, port))
}

/// A URL with its host and port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Url {
    pub(super) text: String,
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

/// An http or https URL without a path of its own, or with one.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let text = plain(text)?;
    let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err("expected an http or https URL".to_owned()),
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let default = if tls { 443 } else { 80 };
    let (host, port) =
        if authority.contains(':') { address(authority)? } else { (plain(authority)?, default) };
    Ok(Url { host, port, tls, text })
}

/// A URL with https.
pub(super) fn https(text: &str) -> Result<Url, String> {
    url(text).and_then(|url| if url.tls { Ok(url) } else { Err("it must be https".to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_mean_something_else_in_yaml_is_refused() {
        for text in ["", "a b", "a # b", "a\nb", "\"", "{", "- a", "*a", "a: b", "a:"] {
            assert!(plain(text).is_err(), "{text:?}");
        }
        assert!(https("http://idp.example/jwks").is_err() && url("ftp://x").is_err());
        assert!(address("localhost").is_err() && address("localhost:99999").is_err());
        let plain = url("http://10.0.0.1:8470/x").unwrap();
        assert_eq!((plain.tls, plain.host.as_str(), plain.port), (false, "10.0.0.1", 8470));
        assert_eq!(url("https://a.example").unwrap().port, 443);
    }
}
