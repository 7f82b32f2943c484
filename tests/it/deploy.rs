//! What stands in `deploy/` and in the book: valid, about what exists, and, for the alerts, fired by a real
//! Prometheus when something breaks.

mod alerts;
mod render;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::docs::{ROOT, read};
use crate::support::{documents, program};

/// Runs a program in the root of the repository, which must succeed.
fn run(variable: &str, args: &[&str]) -> String {
    let output = Command::new(program(variable)).args(args).current_dir(ROOT).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn yaml(file: &str) -> Vec<Value> {
    documents(&read(file))
}

/// The files of a directory with that ending, by their paths in the repository.
fn files(dir: &str, ending: &str) -> Vec<String> {
    let entries = Path::new(ROOT).join(dir).read_dir().unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(ending));
    names.sort_unstable();
    names.into_iter().map(|name| format!("{dir}/{name}")).collect()
}

#[test]
fn the_manifests_are_valid_for_kubernetes() {
    let mut manifests = files("deploy/kubernetes/base", ".yaml");
    manifests.retain(|file| !file.ends_with("kustomization.yaml"));
    assert!(manifests.len() >= 6, "{manifests:?}");
    for version in ["1.30", "1.37"] {
        let mut args = vec!["--kubernetes-version", version, "--strict"];
        args.extend(manifests.iter().map(String::as_str));
        run("KUBERNETES_VALIDATE", &args);
    }
    // The check can fail.
    let dir = tempfile::tempdir().unwrap();
    let spoilt = dir.path().join("service.yaml");
    std::fs::write(&spoilt, read("deploy/kubernetes/base/service.yaml").replace("ports:", "prots:")).unwrap();
    let output = Command::new(program("KUBERNETES_VALIDATE")).arg("--strict").arg(&spoilt).output().unwrap();
    assert!(!output.status.success(), "a mistyped key passed");
}

/// The groups of Kubernetes itself; the others are of CRDs.
const GROUPS: [&str; 4] = ["v1", "apps/v1", "networking.k8s.io/v1", "policy/v1"];

#[test]
fn what_every_overlay_comes_to_is_valid_for_kubernetes() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for overlay in render::all() {
        let name = overlay.file_name().unwrap().to_str().unwrap().to_owned();
        let resources = render::render(&overlay);
        let own =
            resources.iter().filter(|resource| GROUPS.iter().any(|group| resource["apiVersion"] == *group));
        for (index, resource) in own.enumerate() {
            let file = dir.path().join(format!("{name}-{index}.yaml"));
            std::fs::write(&file, resource.to_string()).unwrap();
            files.push(file.to_str().unwrap().to_owned());
        }
    }
    assert!(files.len() >= 4 * 6, "{files:?}");
    for version in ["1.30", "1.37"] {
        let mut args = vec!["--kubernetes-version", version, "--strict"];
        args.extend(files.iter().map(String::as_str));
        run("KUBERNETES_VALIDATE", &args);
    }
}

#[test]
fn every_kustomization_names_files_that_exist_and_leaves_none_out() {
    let overlays = Path::new(ROOT).join("deploy/kubernetes/overlays").read_dir().unwrap();
    let overlays = overlays.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let overlays = overlays.map(|name| format!("deploy/kubernetes/overlays/{name}"));
    for dir in overlays.chain(["deploy/kubernetes/base".to_owned()]) {
        let kustomization = yaml(&format!("{dir}/kustomization.yaml")).remove(0);
        let mut named: Vec<String> = Vec::new();
        for list in ["resources", "patches", "components"] {
            for item in kustomization[list].as_array().into_iter().flatten() {
                named.extend(item.as_str().or_else(|| item["path"].as_str()).map(str::to_owned));
            }
        }
        assert!(!named.is_empty(), "{dir}");
        for name in &named {
            assert!(Path::new(ROOT).join(&dir).join(name).exists(), "{dir} names {name}");
        }
        for file in files(&dir, ".yaml") {
            let name = file.rsplit('/').next().unwrap();
            let is_named = name == "kustomization.yaml" || named.iter().any(|named| named == name);
            assert!(is_named, "{file} is in no kustomization");
        }
    }
}

#[test]
fn every_overlay_starts_what_the_control_plane_understands() {
    let mut sets = 0;
    for overlay in render::all() {
        for set in render::render(&overlay).into_iter().filter(|resource| resource["kind"] == "StatefulSet") {
            let name = overlay.file_name().unwrap().to_str().unwrap();
            let (tls, certificates) = starts(&set);
            assert_eq!(tls, name != "plaintext-behind-mesh", "{name}");
            assert_eq!(certificates, name == "mtls", "{name}");
            sets += 1;
        }
    }
    assert!(sets >= 4, "{sets}");
}

/// Whether it speaks TLS, and wants certificates of edges.
fn starts(set: &Value) -> (bool, bool) {
    let pod = &set["spec"]["template"]["spec"];
    // What is mounted is there.
    let names = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut volumes = names(&pod["volumes"]);
    volumes.extend(
        set["spec"]["volumeClaimTemplates"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|claim| claim["metadata"]["name"].as_str().unwrap().to_owned()),
    );
    volumes.sort_unstable();
    let mut mounted = names(&pod["containers"][0]["volumeMounts"]);
    mounted.sort_unstable();
    assert_eq!(volumes, mounted);
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let args = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
    let words: Vec<&str> = ["portcullis"].into_iter().chain(args).collect();
    <portcullis::cli::Cli as clap::Parser>::try_parse_from(&words).unwrap_or_else(|error| panic!("{error}"));
    let variables = container["env"].as_array().unwrap().iter().map(|variable| {
        let value = variable["value"].as_str().unwrap_or("a-secret-of-sixteen-characters");
        (variable["name"].as_str().unwrap().to_owned(), value.to_owned())
    });
    let file = Path::new(ROOT).join("deploy/kubernetes/base/portcullis.toml");
    let (config, _) = portcullis::config::Config::load(Some(&file), variables.collect::<Vec<_>>()).unwrap();
    let scheme = if config.tls.is_some() { "HTTPS" } else { "HTTP" };
    for probe in ["livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["scheme"], scheme, "{probe}");
    }
    let is_allowed = words.contains(&"--allow-plaintext");
    assert_eq!(is_allowed, config.tls.is_none(), "{words:?}");
    let port = |name: &str| {
        let ports = container["ports"].as_array().unwrap();
        ports.iter().find(|port| port["name"] == name).unwrap()["containerPort"].as_u64().unwrap()
    };
    assert_eq!(port("http-api"), u64::from(config.listen.http.port()));
    assert_eq!(port("grpc-edge"), u64::from(config.listen.edge.port()));
    (config.tls.is_some(), config.tls.is_some_and(|tls| tls.edge_ca_file.is_some()))
}

#[test]
fn the_alerts_hold_their_own_tests() {
    run("PROMTOOL", &["check", "rules", "deploy/monitoring/alerts.yaml"]);
    run("PROMTOOL", &["test", "rules", "deploy/monitoring/alerts_test.yaml"]);
    let rules = yaml("deploy/monitoring/alerts.yaml").remove(0);
    let operator = yaml("deploy/kubernetes/overlays/monitoring/prometheus-rule.yaml").remove(0);
    assert_eq!(operator["spec"], rules, "the operator's copy of the rules");
    let runbook = read("docs/src/runbook.md");
    let tests = read("deploy/monitoring/alerts_test.yaml");
    let groups = rules["groups"].as_array().unwrap();
    let alerts: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(alerts.len() >= 15, "{}", alerts.len());
    for alert in alerts {
        let name = alert["alert"].as_str().unwrap();
        let anchor = format!("docs/src/runbook.md#{}", name.to_lowercase());
        assert_eq!(alert["annotations"]["runbook_url"], anchor, "{name}");
        assert!(runbook.contains(&format!("## {name}\n")), "the runbook has no section {name}");
        assert!(tests.matches(&format!("alertname=\"{name}\"")).count() >= 2, "no test of {name}");
    }
}

/// The names in a text that look like metrics of ours, without what a histogram or a counter adds.
fn metrics(text: &str) -> std::collections::BTreeSet<String> {
    let words = text.split(|symbol: char| !symbol.is_ascii_alphanumeric() && symbol != '_');
    let own = words.filter(|word| word.starts_with("portcullis_") && *word != "portcullis_filter");
    let ends = ["_bucket", "_count", "_sum", "_total"];
    own.map(|word| ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()).collect()
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_exist() {
    let control: String = {
        let text = read("src/metrics.rs");
        let names = text.split("register(").skip(1).filter_map(|rest| rest.split('"').nth(1));
        names.map(|name| format!("portcullis_control_{name} ")).collect()
    };
    let known = metrics(&(control + &read("filters/revocation/src/metrics.rs")));
    for file in ["deploy/monitoring/alerts.yaml", "deploy/monitoring/dashboard.json", "docs/src/metrics.md"] {
        let mut asked = metrics(&read(file));
        // Envoy's own, of which the plugin's name is a part.
        asked.retain(|name| !name.starts_with("portcullis_vm_reload"));
        let unknown: Vec<_> = asked.difference(&known).collect();
        assert!(asked.len() >= 10 && unknown.is_empty(), "{file}: {unknown:?}");
    }
}
