//! The filter's OCI image: pushed into a real registry and pulled out again, as `oci://` does.

use std::path::Path;
use std::time::Duration;

use portcullis_testbed::{Process, paths};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::program;

async fn skopeo(args: &[&str]) -> String {
    let mut command = Command::new(program("SKOPEO"));
    command.arg("--insecure-policy").args(args).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The content of a blob of a layout.
fn blob(layout: &Path, digest: &Value) -> Vec<u8> {
    let digest = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
    std::fs::read(layout.join("blobs/sha256").join(digest)).unwrap()
}

#[tokio::test]
async fn the_image_goes_through_a_registry() {
    let image = program("FILTER_IMAGE");
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yml");
    let settings = json!({
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": dir.path().join("store")}},
        "http": {"addr": "127.0.0.1:0"}
    });
    std::fs::write(&config, settings.to_string()).unwrap();
    let mut registry = Command::new(program("DOCKER_REGISTRY"));
    registry.arg("serve").arg(&config);
    let registry = Process::spawn("the registry", registry).unwrap();
    let line = registry.log().wait_for("listening on", Duration::from_secs(30)).await.unwrap();
    let address = line.split("listening on ").nth(1).unwrap();
    let address: String =
        address.chars().take_while(|char| char.is_ascii_digit() || ".:".contains(*char)).collect();

    let version = env!("CARGO_PKG_VERSION");
    let (layout, remote) = (
        format!("oci:{}:{version}", image.display()),
        format!("docker://{address}/portcullis-filter:{version}"),
    );
    skopeo(&["copy", "--dest-tls-verify=false", &layout, &remote]).await;
    let pulled = dir.path().join("pulled");
    skopeo(&["copy", "--src-tls-verify=false", &remote, &format!("oci:{}:{version}", pulled.display())])
        .await;

    // What a host does with it: manifest, one layer, `plugin.wasm`.
    let manifest: Value =
        serde_json::from_str(&skopeo(&["inspect", "--raw", "--tls-verify=false", &remote]).await).unwrap();
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(
        (layers.len(), &layers[0]["mediaType"]),
        (1, &json!("application/vnd.oci.image.layer.v1.tar+gzip"))
    );
    let layer = blob(&pulled, &layers[0]["digest"]);
    let extracted = dir.path().join("extracted");
    std::fs::create_dir(&extracted).unwrap();
    std::fs::write(dir.path().join("layer.tar.gz"), layer).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(dir.path().join("layer.tar.gz")).arg("-C").arg(&extracted);
    assert!(tar.status().await.unwrap().success());
    let module = std::fs::read(extracted.join("plugin.wasm")).unwrap();
    assert!(module == std::fs::read(paths::filter().unwrap()).unwrap(), "another module");
    // The digest that was told is the one to pin.
    let inspected = skopeo(&["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &remote]).await;
    assert_eq!(inspected.trim(), std::env::var("FILTER_IMAGE_DIGEST").unwrap());
}
