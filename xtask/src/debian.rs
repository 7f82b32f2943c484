//! Programs out of Debian's packages, unpacked below `target/`: nobody needs to be root, and nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cargo::{exists, locked, output, target_dir};

/// A program, and the packages with it and the libraries that it needs; the first package names the directory.
pub(crate) struct Program {
    name: &'static str,
    packages: &'static [&'static str],
    /// What there is to download, for whoever waits.
    size: &'static str,
}

/// A registry of images.
pub(crate) const REGISTRY: Program =
    Program { name: "docker-registry", packages: &["docker-registry"], size: "5 MB" };
/// Copies images between registries and directories.
pub(crate) const SKOPEO: Program = Program {
    name: "skopeo",
    packages: &["skopeo", "libgpgme11", "libassuan0", "libdevmapper1.02.1"],
    size: "6 MB",
};
/// The metrics server, with the alerts that it evaluates.
pub(crate) const PROMETHEUS: Program =
    Program { name: "prometheus", packages: &["prometheus"], size: "19 MB" };
/// Checks and tests its rules.
pub(crate) const PROMTOOL: Program = Program { name: "promtool", packages: &["prometheus"], size: "19 MB" };

impl Program {
    /// The command for it: the one on the PATH, or else a script that runs the unpacked one with its libraries.
    pub(crate) fn find(&self) -> Result<PathBuf> {
        if exists(self.name) {
            return Ok(self.name.into());
        }
        let dir = unpacked(self.name, self.packages, self.size)?;
        let _lock = locked(&dir)?;
        let script = dir.join(format!("run-{}", self.name));
        if !script.exists() {
            let root = dir.join("root");
            let (libraries, program) = (libraries(&root)?, root.join("usr/bin").join(self.name));
            write_script(
                &script,
                &format!("LD_LIBRARY_PATH='{libraries}' exec '{}' \"$@\"", program.display()),
            )
            .with_context(|| format!("the unpacked {} does not run: install it by hand", self.name))?;
        }
        Ok(script)
    }
}

/// The directory with the files of some packages below `root`; the first package names it.
pub(crate) fn unpacked(name: &str, packages: &[&str], size: &str) -> Result<PathBuf> {
    let dir = target_dir().join("debian").join(packages.first().unwrap_or(&name));
    let _lock = locked(&dir)?;
    let done = dir.join("unpacked");
    // Written last: an interrupted installation is done again.
    if !done.exists() {
        unpack(name, packages, size, &dir)?;
        fs::write(done, "")?;
    }
    Ok(dir)
}

fn unpack(name: &str, packages: &[&str], size: &str, dir: &Path) -> Result<()> {
    if !exists("apt-get") {
        bail!("no `{name}`, and no `apt-get` to get it with: install {name}");
    }
    eprintln!("Unpacking {name} into {} ({size} to download, once) ...", dir.display());
    let download = || output(Command::new("apt-get").arg("download").args(packages).current_dir(dir));
    if download().is_err() {
        // A machine that has no lists of packages yet.
        output(Command::new("apt-get").arg("update")).context("apt-get has no lists of packages")?;
        download().with_context(|| format!("apt-get cannot download {}", packages.join(", ")))?;
    }
    for entry in fs::read_dir(dir)? {
        let package = entry?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            output(Command::new("dpkg").arg("-x").arg(&package).arg(dir.join("root")))?;
            fs::remove_file(package)?;
        }
    }
    Ok(())
}

/// A script with one command that passes its arguments on; it is there only once it has answered `--version`.
pub(crate) fn write_script(script: &Path, command: &str) -> Result<()> {
    let draft = script.with_extension("new");
    fs::write(&draft, format!("#!/bin/sh\n{command}\n"))?;
    #[cfg(unix)]
    fs::set_permissions(&draft, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    output(Command::new(&draft).arg("--version"))?;
    fs::rename(draft, script)?;
    Ok(())
}

/// The directories of the unpacked libraries, whatever the architecture, as `LD_LIBRARY_PATH` has them.
fn libraries(root: &Path) -> Result<String> {
    let mut found = Vec::new();
    for lib in [root.join("usr/lib"), root.join("lib")].iter().filter(|lib| lib.is_dir()) {
        for entry in fs::read_dir(lib)? {
            let dir = entry?.path();
            if dir.to_string_lossy().ends_with("-linux-gnu") {
                found.push(dir.display().to_string());
            }
        }
    }
    Ok(found.join(":"))
}
