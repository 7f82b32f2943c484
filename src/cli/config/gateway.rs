//! `config envoy-gateway`: the policy that loads the filter into an Envoy Gateway, and the cluster of its callouts.

use clap::Args;

use super::super::Failure;
use super::super::remote::Remote;
use super::module::{Module, Source, in_cluster};
use super::template::{CONTROL_PLANE, Url, address, authority, callout_cluster, edge_key, plain};

#[derive(Args, Debug, Default)]
pub(super) struct Gateway {
    /// The namespace of the Gateway
    #[arg(long, value_name = "NAMESPACE", default_value = "default", value_parser = plain)]
    namespace: String,

    /// The Gateway
    #[arg(long, value_name = "NAME", default_value = "eg", value_parser = plain)]
    gateway: String,

    /// An HTTPRoute, instead of all of the Gateway; repeat it for more
    #[arg(long, value_name = "NAME", value_parser = plain)]
    route: Vec<String>,

    /// Where the control plane listens for edges [default: the Service of deploy/kubernetes, 8471]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    control_plane: Option<(String, u16)>,

    /// The authority of the control plane's certificate, in PEM, where its edges' port has TLS of its own
    #[arg(long, value_name = "FILE", value_parser = authority)]
    control_plane_ca: Option<String>,

    /// The key of the edges, of scope `edge`
    #[arg(long, value_name = "KEY", env = "PORTCULLIS_EDGE_KEY", hide_env_values = true, value_parser = plain)]
    edge_key: Option<String>,

    #[command(flatten)]
    module: Module,
}

impl Gateway {
    pub(super) fn configuration(&self, remote: &Remote) -> Result<String, Failure> {
        let module = self.module.resolve(remote, &in_cluster(remote))?;
        Ok(format!("{PREAMBLE}{}---\n{}", self.policy(&module), self.cluster()))
    }

    fn policy(&self, module: &Source) -> String {
        let Source { url, sha256, mark, .. } = module;
        let target = |kind: &str, name: &String| {
            format!("    - group: gateway.networking.k8s.io\n      kind: {kind}\n      name: {name}\n")
        };
        let targets: String = match self.route.as_slice() {
            [] => target("Gateway", &self.gateway),
            routes => routes.iter().map(|route| target("HTTPRoute", route)).collect(),
        };
        let code = if let Some(image) = url.strip_prefix("oci://") {
            format!(
                "        type: Image\n        image:\n          url: {image}{mark}\n          sha256: \"{sha256}\"{mark}\n"
            )
        } else {
            let trusts = module.fetched_with_tls().map(controller_trusts).unwrap_or_default();
            format!(
                "        type: HTTP\n        http:\n          url: {url}{mark}\n          sha256: \"{sha256}\"{mark}\n{trusts}"
            )
        };
        format!(
            "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyExtensionPolicy\nmetadata:\n  name: portcullis\n  namespace: {}\nspec:\n  \
             targetRefs:\n{targets}  wasm:\n    - name: portcullis\n      rootID: portcullis\n      # Requests get 503 while the filter cannot run.\n      \
             failOpen: false\n      code:\n{code}        pullPolicy: IfNotPresent\n      config:\n        control_plane:\n          \
             cluster: portcullis\n          token: {}\n",
            self.namespace,
            edge_key(self.edge_key.as_ref()),
        )
    }

    fn cluster(&self) -> String {
        let (host, port) = self.control_plane.clone().unwrap_or((CONTROL_PLANE.to_owned(), 8471));
        format!(
            "# Envoy Gateway has no backends for what a filter calls, so the cluster is patched in. Patches must be enabled:\n\
             # extensionApis.enableEnvoyPatchPolicy in the EnvoyGateway configuration.\n\
             apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyPatchPolicy\nmetadata:\n  name: portcullis-cluster\n  namespace: {}\nspec:\n  \
             targetRef:\n    group: gateway.networking.k8s.io\n    kind: Gateway\n    name: {}\n  type: JSONPatch\n  jsonPatches:\n    \
             - type: type.googleapis.com/envoy.config.cluster.v3.Cluster\n      name: portcullis\n      operation:\n        op: add\n        path: \"\"\n        value:\n{}",
            self.namespace,
            self.gateway,
            callout_cluster(&host, port, self.control_plane_ca.as_ref()),
        )
    }
}

/// The controller fetches the module, not the proxy.
fn controller_trusts(Url { host, .. }: &Url) -> String {
    format!(
        "          # <- Envoy Gateway's controller fetches it. The certificate there must be for {host},\n          \
         # of a public authority. Of a private one, mount that into the controller's pod and name it in SSL_CERT_FILE, or\n          \
         # where your release implements `tls` here: in this namespace, kubectl create configmap portcullis-ca\n          \
         # --from-file=ca.crt, and here, tls: {{ caCertificateRef: {{ kind: ConfigMap, name: portcullis-ca }} }}\n"
    )
}

const PREAMBLE: &str = "\
# Portcullis in Envoy Gateway. What these resources cannot do:
# - They do not verify tokens. A SecurityPolicy with `jwt` does, and its filter comes before this one; it must leave the
#   token where it is.
# - There is no failure policy: should the filter ever trap, its worker answers 503 until the proxy is replaced. Alert on
#   wasm failures.
# - The edge key stands in the policy as text: let few read it, and give it the scope `edge` alone.
# - Why a request was rejected is in the access log as %FILTER_STATE(wasm.portcullis:PLAIN)%: add it to the EnvoyProxy's
#   telemetry.accessLog. Labels of its metrics need stats_tags in the EnvoyProxy's bootstrap: see `portcullis config envoy`.
";
