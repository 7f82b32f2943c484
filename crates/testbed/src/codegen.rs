//! The Rust code of `proto/`: what `cargo xtask codegen` writes, and what a test compares with what is
//! committed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const PROTOS: [&str; 2] = ["portcullis/edge/v1/edge.proto", "portcullis/log/v1/log.proto"];
const EDGE: &str = "portcullis.edge.v1";
const LOG: &str = "portcullis.log.v1";

/// Generates every committed file, as (path under the root of the workspace, content).
///
/// The messages of the push protocol belong to core, which the filter shares; the log's messages and the
/// gRPC stubs, which speak of core's messages, belong to the control plane.
///
/// # Errors
///
/// If a file under `proto/` cannot be read or is not valid.
pub fn generate(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let messages = compile(root, |out, protos| {
        prost_build::Config::new().btree_map(["."]).out_dir(out).compile_fds(protos)
    })?;
    let services = compile(root, |out, protos| {
        tonic_prost_build::configure()
            .extern_path(format!(".{EDGE}"), "::portcullis_core::wire::edge")
            // Encoded once for all subscribers, so what is on the stream is bytes, at either end.
            .extern_path(format!(".{EDGE}.ControlMessage"), "crate::edge::codec::Encoded")
            .codec_path("crate::edge::codec::EdgeCodec")
            .out_dir(out)
            .compile_fds(protos)
    })?;
    let core = Path::new("crates/core/src/wire/gen");
    let control_plane = Path::new("src/gen");
    Ok(vec![
        (core.join(file(EDGE)), messages.read(EDGE)?),
        (control_plane.join(file(EDGE)), services.read(EDGE)?),
        (control_plane.join(file(LOG)), services.read(LOG)?),
    ])
}

/// Writes the files that [`generate`] gives, and tells which ones changed.
///
/// # Errors
///
/// As [`generate`], and if a file cannot be written.
pub fn write(root: &Path) -> Result<Vec<PathBuf>> {
    let mut changed = Vec::new();
    for (relative, content) in generate(root)? {
        let path = root.join(&relative);
        if fs::read_to_string(&path).is_ok_and(|committed| committed == content) {
            continue;
        }
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(&path, content).with_context(|| format!("cannot write {}", relative.display()))?;
        changed.push(relative);
    }
    Ok(changed)
}

fn compile(
    root: &Path,
    generator: impl FnOnce(&Path, prost_types::FileDescriptorSet) -> std::io::Result<()>,
) -> Result<Output> {
    // The compiler is called anew, as a generator takes what it is given.
    let protos = protox::compile(PROTOS, [root.join("proto")]).context("proto/ is not valid")?;
    let out = tempfile::tempdir()?;
    generator(out.path(), protos).context("cannot generate")?;
    Ok(Output(out))
}

/// A directory with one generated file for each protobuf package.
struct Output(tempfile::TempDir);

impl Output {
    fn read(&self, package: &str) -> Result<String> {
        let path = self.0.path().join(file(package));
        fs::read_to_string(path).with_context(|| format!("nothing was generated for {package}"))
    }
}

fn file(package: &str) -> String {
    format!("{package}.rs")
}
