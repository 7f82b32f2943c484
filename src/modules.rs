//! The compiled filters that this control plane hands out, so that nobody needs a registry for one file.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use wasmparser::{Parser, Payload};

use crate::files;
use crate::quiet::Quiet;

/// Longest file, in bytes: thirty times what the filter has.
const MAX_BYTES: u64 = 10 * 1024 * 1024;
/// The custom section of a filter that names its release.
const VERSION_SECTION: &str = "portcullis.version";
/// What the file is called that a release has beside its binary.
const FILE: &str = "portcullis_filter.wasm";

/// Why a file is not handed out.
#[expect(missing_docs, reason = "the fields are what the message says")]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ModuleError {
    #[error("filter.files: cannot read {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: String },
    #[error("filter.files: {} is not a WebAssembly module: {error}", path.display())]
    Syntax { path: PathBuf, error: String },
    #[error(
        "filter.files: {} is a WebAssembly module, but not of a Portcullis filter (it has no section `{VERSION_SECTION}`)",
        .0.display()
    )]
    Other(PathBuf),
}

/// One compiled filter.
#[derive(Clone, Debug)]
pub struct Module {
    /// The release that it is of.
    pub version: String,
    /// Of its bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// The file.
    pub bytes: Bytes,
}

impl Module {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no Portcullis filter.
    pub fn read(path: &Path) -> Result<Self, ModuleError> {
        let bytes = files::read(path, MAX_BYTES)
            .map_err(|error| ModuleError::Unreadable { path: path.to_owned(), error })?;
        let mut version = None;
        for payload in Parser::new(0).parse_all(&bytes) {
            let wrong = |error: wasmparser::BinaryReaderError| ModuleError::Syntax {
                path: path.to_owned(),
                error: error.message().to_owned(),
            };
            if let Payload::CustomSection(section) = payload.map_err(wrong)?
                && section.name() == VERSION_SECTION
            {
                version = std::str::from_utf8(section.data()).ok().filter(|text| is_version(text));
            }
        }
        let version = version.ok_or_else(|| ModuleError::Other(path.to_owned()))?.to_owned();
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { version, sha256, bytes: bytes.into() })
    }

    /// The name under which it is handed out: another release has another.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("portcullis_filter-{}-{}.wasm", self.version, self.sha256)
    }

    /// Where it is handed out.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/filter/{}", self.file_name())
    }
}

/// It becomes part of a path.
fn is_version(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-+".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// All that are handed out, the current one first.
#[derive(Debug, Default)]
pub struct Modules {
    all: Vec<Module>,
    missed: Quiet<()>,
}

impl Modules {
    /// Those of the configuration; without any, the one beside this binary, if there is one.
    ///
    /// # Errors
    /// When a file is of no use.
    pub fn load(files: Option<&[PathBuf]>) -> Result<Self, ModuleError> {
        let beside = || {
            let binary = std::env::current_exe().and_then(std::fs::canonicalize).ok();
            binary.map(|binary| binary.with_file_name(FILE)).filter(|file| file.is_file())
        };
        let modules: Result<Vec<_>, _> = match files {
            Some(files) => files.iter().map(|file| Module::read(file)).collect(),
            None => beside().iter().map(|file| Module::read(file)).collect(),
        };
        Ok(Self { all: modules?, missed: Quiet::default() })
    }

    /// All, the current one first.
    pub fn iter(&self) -> impl Iterator<Item = &Module> {
        self.all.iter()
    }

    /// The one that is handed out under that name.
    #[must_use]
    pub fn find(&self, file_name: &str) -> Option<&Module> {
        self.all.iter().find(|module| module.file_name() == file_name)
    }

    /// Whether it is to be logged now that somebody asks for one that is not there.
    pub(crate) fn is_miss_news(&self, peer: IpAddr) -> bool {
        self.missed.is_due(Some(peer), (), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_filter_is_refused_by_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let check = |bytes: &[u8], expect: &str| {
            let path = dir.path().join("x.wasm");
            std::fs::write(&path, bytes).unwrap();
            let error = Module::read(&path).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check(b"", "is not a WebAssembly module");
        check(b"\x7fELF and so on", "is not a WebAssembly module");
        check(b"\0asm\x01\0\0\0", "not of a Portcullis filter");
        let section = |version: &str| {
            let mut bytes = b"\0asm\x01\0\0\0\0".to_vec();
            let length = 1 + VERSION_SECTION.len() + version.len();
            bytes.extend([u8::try_from(length).unwrap(), u8::try_from(VERSION_SECTION.len()).unwrap()]);
            bytes.extend(VERSION_SECTION.bytes().chain(version.bytes()));
            bytes
        };
        check(&section("../etc"), "not of a Portcullis filter");
        check(&section("")[..20], "is not a WebAssembly module");
        let path = dir.path().join("y.wasm");
        std::fs::write(&path, section("1.2.3")).unwrap();
        let module = Module::read(&path).unwrap();
        assert_eq!((module.version.as_str(), module.sha256.len()), ("1.2.3", 64));
        assert!(module.file_name().starts_with("portcullis_filter-1.2.3-"));
        assert!(Module::read(&dir.path().join("none")).unwrap_err().to_string().contains("cannot read"));
        let all = Modules::load(Some(&[path])).unwrap();
        assert!(
            all.find(&module.file_name()).is_some() && all.find("portcullis_filter-1.2.3-.wasm").is_none()
        );
    }
}
