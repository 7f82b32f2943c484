//! The filter as an OCI image, in the layout that `skopeo`, `crane` and `oras` push (OCI image-spec 1.1, image-layout).
//!
//! What Istio and Envoy Gateway take from `oci://` is an image of one gzip-compressed layer with `plugin.wasm` in it
//! (`extractOCIStandardImage` in Istio's `imagefetcher.go`).

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Writes the layout with one image, tagged with the project's release. The same module gives the same bytes, and so
/// the same digest, which is given.
pub(crate) fn write(module: &[u8], dir: &Path) -> Result<String> {
    let blobs = dir.join("blobs/sha256");
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot replace {}", dir.display()))?;
    }
    fs::create_dir_all(&blobs).with_context(|| format!("cannot create {}", blobs.display()))?;
    let blob = |media_type: &str, bytes: &[u8]| -> Result<String> {
        let digest = sha256(bytes)?;
        fs::write(blobs.join(&digest), bytes)?;
        let size = bytes.len();
        Ok(format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{digest}","size":{size}}}"#))
    };
    let tar = tar(module)?;
    let layer = blob(LAYER, &gzip(&tar)?)?;
    let version = env!("CARGO_PKG_VERSION");
    // Runs nowhere, so it names no real platform.
    let config = format!(
        r#"{{"architecture":"wasm","os":"wasi","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{}"]}}}}"#,
        sha256(&tar)?
    );
    let config = blob(CONFIG, config.as_bytes())?;
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{layer}],"annotations":{{"org.opencontainers.image.title":"portcullis-filter","org.opencontainers.image.version":"{version}","org.opencontainers.image.licenses":"Apache-2.0"}}}}"#
    );
    let descriptor = blob(MANIFEST, manifest.as_bytes())?;
    let tagged = descriptor.trim_end_matches('}');
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{tagged},"annotations":{{"org.opencontainers.image.ref.name":"{version}"}}}}]}}"#
    );
    fs::write(dir.join("index.json"), index)?;
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(format!("sha256:{}", sha256(manifest.as_bytes())?))
}

/// `plugin.wasm`, of nobody, at no time.
fn tar(module: &[u8]) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_size(module.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "plugin.wasm", module)?;
    Ok(archive.into_inner()?)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write as _;

    let mut writer = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    writer.write_all(bytes)?;
    Ok(writer.finish()?)
}

/// The SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> Result<String> {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}
