//! `config istio`: the resources that load the filter into sidecars, gateways and waypoints.

use std::str::FromStr;

use clap::Args;

use super::super::Failure;
use super::super::remote::Remote;
use super::module::{Module, Source, in_cluster};
use super::template::{CONTROL_PLANE, Url, address, authority, callout_cluster, edge_key, fill, plain};

#[derive(Args, Debug, Default)]
pub(super) struct Istio {
    /// The Istio release; 1.30 and later get a TrafficExtension, older ones a WasmPlugin
    #[arg(long, value_name = "1.N", default_value = "1.30")]
    istio_version: Version,

    /// Where the resources go; Istio's own namespace means the whole mesh
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system", value_parser = plain)]
    namespace: String,

    /// The workloads with this label, instead of all of the namespace
    #[arg(long, value_name = "LABEL=VALUE", value_parser = label, conflicts_with_all = ["gateway", "waypoint"])]
    selector: Vec<(String, String)>,

    /// A Gateway of the Kubernetes Gateway API in that namespace
    #[arg(long, value_name = "NAME", value_parser = plain, conflicts_with = "waypoint")]
    gateway: Option<String>,

    /// A waypoint of the ambient mesh in that namespace
    #[arg(long, value_name = "NAME", value_parser = plain)]
    waypoint: Option<String>,

    /// Where the control plane listens for edges: a Service [default: the one of deploy/kubernetes, 8471]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    control_plane: Option<(String, u16)>,

    /// The control plane is outside of the mesh, at that host, with TLS
    #[arg(long, requires = "control_plane")]
    external: bool,

    /// The authority of the control plane's certificate, in PEM, where its edges' port has TLS of its own
    #[arg(long, value_name = "FILE", value_parser = authority, requires = "waypoint")]
    control_plane_ca: Option<String>,

    /// The key of the edges, of scope `edge`
    #[arg(long, value_name = "KEY", env = "PORTCULLIS_EDGE_KEY", hide_env_values = true, value_parser = plain)]
    edge_key: Option<String>,

    #[command(flatten)]
    module: Module,
}

/// A minor release of Istio 1.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
struct Version(u16);

/// The first with `TrafficExtension`.
const TRAFFIC_EXTENSION: Version = Version(30);
/// The first with `FAIL_RELOAD`.
const FAIL_RELOAD: Version = Version(27);
/// The first with a Wasm API whose modules the filter's callouts work in.
const OLDEST: Version = Version(22);

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let minor = text.strip_prefix("1.").and_then(|rest| rest.split('.').next()?.parse().ok());
        let version = Self(minor.ok_or("expected a release such as 1.30")?);
        if version < OLDEST {
            Err(format!("releases before 1.{} are not supported", OLDEST.0))
        } else {
            Ok(version)
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "1.{}", self.0)
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected LABEL=VALUE")?;
    Ok((plain(name)?, plain(value)?))
}

/// Istio takes the absence of a target for all workloads.
const NO_TARGET: &str = "  \
  # <- No target: in force, as the EnvoyFilter below, for every workload of this namespace, and for the whole mesh where
  # it is Istio's root namespace (istio-system, unless set otherwise). --selector, --gateway or --waypoint name fewer.
";

/// The agent beside the proxy fetches the module, and has no setting for one more authority.
fn agent_trusts(Url { host, port, .. }: &Url) -> String {
    format!(
        "# - Istio's agent fetches the filter with TLS. The certificate there must be for {host}, of a public authority.\n\
         #   Of a private one, let the agent take any: WASM_INSECURE_REGISTRIES: \"{host}:{port}\" in the proxyMetadata of\n\
         #   meshConfig.defaultConfig, or in environmentVariables of a ProxyConfig. The sha256 says which bytes are meant. # <-\n"
    )
}

impl Istio {
    pub(super) fn configuration(&self, remote: &Remote) -> Result<String, Failure> {
        let module = self.module.resolve(remote, &in_cluster(remote))?;
        let documents = [
            Some(self.plugin(&module)),
            Some(self.destination_rule()),
            self.external.then(|| self.service_entry()),
            Some(self.connections()),
            self.waypoint.is_some().then(|| self.waypoint_cluster()),
        ];
        let documents: Vec<String> = documents.into_iter().flatten().collect();
        Ok(format!("{}{}", self.preamble(&module), documents.join("---\n")))
    }

    fn host(&self) -> &str {
        self.control_plane.as_ref().map_or(CONTROL_PLANE, |(host, _)| host)
    }

    fn port(&self) -> u16 {
        self.control_plane.as_ref().map_or(8471, |(_, port)| *port)
    }

    /// As Istio names it; a waypoint keeps only the clusters that it routes to, so it gets one of its own.
    fn cluster(&self) -> String {
        match self.waypoint {
            Some(_) => "portcullis".to_owned(),
            None => format!("outbound|{}||{}", self.port(), self.host()),
        }
    }

    fn preamble(&self, module: &Source) -> String {
        let reload = if self.istio_version < FAIL_RELOAD {
            "# - Before 1.27 there is no FAIL_RELOAD: should the filter ever trap, its worker answers 503 until the proxy restarts.\n"
        } else {
            ""
        };
        let waypoint = if self.waypoint.is_some() {
            "# - A waypoint sees only the traffic that is sent through it: label the services or the namespace with\n\
             #   istio.io/use-waypoint, or requests pass by the filter.\n"
        } else {
            ""
        };
        let fetched = module.fetched_with_tls().map(agent_trusts).unwrap_or_default();
        format!(
            "# Portcullis in Istio {}. What these resources cannot do:\n\
             # - They do not verify tokens. A RequestAuthentication does, and must have `forwardOriginalToken: true`, or the\n\
             #   token is gone before the filter sees it; an AuthorizationPolicy must require one.\n\
             # - The edge key stands in the resource as text: let few read it, and give it the scope `edge` alone.\n\
             # - Where a Sidecar resource limits egress, it must let the control plane's host through, or there is no cluster\n\
             #   {}\n\
             #   and the filter logs that its stream cannot be opened.\n\
             # - Why a request was rejected is in the access log as %FILTER_STATE(wasm.portcullis:PLAIN)%: add it to\n\
             #   meshConfig.accessLogFormat. Labels of its metrics need two regular expressions in\n\
             #   meshConfig.defaultConfig.extraStatTags or a ProxyConfig: see stats_tags in `portcullis config envoy`.\n\
             {reload}{waypoint}{fetched}",
            self.istio_version,
            self.cluster()
        )
    }

    fn target(&self) -> String {
        let reference = |name: &str| {
            format!(
                "  targetRefs:\n    - group: gateway.networking.k8s.io\n      kind: Gateway\n      name: {name}\n"
            )
        };
        match (self.gateway.as_ref().or(self.waypoint.as_ref()), self.selector.as_slice()) {
            (Some(name), _) => reference(name),
            (None, []) => NO_TARGET.to_owned(),
            (None, labels) => {
                let labels = labels.iter().map(|(name, value)| format!("      {name}: \"{value}\"\n"));
                format!("  selector:\n    matchLabels:\n{}", labels.collect::<String>())
            }
        }
    }

    fn plugin(&self, module: &Source) -> String {
        let Source { url, sha256, mark, .. } = module;
        let traffic_extension = self.istio_version >= TRAFFIC_EXTENSION;
        let (kind, head, indent) =
            if traffic_extension { ("TrafficExtension", "  wasm:\n", "  ") } else { ("WasmPlugin", "", "") };
        let strategy = if self.istio_version >= FAIL_RELOAD { "FAIL_RELOAD" } else { "FAIL_CLOSE" };
        let pull = "# The checksum says which bytes are meant, so what is there need not be fetched again.";
        let wasm = format!(
            "  url: {url}{mark}\n  sha256: \"{sha256}\"{mark}\n  {pull}\n  imagePullPolicy: IfNotPresent\n  pluginName: portcullis\n  \
             failStrategy: {strategy}\n  pluginConfig:\n    control_plane:\n      cluster: \"{}\"\n      token: {}\n",
            self.cluster(),
            edge_key(self.edge_key.as_ref()),
        );
        let wasm: String = wasm.lines().map(|line| format!("{indent}{line}\n")).collect();
        format!(
            "apiVersion: extensions.istio.io/v1alpha1\nkind: {kind}\nmetadata:\n  name: portcullis\n  namespace: {}\nspec:\n{}  \
             # After the tokens are verified, before anything is authorized by them.\n  phase: AUTHZ\n  \
             # At a sidecar also what the workload sends. `SERVER` would spare that, but there are open reports that a filter\n  \
             # in that mode cannot call out (istio/api#3341).\n  match:\n    - mode: CLIENT_AND_SERVER\n{head}{wasm}",
            self.namespace,
            self.target(),
        )
    }

    fn destination_rule(&self) -> String {
        let tls = if self.external {
            format!("    tls:\n      mode: SIMPLE\n      sni: {}\n", self.host())
        } else {
            "    tls:\n      # What the mesh has; DISABLE if the control plane has no sidecar and no TLS of its own.\n      \
             mode: ISTIO_MUTUAL\n"
                .to_owned()
        };
        fill(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: portcullis\n  namespace: NAMESPACE\nspec:\n  \
             host: HOST\n  trafficPolicy:\n    connectionPool:\n      tcp:\n        # A dead control plane is noticed by its silence.\n        \
             tcpKeepalive: { time: 30s, interval: 10s, probes: 3 }\n      http:\n        # The edges' port is gRPC.\n        \
             h2UpgradePolicy: UPGRADE\nTLS",
            &[
                ("NAMESPACE", Some(self.namespace.clone())),
                ("HOST", Some(self.host().to_owned())),
                ("TLS", Some(tls)),
            ],
        )
    }

    fn service_entry(&self) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: portcullis\n  namespace: {}\nspec:\n  \
             hosts: [{}]\n  location: MESH_EXTERNAL\n  resolution: DNS\n  ports:\n    - name: grpc-edge\n      number: {}\n      \
             protocol: GRPC\n",
            self.namespace,
            self.host(),
            self.port()
        )
    }

    /// Where `EnvoyFilter`s apply: they know labels, and gateways by the label that Istio gives their pods.
    fn workloads(&self) -> String {
        let gateway = self.gateway.as_ref().or(self.waypoint.as_ref());
        let of_gateway =
            gateway.map(|name| ("gateway.networking.k8s.io/gateway-name".to_owned(), name.clone()));
        let labels: Vec<_> = of_gateway.into_iter().chain(self.selector.iter().cloned()).collect();
        if labels.is_empty() {
            return String::new();
        }
        let labels = labels.iter().map(|(name, value)| format!("      {name}: \"{value}\"\n"));
        format!("  workloadSelector:\n    labels:\n{}", labels.collect::<String>())
    }

    fn connections(&self) -> String {
        format!(
            "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata:\n  name: portcullis-connections\n  \
             namespace: {}\nspec:\n{}  configPatches:\n    - applyTo: NETWORK_FILTER\n      match:\n        context: {}\n        listener:\n          \
             filterChain:\n            filter:\n              name: envoy.filters.network.http_connection_manager\n      patch:\n        \
             operation: MERGE\n        value:\n          typed_config:\n            \
             \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n            \
             # How long the TCP connection of a stream that was cut stays open (default: 1 s).\n            \
             delayed_close_timeout: 0.01s\n",
            self.namespace,
            self.workloads(),
            if self.gateway.is_some() { "GATEWAY" } else { "SIDECAR_INBOUND" },
        )
    }

    fn waypoint_cluster(&self) -> String {
        format!(
            "# A waypoint keeps only the clusters that it routes to.\n\
             apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata:\n  name: portcullis-cluster\n  namespace: {}\nspec:\n{}  \
             configPatches:\n    - applyTo: CLUSTER\n      match:\n        context: ANY\n      patch:\n        operation: ADD\n        value:\n{}",
            self.namespace,
            self.workloads(),
            callout_cluster(self.host(), self.port(), self.control_plane_ca.as_ref()),
        )
    }
}
