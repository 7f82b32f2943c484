//! `config`: complete configurations for what stands in front of the services.

use std::net::IpAddr;

use clap::{Args, Subcommand};

use super::Failure;
use super::output::Output;

/// The configuration that the project's own tests run.
const ENVOY: &str = include_str!("../../envoy/envoy.yaml");

/// Arguments of `config`.
#[derive(Args, Debug)]
pub(super) struct Config {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Print a complete Envoy configuration with jwt_authn, the filter, and this control plane
    ///
    /// What is not given keeps the example's value, marked with "<-".
    Envoy(Envoy),
}

#[derive(Args, Debug, Default)]
struct Envoy {
    /// The name that `portcullis edges` shows; give every Envoy its own
    #[arg(long, value_name = "ID", value_parser = plain)]
    node: Option<String>,

    /// Where the control plane listens for edges [default: 127.0.0.1:8471]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    control_plane: Option<(String, u16)>,

    /// The key of the edges, of scope `edge`
    #[arg(long, value_name = "KEY", env = "PORTCULLIS_EDGE_KEY", hide_env_values = true, value_parser = plain)]
    edge_key: Option<String>,

    /// The tokens' issuer
    #[arg(long, value_name = "ISS", value_parser = plain)]
    issuer: Option<String>,

    /// Where the issuer's keys are, with https
    #[arg(long, value_name = "URL", value_parser = jwks)]
    jwks_uri: Option<Jwks>,

    /// What Envoy protects [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    service: Option<(String, u16)>,

    /// Where the filter's .wasm is, as Envoy sees it
    #[arg(long, value_name = "FILE", value_parser = plain)]
    filter: Option<String>,

    /// The port that Envoy listens on [default: 10000]
    #[arg(long, value_name = "PORT")]
    listen: Option<u16>,
}

#[derive(Clone, Debug)]
struct Jwks {
    uri: String,
    host: String,
    port: u16,
}

impl Config {
    pub(super) fn run(&self, out: &Output) -> Result<(), Failure> {
        match &self.verb {
            ConfigVerb::Envoy(envoy) => out.line(envoy.configuration().trim_end()),
        }
    }
}

impl Envoy {
    fn configuration(&self) -> String {
        let mut text = ENVOY.to_owned();
        for (example, actual) in self.replacements() {
            if let Some(actual) = actual {
                text = text.replace(example, &actual);
            }
        }
        text
    }

    /// What stands in the example, and what replaces it.
    fn replacements(&self) -> [(&'static str, Option<String>); 13] {
        let socket = |(host, port): &(String, u16)| format!("address: {host}, port_value: {port} }}");
        let jwks = self.jwks_uri.as_ref();
        [
            ("id: edge-1       # <-", self.node.as_ref().map(|node| format!("id: {node}"))),
            ("port_value: 10000 }", self.listen.map(|port| format!("port_value: {port} }}"))),
            (
                "issuer: https://idp.example # <-",
                self.issuer.as_ref().map(|issuer| format!("issuer: {issuer}")),
            ),
            ("uri: https://idp.example/jwks # <-", jwks.map(|jwks| format!("uri: {}", jwks.uri))),
            (
                "address: idp.example, port_value: 443 } # <-",
                jwks.map(|jwks| socket(&(jwks.host.clone(), jwks.port))),
            ),
            ("sni: idp.example # <-", jwks.map(|jwks| format!("sni: {}", jwks.host))),
            (
                "filename: /etc/envoy/portcullis_filter.wasm } # <-",
                self.filter.as_ref().map(|filter| format!("filename: {filter} }}")),
            ),
            ("\"token\": \"EDGE-KEY\"", self.edge_key.as_ref().map(|key| format!("\"token\": \"{key}\""))),
            (", and EDGE-KEY by the key that the control plane knows for its edges", {
                self.edge_key.as_ref().map(|_| String::new())
            }),
            ("address: 127.0.0.1, port_value: 8080 } # <-", self.service.as_ref().map(socket)),
            ("- name: service\n      type: STATIC", by_name("service", self.service.as_ref())),
            ("address: 127.0.0.1, port_value: 8471 } # <-", self.control_plane.as_ref().map(socket)),
            ("- name: portcullis\n      type: STATIC", by_name("portcullis", self.control_plane.as_ref())),
        ]
    }
}

/// A cluster whose address is a name has to be looked up.
fn by_name(cluster: &str, address: Option<&(String, u16)>) -> Option<String> {
    let (host, _) = address?;
    host.parse::<IpAddr>().is_err().then(|| format!("- name: {cluster}\n      type: STRICT_DNS"))
}

/// Text that means in YAML and in JSON what it says.
fn plain(text: &str) -> Result<String, String> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:@%+=&?".contains(&byte);
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'/');
    if starts && text.bytes().all(safe) && !text.ends_with(':') {
        Ok(text.to_owned())
    } else {
        Err("only letters, digits and -._~/:@%+=&? are possible here".to_owned())
    }
}

fn address(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("expected HOST:PORT")?;
    let port = port.parse().map_err(|_| "the port is a number up to 65535")?;
    Ok((plain(host)?, port))
}

fn jwks(text: &str) -> Result<Jwks, String> {
    let uri = plain(text)?;
    let rest = uri.strip_prefix("https://").ok_or("the keys must come over https")?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (host, port) = if authority.contains(':') { address(authority)? } else { (plain(authority)?, 443) };
    Ok(Jwks { host, port, uri })
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
            jwks_uri: Some(jwks("https://login.acme.example:8443/certs").unwrap()),
            service: Some(("10.0.0.7".into(), 9000)),
            filter: Some("/opt/portcullis_filter.wasm".into()),
            listen: Some(8443),
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
        let text = full().configuration();
        let marked: Vec<&str> = text.lines().filter(|line| line.ends_with("# <-")).collect();
        assert!(marked.is_empty() && !text.contains("EDGE-KEY"), "{marked:?}");
        for line in [
            "  id: edge-7",
            "issuer: https://login.acme.example/realms/x",
            "socket_address: { address: login.acme.example, port_value: 8443 }",
            "sni: login.acme.example",
            "- name: portcullis\n      type: STRICT_DNS",
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
        assert_eq!(Envoy::default().configuration(), ENVOY);
    }

    #[test]
    fn what_would_mean_something_else_in_yaml_is_refused() {
        for text in ["", "a b", "a # b", "a\nb", "\"", "{", "- a", "*a", "a: b", "a:"] {
            assert!(plain(text).is_err(), "{text:?}");
        }
        assert!(jwks("http://idp.example/jwks").is_err());
        assert!(address("localhost").is_err() && address("localhost:99999").is_err());
    }
}
