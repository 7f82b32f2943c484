//! The command `proxy-wasm-harness`, run as a shell would: what it prints, and how it exits.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use proxy_wasm_harness::{Value, artifact};
use tempfile::TempDir;

mod bad_input;
mod run;

/// A directory with filters, in which the command runs.
struct Shell {
    dir: TempDir,
}

/// What came of a command.
struct Done {
    stdout: String,
    stderr: String,
    code: i32,
}

impl Shell {
    fn new() -> Self {
        let shell = Self { dir: tempfile::tempdir().unwrap() };
        shell.write("gate.wasm", artifact::build("examples/gate").unwrap());
        shell
    }

    /// With a filter made of these parts, under the name `f.wasm`.
    fn with(parts: &str) -> Self {
        let shell = Self { dir: tempfile::tempdir().unwrap() };
        shell.write("f.wasm", wat::parse_str(text(parts)).unwrap());
        shell
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn run(&self, arguments: &[&str]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_proxy-wasm-harness"));
        let command = command.current_dir(self.dir.path()).args(arguments).stdin(Stdio::null());
        let output = command.output().unwrap();
        Done {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap(),
        }
    }

    /// Runs with `--json`, and expects this exit code.
    #[track_caller]
    fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let done = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(done.code, code, "{}{}", done.stdout, done.stderr);
        serde_json::from_str(&done.stdout).unwrap()
    }

    /// Expects that the filter cannot be used, and gives what is said about it.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{}", done.stderr);
        assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
        done.stderr
    }
}

/// A module in text, around these parts.
fn text(parts: &str) -> String {
    format!(
        r#"(module {parts}
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) i32.const 1024))"#
    )
}
