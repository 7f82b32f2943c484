//! What `portcullis config istio` and `config envoy-gateway` print: valid against the custom resources' schemas, and,
//! as Istio makes it into Envoy's configuration, in force on a real Envoy.

mod schema;

use portcullis_testbed::{Bootstrap, Envoy, Issuer, Upstream, paths};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{documents, handing_out, run};

const SHA256: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The documents that the command line prints with these arguments.
async fn printed(args: &[&str]) -> Vec<Value> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_portcullis")).arg("config").args(args).output().await.unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    documents(&String::from_utf8(output.stdout).unwrap())
}

fn kinds(documents: &[Value]) -> Vec<&str> {
    documents.iter().map(|document| document["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_variant_is_valid_against_the_schemas() {
    let module = ["--module", "oci://registry.example/portcullis-filter:1", "--sha256", SHA256];
    for (args, expect) in [
        (vec!["istio"], vec!["TrafficExtension", "DestinationRule", "EnvoyFilter"]),
        (vec!["istio", "--istio-version", "1.29.1"], vec!["WasmPlugin", "DestinationRule", "EnvoyFilter"]),
        (vec!["istio", "--istio-version", "1.26"], vec!["WasmPlugin", "DestinationRule", "EnvoyFilter"]),
        (
            vec!["istio", "--namespace", "shop", "--selector", "app=web", "--selector", "tier=front"],
            vec!["TrafficExtension", "DestinationRule", "EnvoyFilter"],
        ),
        (vec!["istio", "--gateway", "web"], vec!["TrafficExtension", "DestinationRule", "EnvoyFilter"]),
        (
            vec!["istio", "--waypoint", "wp"],
            vec!["TrafficExtension", "DestinationRule", "EnvoyFilter", "EnvoyFilter"],
        ),
        (
            vec!["istio", "--external", "--control-plane", "revoke.example:8471"],
            vec!["TrafficExtension", "DestinationRule", "ServiceEntry", "EnvoyFilter"],
        ),
        (vec!["envoy-gateway"], vec!["EnvoyExtensionPolicy", "EnvoyPatchPolicy"]),
        (
            vec!["envoy-gateway", "--route", "a", "--route", "b", "--gateway", "web", "--namespace", "edge"],
            vec!["EnvoyExtensionPolicy", "EnvoyPatchPolicy"],
        ),
    ] {
        for more in [&[][..], &module] {
            let documents = printed(&[args.as_slice(), more].concat()).await;
            assert_eq!(kinds(&documents), expect, "{args:?}");
            documents.iter().for_each(schema::check);
        }
    }
}

#[tokio::test]
async fn what_is_in_force_everywhere_is_marked() {
    let marked = async |more: &[&str]| {
        let args = [&["config", "istio"], more].concat();
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis")).args(args).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap().contains("spec:\n  # <- No target: in force")
    };
    assert!(marked(&[]).await && marked(&["--namespace", "shop", "--istio-version", "1.29"]).await);
    for narrowed in [["--selector", "app=web"], ["--gateway", "web"], ["--waypoint", "shop"]] {
        assert!(!marked(&narrowed).await, "{narrowed:?}");
    }
}

#[tokio::test]
async fn a_module_is_fetched_with_tls_where_the_control_plane_has_it() {
    let path = "/filter/x.wasm";
    let listed = json!({"modules": [{"version": "1", "sha256": SHA256, "bytes": 1, "path": path}]});
    let (address, dir) = crate::cli::https::server(&listed.to_string());
    let printed = async |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.arg("config").args(more).args(["--fetch", "--ca-file", "ca.pem"]).current_dir(dir.path());
        let output = command.env("PORTCULLIS_URL", format!("https://{address}")).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let host = "portcullis.portcullis-system.svc.cluster.local";
    for (verb, says) in [
        ("istio", format!("WASM_INSECURE_REGISTRIES: \"{host}:8470\"")),
        ("envoy-gateway", format!("The certificate there must be for {host},")),
    ] {
        let text = printed(&[verb]).await;
        documents(&text).iter().for_each(schema::check);
        assert!(
            text.contains(&format!("url: https://{host}:8470{path}\n")) && text.contains(&says),
            "{text}"
        );
        let text = printed(&[verb, "--fetch-from", "http://plane.example"]).await;
        assert!(text.contains(&format!("url: http://plane.example{path}\n")), "{text}");
        assert!(!text.contains("certificate there"), "{text}");
    }
}

#[tokio::test]
async fn a_patched_cluster_has_tls_where_there_is_an_authority_to_trust() {
    let authority = portcullis_testbed::Authority::new().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    let path = file.path().to_str().unwrap();
    let given = ["--control-plane", "portcullis.example:8471", "--control-plane-ca", path];
    let gateway = printed(&[&["envoy-gateway"], &given[..]].concat()).await;
    let waypoint = printed(&[&["istio", "--waypoint", "wp"], &given[..]].concat()).await;
    for (documents, at) in
        [(gateway, "/spec/jsonPatches/0/operation/value"), (waypoint, "/spec/configPatches/0/patch/value")]
    {
        documents.iter().for_each(schema::check);
        let tls = documents.last().unwrap().pointer(at).unwrap()["transport_socket"]["typed_config"].clone();
        assert_eq!(tls["sni"], "portcullis.example");
        let trusted = &tls["common_tls_context"]["validation_context"]["trusted_ca"]["inline_string"];
        assert_eq!(trusted.as_str().unwrap().trim(), authority.pem().replace("\r\n", "\n").trim());
    }
}

#[test]
fn the_schemas_refuse_what_the_hosts_would() {
    let valid = json!({
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
        "spec": {"url": "oci://x", "phase": "AUTHZ", "match": [{"mode": "CLIENT"}]}
    });
    schema::check(&valid);
    for (pointer, wrong) in [
        ("/spec/phase", json!("AUTH")),
        ("/spec/url", json!(7)),
        ("/spec/match", json!({})),
        ("/spec/match/0/mode", json!("BOTH")),
        ("/spec", json!({"phase": "AUTHZ"})),
        ("/spec", json!({"url": "oci://x", "nonsense": 1})),
        ("/kind", json!("Nonsense")),
    ] {
        let mut spoilt = valid.clone();
        *spoilt.pointer_mut(pointer).unwrap() = wrong;
        assert!(schema::errors(&spoilt).is_err(), "{spoilt}");
    }
}

#[tokio::test]
async fn bad_arguments_are_refused() {
    for (args, says) in [
        (&["istio", "--istio-version", "1.9"][..], "not supported"),
        (&["istio", "--istio-version", "2"], "a release such as"),
        (&["istio", "--gateway", "a", "--waypoint", "b"], "cannot be used with"),
        (&["istio", "--module", "oci://x"], "--sha256"),
        (&["istio", "--module", "ftp://x", "--sha256", SHA256], "expected oci://"),
        (&["istio", "--module", "oci://x", "--sha256", "abc"], "64 hexadecimal digits"),
        (&["istio", "--selector", "app"], "LABEL=VALUE"),
        (&["istio", "--namespace", "a: b"], "only letters"),
        (&["envoy-gateway", "--control-plane", "host"], "HOST:PORT"),
        (&["envoy-gateway", "--control-plane-ca", "Cargo.toml"], "no certificate"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis")).arg("config").args(args).output().await;
        let output = output.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains(says), "{args:?}: {stderr}");
    }
}

/// As Istio's documentation has it: the plugin's name is its root id, its configuration is handed over as JSON in a
/// string, the VM is V8, and its callouts go to the cluster of the Service, which is named by port and host.
#[tokio::test]
async fn a_traffic_extension_is_in_force_as_istio_hands_it_to_envoy() {
    let filter = paths::filter().unwrap();
    let issuer = Issuer::start().await.unwrap();
    let plane = handing_out(&filter, &issuer).await;
    let text = run(&plane, &["config", "istio", "--fetch", "--edge-key", plane.edge_key()], 0).await.stdout;
    let extension = &documents(&text)[0]["spec"]["wasm"];
    let listed = plane.api().get("/filter").send().await.unwrap().json().unwrap();
    let module = &listed["modules"][0];
    assert_eq!(extension["sha256"], module["sha256"]);
    let host = "portcullis.portcullis-system.svc.cluster.local";
    assert_eq!(
        extension["url"],
        format!("http://{host}:8470{}", module["path"].as_str().unwrap()),
        "where the mesh reaches it"
    );
    let config = &extension["pluginConfig"];
    let cluster = config["control_plane"]["cluster"].as_str().unwrap();
    assert_eq!(cluster, format!("outbound|8471||{host}"));

    let upstream = Upstream::start().await.unwrap();
    let (root_id, strategy) = (extension["pluginName"].clone(), extension["failStrategy"].clone());
    let bootstrap = Bootstrap::new()
        .upstream(upstream.address())
        .issuer(&issuer)
        .filter(filter)
        .control_plane(plane.edge_address())
        .control_plane_cluster(cluster)
        .plugin_text(&config.to_string())
        .edit(move |whole| {
            let filters = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
            let filters = whole.pointer_mut(filters).unwrap().as_array_mut().unwrap();
            let own = filters.iter_mut().find(|filter| filter["name"] == "portcullis").unwrap();
            own["name"] = "istio-system.portcullis".into();
            let wasm = &mut own["typed_config"]["config"];
            wasm["name"] = "istio-system.portcullis".into();
            wasm["root_id"] = root_id;
            wasm["failure_policy"] = strategy;
            wasm["vm_config"].as_object_mut().unwrap().remove("vm_id");
            Ok(())
        });
    let envoy = Envoy::start(bootstrap).await.unwrap();
    crate::envoy::enforces(&plane, &issuer, &envoy).await;
}
