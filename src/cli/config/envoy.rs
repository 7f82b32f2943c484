//! `config envoy`: the example that the project's own tests run, with what was given.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

use super::super::remote::Remote;
use super::super::{Exit, Failure};
use super::module::{Fetch, Fetched};
use super::template::{Url, address, cluster_type, fill, https, plain};

const ENVOY: &str = include_str!("../../../envoy/envoy.yaml");
/// The control plane's cluster with TLS, and the secrets that it names.
const TLS: &str = include_str!("../../../envoy/control-plane-tls.yaml");
const TLS_DIR: &str = "/etc/envoy/portcullis";
const TLS_HOST: &str = "portcullis.example";

#[derive(Args, Debug, Default)]
pub(super) struct Envoy {
    /// The name that `portcullis edges` shows; give every Envoy its own
    #[arg(long, value_name = "ID", value_parser = plain)]
    node: Option<String>,

    /// Where the control plane listens for edges [default: 127.0.0.1:8471]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    control_plane: Option<(String, u16)>,

    /// TLS with the control plane: the directory, as Envoy sees it, with tls.crt, tls.key, ca.crt, and the files
    /// that `config envoy-secret` prints
    #[arg(long, value_name = "DIR", value_parser = plain)]
    tls_dir: Option<String>,

    /// Write the two files that `config envoy-secret` prints into --tls-dir, which is on this machine then
    #[arg(long, requires = "tls_dir", requires = "control_plane")]
    write_secrets: bool,

    /// The key of the edges, of scope `edge`; without one, with --tls-dir, the edge's certificate is all that it shows
    #[arg(long, value_name = "KEY", env = "PORTCULLIS_EDGE_KEY", hide_env_values = true, value_parser = plain)]
    edge_key: Option<String>,

    /// The tokens' issuer
    #[arg(long, value_name = "ISS", value_parser = plain)]
    issuer: Option<String>,

    /// Where the issuer's keys are, with https
    #[arg(long, value_name = "URL", value_parser = https)]
    jwks_uri: Option<Url>,

    /// The issuer's keys in a file, as Envoy sees it, instead
    #[arg(long, value_name = "FILE", value_parser = plain, conflicts_with = "jwks_uri")]
    jwks: Option<String>,

    /// What Envoy protects [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    service: Option<(String, u16)>,

    /// Where the filter's .wasm is, as Envoy sees it
    #[arg(long, value_name = "FILE", value_parser = plain, conflicts_with = "fetch")]
    filter: Option<String>,

    #[command(flatten)]
    fetch: Fetch,

    /// Where Envoy listens; a port alone is on all interfaces [default: 0.0.0.0:10000]
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = listen)]
    listen: Option<SocketAddr>,
}

#[derive(Args, Debug)]
pub(super) struct Secret {
    /// Which
    which: Which,

    /// The directory of `config envoy --tls-dir`
    #[arg(long, value_name = "DIR", value_parser = plain)]
    tls_dir: String,

    /// The control plane's name in its certificate [default: portcullis.example]
    #[arg(long, value_name = "HOST", value_parser = host)]
    control_plane: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    /// edge.yaml: the edge's own certificate, tls.crt and tls.key
    Edge,
    /// control-plane.yaml: whom the edge trusts, ca.crt, and the name that must be in the certificate
    ControlPlane,
}

impl Which {
    const fn file(self) -> &'static str {
        match self {
            Self::Edge => "edge.yaml",
            Self::ControlPlane => "control-plane.yaml",
        }
    }
}

/// A name, also where a port is behind it. Addresses are not what Envoy compares here.
fn host(text: &str) -> Result<String, String> {
    let name = match address(text) {
        Ok((name, _)) => name,
        Err(_) => plain(text)?,
    };
    named(&name)?;
    Ok(name)
}

/// With TLS, Envoy asks for the control plane by its name.
fn named(host: &str) -> Result<(), String> {
    if host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() {
        return Err(format!(
            "with TLS the control plane needs a name that is in its certificate, and {host} is an address"
        ));
    }
    Ok(())
}

impl Secret {
    pub(super) fn configuration(&self) -> String {
        let name = self.which.file();
        let (_, files) = TLS.split_once("\nfiles:\n").unwrap_or_default();
        let lines = files.lines().skip_while(|line| line.trim() != format!("{name}:")).skip(1);
        let lines = lines.take_while(|line| line.starts_with("    ")).filter_map(|line| line.get(4..));
        let text = lines.collect::<Vec<_>>().join("\n");
        let text =
            fill(&text, &[(TLS_DIR, Some(self.tls_dir.clone())), (TLS_HOST, self.control_plane.clone())]);
        // What was not given stays marked.
        text.lines().map(|line| without_mark(line, TLS_HOST) + "\n").collect()
    }
}

impl Envoy {
    pub(super) fn configuration(&self, remote: &Remote) -> Result<String, Failure> {
        if let (Some(_), Some((host, _))) = (&self.tls_dir, &self.control_plane) {
            named(host).map_err(Failure::usage)?;
        }
        self.write_secrets()?;
        let fetched = self.fetch.resolve(remote, remote.url())?;
        Ok(self.text(fetched.as_ref()))
    }

    /// The files beside the certificates.
    fn write_secrets(&self) -> Result<(), Failure> {
        let (true, Some(dir), Some((host, _))) = (self.write_secrets, &self.tls_dir, &self.control_plane)
        else {
            return Ok(());
        };
        for which in [Which::Edge, Which::ControlPlane] {
            let secret = Secret { which, tls_dir: dir.clone(), control_plane: Some(host.clone()) };
            let path = std::path::Path::new(dir).join(which.file());
            std::fs::write(&path, secret.configuration()).map_err(|error| {
                Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
            })?;
        }
        Ok(())
    }

    fn text(&self, fetched: Option<&Fetched>) -> String {
        let mut text = fill(ENVOY, &self.replacements());
        if let Some(file) = &self.jwks {
            text = with_keys(&text, file);
        }
        if let Some(dir) = &self.tls_dir {
            text = with_tls(&text, dir, self.control_plane.as_ref());
        }
        if let Some(fetched) = fetched {
            text = with_fetched(&text, fetched, self.tls_dir.as_deref());
        }
        text
    }

    /// What stands in the example, and what replaces it.
    fn replacements(&self) -> [(&'static str, Option<String>); 13] {
        let socket = |(host, port): &(String, u16)| format!("address: {host}, port_value: {port} }}");
        let cluster = |name: &str, address: Option<&(String, u16)>| {
            address.map(|(host, _)| format!("- name: {name}\n      type: {}", cluster_type(host)))
        };
        let jwks = self.jwks_uri.as_ref();
        let token = match (&self.edge_key, &self.tls_dir) {
            (Some(key), _) => Some(format!(", \"token\": \"{key}\"")),
            (None, Some(_)) => Some(String::new()),
            (None, None) => None,
        };
        [
            ("id: edge-1       # <-", self.node.as_ref().map(|node| format!("id: {node}"))),
            (
                "address: 0.0.0.0, port_value: 10000 }",
                self.listen.map(|at| format!("address: \"{}\", port_value: {} }}", at.ip(), at.port())),
            ),
            (
                "issuer: https://idp.example # <-",
                self.issuer.as_ref().map(|issuer| format!("issuer: {issuer}")),
            ),
            ("uri: https://idp.example/jwks # <-", jwks.map(|jwks| format!("uri: {}", jwks.text))),
            (
                "address: idp.example, port_value: 443 } # <-",
                jwks.map(|jwks| socket(&(jwks.host.clone(), jwks.port))),
            ),
            ("sni: idp.example # <-", jwks.map(|jwks| format!("sni: {}", jwks.host))),
            (
                "filename: /etc/envoy/portcullis_filter.wasm } # <-",
                self.filter.as_ref().map(|filter| format!("filename: {filter} }}")),
            ),
            (
                ", and EDGE-KEY by the key that the control plane knows for its edges",
                token.is_some().then(String::new),
            ),
            (", \"token\": \"EDGE-KEY\"", token),
            ("address: 127.0.0.1, port_value: 8080 } # <-", self.service.as_ref().map(socket)),
            ("- name: service\n      type: STATIC", cluster("service", self.service.as_ref())),
            ("address: 127.0.0.1, port_value: 8471 } # <-", self.control_plane.as_ref().map(socket)),
            ("- name: portcullis\n      type: STATIC", cluster("portcullis", self.control_plane.as_ref())),
        ]
    }
}

/// The issuer's keys from a file, and no cluster to ask for them.
fn with_keys(text: &str, file: &str) -> String {
    let without = |text: &str, from: &str, to: &str, instead: &str| match text.split_once(from) {
        Some((before, rest)) => {
            let (_, after) = rest.split_once(to).unwrap_or_default();
            format!("{before}{instead}{to}{after}")
        }
        None => text.to_owned(),
    };
    let keys = format!("local_jwks: {{ filename: {file} }}\n");
    let text = without(text, "remote_jwks:\n", "                      rules:\n", &keys);
    without(
        &text,
        "    # Where jwt_authn gets the issuer's keys.\n",
        "    # The control plane's gRPC port.\n",
        "",
    )
}

/// The control plane's cluster, the last one, replaced by that of the example with TLS.
fn with_tls(text: &str, dir: &str, control_plane: Option<&(String, u16)>) -> String {
    let (before, _) = text.split_once("    # The control plane's gRPC port.\n").unwrap_or((text, ""));
    let cluster = TLS.split_once("\ncluster:\n").and_then(|(_, rest)| rest.split_once("\nfiles:"));
    let (cluster, _) = cluster.unwrap_or_default();
    let host = control_plane.map(|(host, _)| host.clone());
    let filled = fill(
        cluster,
        &[
            (
                "address: portcullis.example, port_value: 8471 } # <-",
                control_plane.map(|(host, port)| format!("address: {host}, port_value: {port} }}")),
            ),
            ("type: LOGICAL_DNS", host.as_deref().map(|host| format!("type: {}", cluster_type(host)))),
            ("sni: portcullis.example # <-", host.as_ref().map(|host| format!("sni: {host}"))),
            (TLS_DIR, Some(dir.to_owned())),
        ],
    );
    let filled: String = filled.lines().map(|line| without_mark(line, TLS_HOST) + "\n").collect();
    format!("{before}    # The control plane's gRPC port.\n{}", as_item(&filled))
}

/// An address with a port, or a port on all interfaces.
fn listen(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse().map(|port: u16| SocketAddr::from(([0, 0, 0, 0], port)));
    let at = port.ok().or_else(|| text.parse().ok()).filter(|at| at.port() != 0);
    at.ok_or_else(|| "expected a port, or an address and a port such as 127.0.0.1:10000".to_owned())
}

/// A line without its mark, unless the example still stands in it.
fn without_mark(line: &str, example: &str) -> String {
    if line.contains(example) { line.to_owned() } else { line.trim_end_matches("# <-").trim_end().to_owned() }
}

/// The module from where it is handed out, and the cluster for that at the end.
fn with_fetched(text: &str, fetched: &Fetched, tls_dir: Option<&str>) -> String {
    let Url { text: uri, tls, host, port } = &fetched.url;
    let values = [
        ("URI", Some(uri.clone())),
        ("SHA256", Some(fetched.sha256.clone())),
        ("TYPE", Some(cluster_type(host).to_owned())),
        ("HOST", Some(host.clone())),
        ("PORT", Some(port.to_string())),
        // The same authority as for the other port.
        ("/etc/ssl/certs/ca-certificates.crt } # <-", tls_dir.map(|dir| format!("{dir}/ca.crt }}"))),
    ];
    let local = "local: { filename: /etc/envoy/portcullis_filter.wasm } # <-";
    let text = text.replace(local, &fill(FETCHED_CODE, &values));
    let transport = if *tls { FETCHED_TLS } else { "" };
    let cluster = fill(&format!("{FETCHED_CLUSTER}{transport}"), &values);
    format!(
        "{}\n\n    # The control plane's HTTP port, for the filter.\n{}",
        text.trim_end(),
        as_item(&cluster)
    )
}

const FETCHED_CODE: &str = r#"# The listener opens when it is there; where it cannot be had, after the retries, and requests get 503.
                            remote:
                              http_uri: { uri: "URI", cluster: portcullis-http, timeout: 10s }
                              sha256: "SHA256"
                              retry_policy: { num_retries: 10 }"#;

const FETCHED_CLUSTER: &str = "  name: portcullis-http
  type: TYPE
  # Of a name with several addresses, the first that answers: one host, not one for each.
  dns_lookup_family: ALL
  connect_timeout: 5s
  load_assignment:
    cluster_name: portcullis-http
    endpoints:
      - lb_endpoints:
          - endpoint:
              address:
                socket_address: { address: HOST, port_value: PORT }
";

const FETCHED_TLS: &str = r#"  transport_socket:
    name: envoy.transport_sockets.tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
      sni: HOST
      auto_sni_san_validation: true
      common_tls_context:
        validation_context:
          trusted_ca: { filename: /etc/ssl/certs/ca-certificates.crt } # <-
"#;

/// An object of two spaces' indent as an item of the list of clusters.
fn as_item(object: &str) -> String {
    let lines = object.trim_end().lines().enumerate();
    let lines = lines.map(|(index, line)| match (index, line.trim_end()) {
        (0, line) => format!("    - {}", line.trim_start()),
        (_, "") => String::new(),
        (_, line) => format!("    {line}"),
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Envoy {
        Envoy {
            node: Some("edge-7".into()),
            control_plane: Some(("portcullis.internal".into(), 8471)),
            edge_key: Some("pk_a_b".into()),
            issuer: Some("https://login.acme.example/realms/x".into()),
            jwks_uri: Some(https("https://login.acme.example:8443/certs").unwrap()),
            service: Some(("10.0.0.7".into(), 9000)),
            filter: Some("/opt/portcullis_filter.wasm".into()),
            listen: Some(([127, 0, 0, 1], 8443).into()),
            ..Envoy::default()
        }
    }

    #[test]
    fn every_part_of_the_example_that_can_be_given_is_in_it_once() {
        for (example, _) in full().replacements() {
            assert_eq!(ENVOY.matches(example).count(), 1, "{example}");
        }
    }

    #[test]
    fn nothing_is_left_marked_where_everything_is_given() {
        let text = full().text(None);
        let marked: Vec<&str> = text.lines().filter(|line| line.ends_with("# <-")).collect();
        assert!(marked.is_empty() && !text.contains("EDGE-KEY"), "{marked:?}");
        for line in [
            "  id: edge-7",
            "issuer: https://login.acme.example/realms/x",
            "socket_address: { address: login.acme.example, port_value: 8443 }",
            "sni: login.acme.example",
            "- name: portcullis\n      type: LOGICAL_DNS",
            "- name: service\n      type: STATIC",
            "socket_address: { address: 10.0.0.7, port_value: 9000 }",
            "socket_address: { address: portcullis.internal, port_value: 8471 }",
            "\"token\": \"pk_a_b\"",
        ] {
            assert!(text.contains(line), "{line}");
        }
    }

    #[test]
    fn without_arguments_it_is_the_example() {
        assert_eq!(Envoy::default().text(None), ENVOY);
    }

    #[test]
    fn with_tls_the_cluster_is_that_of_the_other_example() {
        let dir = Some("/run/tls".to_owned());
        let text = Envoy { tls_dir: dir.clone(), filter: None, edge_key: None, ..full() }.text(None);
        for line in [
            "    - name: portcullis\n      type: LOGICAL_DNS\n",
            "          sni: portcullis.internal\n",
            "path_config_source: { path: /run/tls/edge.yaml }",
            "{ \"cluster\": \"portcullis\" }",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("EDGE-KEY"));
        let secret = |which| {
            let host = Some("portcullis.internal".to_owned());
            Secret { which, tls_dir: "/run/tls".into(), control_plane: host }.configuration()
        };
        assert!(secret(Which::Edge).starts_with("resources:\n  - \"@type\""));
        assert!(secret(Which::Edge).contains("private_key: { filename: /run/tls/tls.key }"));
        assert!(secret(Which::ControlPlane).contains("matcher: { exact: portcullis.internal }"));
        assert!(!secret(Which::Edge).contains("trusted_ca") && !secret(Which::ControlPlane).contains("<-"));
        // What was not given is marked.
        let unnamed = Secret { which: Which::ControlPlane, tls_dir: "/run/tls".into(), control_plane: None };
        assert!(unnamed.configuration().contains("matcher: { exact: portcullis.example } # <-"));
        let unnamed = Envoy { tls_dir: Some("/run/tls".into()), control_plane: None, ..full() }.text(None);
        assert!(unnamed.contains("sni: portcullis.example # <-") && !unnamed.contains("edge.yaml } # <-"));
    }
}
