//! `[tls]`: the certificate of the two ports and whose certificates edges show; `[[edge.identities]]`: which of
//! them may be which edge.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::file::Source;

/// The files of `[tls]`, and where they are used. All are PEM, and read again when they change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// The ports' certificate, followed by those that lead to its authority.
    pub certificate_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The authorities of edges' certificates. With it, an edge without such a certificate does not get in.
    pub edge_ca_file: Option<PathBuf>,
    /// The ports that speak TLS.
    pub ports: Vec<Port>,
}

/// One of the two ports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Port {
    /// API, inlets, health, metrics.
    Http,
    /// gRPC for edges.
    Edge,
}

impl Port {
    const ALL: [Self; 2] = [Self::Http, Self::Edge];

    /// Its name in the configuration and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Edge => "edge",
        }
    }
}

impl std::str::FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|port| port.name() == text.trim());
        found.ok_or_else(|| format!("`{text}` is neither \"http\" nor \"edge\""))
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate_file: PathBuf::new(),
            key_file: PathBuf::new(),
            edge_ca_file: None,
            ports: Port::ALL.into(),
        }
    }
}

impl Tls {
    /// Whether a port speaks TLS.
    #[must_use]
    pub fn covers(&self, port: Port) -> bool {
        self.ports.contains(&port)
    }

    /// What must be there is there. The file and the environment are read by then.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let missing = [("tls.certificate_file", &self.certificate_file), ("tls.key_file", &self.key_file)];
        if let Some((key, _)) = missing.into_iter().find(|(_, path)| path.as_os_str().is_empty()) {
            return Err(ConfigError::Incomplete { key, error: "is needed with the rest of [tls]" });
        }
        if self.edge_ca_file.is_some() && !self.covers(Port::Edge) {
            let error = "is of no use unless tls.ports has \"edge\"";
            return Err(ConfigError::Incomplete { key: "tls.edge_ca_file", error });
        }
        Ok(())
    }
}

/// Edges that certificates with a name of this pattern may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EdgeIdentity {
    /// Of a URI (SPIFFE ID) or DNS name of the certificate.
    pub name: Pattern,
    /// The ids (`node.id` of Envoy) that such an edge may have; empty for all.
    pub nodes: Vec<Pattern>,
}

/// A text in which each `*` stands for any characters but `/`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern(String);

impl Pattern {
    /// Whether a text is of this pattern.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            // The last part is the end; those before it stand where they come first.
            let at = if parts.peek().is_some() {
                rest.find(part)
            } else {
                rest.len().checked_sub(part.len()).filter(|_| rest.ends_with(part))
            };
            let Some((skipped, found)) = at.and_then(|at| rest.split_at_checked(at)) else { return false };
            if skipped.contains('/') {
                return false;
            }
            rest = found.get(part.len()..).unwrap_or_default();
        }
        true
    }
}

impl std::str::FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > 512 || text.chars().any(char::is_control) {
            return Err("a pattern has 1 to 512 printable characters".into());
        }
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsSection {
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    edge_ca_file: Option<PathBuf>,
    ports: Option<Vec<Spanned<String>>>,
}

impl TlsSection {
    pub(super) fn read(self, source: &Source<'_>) -> Result<Tls, ConfigError> {
        let all = Tls::default();
        Ok(Tls {
            certificate_file: self.certificate_file.unwrap_or_default(),
            key_file: self.key_file.unwrap_or_default(),
            edge_ca_file: self.edge_ca_file,
            ports: match &self.ports {
                Some(ports) => source.all("tls.ports", ports, str::parse)?,
                None => all.ports,
            },
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentityEntry {
    name: Spanned<String>,
    #[serde(default)]
    nodes: Vec<Spanned<String>>,
}

impl IdentityEntry {
    pub(super) fn read(&self, source: &Source<'_>) -> Result<EdgeIdentity, ConfigError> {
        let name = self.name.get_ref().parse();
        Ok(EdgeIdentity {
            name: name.map_err(|error: String| source.wrong("edge.identities.name", &self.name, error))?,
            nodes: source.all("edge.identities.nodes", &self.nodes, str::parse)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_within_a_part() {
        let check = |pattern: &str, text: &str, expect: bool| {
            assert_eq!(pattern.parse::<Pattern>().unwrap().matches(text), expect, "{pattern} {text}");
        };
        check("edge-1", "edge-1", true);
        check("edge-1", "edge-12", false);
        check("edge-*", "edge-12", true);
        check("edge-*", "other-1", false);
        check("*", "", true);
        check("*", "a/b", false);
        check("a*a", "a", false);
        check("a*a", "aa", true);
        check("*.edges.example", "a.edges.example", true);
        check("*.edges.example", ".edges.example.org", false);
        check("spiffe://mesh/ns/*/sa/ingress", "spiffe://mesh/ns/prod/sa/ingress", true);
        check("spiffe://mesh/ns/*/sa/ingress", "spiffe://mesh/ns/prod/sa/x/sa/ingress", false);
        check("spiffe://mesh/ns/*/sa/ingress", "spiffe://mesh/ns/prod/sa/ingress-2", false);
        check("spiffe://mesh/ns/*/sa/*", "spiffe://mesh/ns/a/sa/b", true);
        check("*a*b*", "xaxbx", true);
        check("*a*b*", "xbxax", false);
        check("ab*", "a", false);
    }
}
