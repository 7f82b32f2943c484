//! Builds a filter's crate and returns the `.wasm`, once per process.
//!
//! A test that builds the filter itself needs no step before it and never runs a stale one; if nothing has
//! changed it costs a fraction of a second.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use proxy_wasm_harness::{Module, artifact};
//!
//! let module = Module::from_bytes(&artifact::build("filters/hello")?)?;
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::Value;

/// The target that filters are built for.
const TARGET: &str = "wasm32-wasip1";

/// What a test's own build hands down and a build for another target must not see.
const NOT_INHERITED: [&str; 6] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
];

/// Why there is no filter.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Cargo could not be run.
    #[error("cannot run {cargo}: {reason}")]
    Cargo {
        /// What was to be run.
        cargo: String,
        /// What the operating system says.
        reason: String,
    },
    /// The toolchain cannot build for WebAssembly.
    #[error("the target {TARGET} is not installed; run `rustup target add {TARGET}`")]
    TargetMissing,
    /// The filter does not build.
    #[error("{dir} does not build:\n{output}")]
    Failed {
        /// The crate.
        dir: String,
        /// What cargo says.
        output: String,
    },
    /// The crate builds, but makes no `.wasm`.
    #[error("{0} makes no .wasm; it needs `crate-type = [\"cdylib\"]`")]
    NoWasm(String),
    /// A file cannot be read.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What the operating system says.
        reason: String,
    },
}

/// As `unwrap` shows it: what cargo says, in lines.
impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Builds the crate in this directory with its `release` profile.
///
/// # Errors
/// If it does not build.
pub fn build(dir: impl AsRef<Path>) -> Result<Vec<u8>, BuildError> {
    Build::new(dir).run()
}

/// A build with settings of its own.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[must_use = "nothing is built before `run`"]
pub struct Build {
    dir: PathBuf,
    profile: String,
    target_dir: Option<PathBuf>,
    instead: Option<String>,
}

impl Build {
    /// A build of the crate in this directory.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self { dir: dir.as_ref().to_owned(), profile: "release".to_owned(), target_dir: None, instead: None }
    }

    /// The profile; `release` unless told otherwise.
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = profile.into();
        self
    }

    /// Where to build; the folder `filters` in the test's target directory unless told otherwise.
    ///
    /// It must not be the target directory of the cargo that runs the test, which may hold its lock.
    pub fn target_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.target_dir = Some(dir.into());
        self
    }

    /// An environment variable that names a `.wasm` to be taken instead, if it is set.
    pub fn unless_given_in(mut self, variable: impl Into<String>) -> Self {
        self.instead = Some(variable.into());
        self
    }

    /// Builds, or returns what this process has built before.
    ///
    /// # Errors
    /// If it does not build.
    pub fn run(&self) -> Result<Vec<u8>, BuildError> {
        static BUILT: OnceLock<Mutex<HashMap<Build, Vec<u8>>>> = OnceLock::new();
        let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = built.get(self) {
            return Ok(bytes.clone());
        }
        let path = match self.instead.as_ref().and_then(std::env::var_os) {
            Some(path) => PathBuf::from(path),
            None => self.cargo()?,
        };
        let bytes = std::fs::read(&path).map_err(|error| BuildError::File {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        built.insert(self.clone(), bytes.clone());
        Ok(bytes)
    }

    fn cargo(&self) -> Result<PathBuf, BuildError> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut command = Command::new(&cargo);
        command.current_dir(&self.dir).args(["build", "--lib", "--target", TARGET]);
        command.args(["--profile", &self.profile, "--message-format", "json-render-diagnostics"]);
        if let Some(dir) =
            self.target_dir.clone().or_else(target_dir_of_this_test).or_else(|| target_dir_above(&self.dir))
        {
            command.arg("--target-dir").arg(dir);
        }
        for variable in NOT_INHERITED {
            command.env_remove(variable);
        }
        let output =
            command.output().map_err(|error| BuildError::Cargo { cargo, reason: error.to_string() })?;
        let dir = self.dir.display().to_string();
        if !output.status.success() {
            let output = String::from_utf8_lossy(&output.stderr).into_owned();
            let is_missing = output.contains("target may not be installed");
            return Err(if is_missing {
                BuildError::TargetMissing
            } else {
                BuildError::Failed { dir, output }
            });
        }
        wasm_in(&output.stdout).ok_or(BuildError::NoWasm(dir))
    }
}

/// Cargo names the crate's own artifact last.
fn wasm_in(messages: &[u8]) -> Option<PathBuf> {
    let messages = String::from_utf8_lossy(messages);
    let messages = messages.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_artifact =
        |message: &Value| message.get("reason").is_some_and(|reason| reason == "compiler-artifact");
    messages.filter(is_artifact).find_map(|message| {
        let files = message.get("filenames")?.as_array()?;
        files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
    })
}

/// Cargo puts test executables into `target/PROFILE/deps`.
fn target_dir_of_this_test() -> Option<PathBuf> {
    let executable = std::env::current_exe().ok()?;
    let deps = executable.parent().filter(|dir| dir.ends_with("deps"))?;
    Some(deps.parent()?.parent()?.join("filters"))
}

/// Documentation tests run from elsewhere; what they build is mostly in a workspace that has been built in.
fn target_dir_above(dir: &Path) -> Option<PathBuf> {
    let dir = dir.canonicalize().ok()?;
    let target =
        dir.ancestors().map(|dir| dir.join("target")).find(|dir| dir.join("CACHEDIR.TAG").exists())?;
    Some(target.join("filters"))
}
