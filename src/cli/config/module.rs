//! Where a host gets the filter's module from.

use clap::Args;

use super::super::Failure;
use super::super::remote::Remote;
use super::template::{CONTROL_PLANE, Url, plain, url};

/// The module that the control plane hands out.
#[derive(Args, Debug, Default)]
pub(super) struct Fetch {
    /// Have the filter fetched from the control plane, which is asked for its name and checksum (--url)
    #[arg(long)]
    fetch: bool,

    /// Where that is for who fetches it [default: --url; in Kubernetes the Service of deploy/kubernetes, with the scheme
    /// of --url]
    #[arg(long, value_name = "URL", value_parser = url, requires = "fetch")]
    fetch_from: Option<Url>,
}

/// A module at an address, and its checksum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fetched {
    pub(super) url: Url,
    pub(super) sha256: String,
}

impl Fetch {
    /// Asks the control plane for its current module, if that is wanted. `from` is where it is for who fetches it,
    /// unless that was given.
    pub(super) fn resolve(&self, remote: &Remote, from: &str) -> Result<Option<Fetched>, Failure> {
        if !self.fetch {
            return Ok(None);
        }
        let modules = remote.client()?.filters()?.read()?.modules;
        let Some(module) = modules.into_iter().next() else {
            return Err(Failure::usage("the control plane has no filter to hand out")
                .hint("put portcullis_filter.wasm beside its binary, or name it in filter.files"));
        };
        let base = self.fetch_from.as_ref().map_or(from, |url| &url.text);
        let url = url(&format!("{}{}", base.trim_end_matches('/'), module.path)).map_err(Failure::usage)?;
        Ok(Some(Fetched { url, sha256: module.sha256 }))
    }
}

/// The module of a Kubernetes resource.
#[derive(Args, Debug, Default)]
pub(super) struct Module {
    /// Where the filter is: oci://REGISTRY/IMAGE:TAG, or an http or https URL
    #[arg(long, value_name = "URL", value_parser = module_url, conflicts_with = "fetch", requires = "sha256")]
    module: Option<String>,

    /// The SHA-256 of the module, or of the image that has it
    #[arg(long, value_name = "HEX", value_parser = sha256, requires = "module")]
    sha256: Option<String>,

    #[command(flatten)]
    fetch: Fetch,
}

impl Module {
    /// Its address and checksum.
    pub(super) fn resolve(&self, remote: &Remote, from: &str) -> Result<Source, Failure> {
        if let Some(fetched) = self.fetch.resolve(remote, from)? {
            let Fetched { url, sha256 } = fetched;
            return Ok(Source { url: url.text.clone(), sha256, mark: "", fetched: Some(url) });
        }
        Ok(match (&self.module, &self.sha256) {
            (Some(url), Some(sha256)) => {
                Source { url: url.clone(), sha256: sha256.clone(), mark: "", fetched: None }
            }
            // A checksum that nothing has: whoever forgets to replace it is told so by the host.
            _ => Source {
                url: "oci://registry.example/portcullis-filter:latest".to_owned(),
                sha256: "0".repeat(64),
                mark: " # <-",
                fetched: None,
            },
        })
    }
}

/// Where a module is, and its checksum; marked when nobody has given them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Source {
    pub(super) url: String,
    pub(super) sha256: String,
    pub(super) mark: &'static str,
    /// Where it is, if the control plane hands it out.
    fetched: Option<Url>,
}

impl Source {
    /// Where it is, if the control plane hands it out with TLS.
    pub(super) fn fetched_with_tls(&self) -> Option<&Url> {
        self.fetched.as_ref().filter(|url| url.tls)
    }
}

/// Where the control plane of `deploy/kubernetes` hands it out: with TLS if it has that here.
pub(super) fn in_cluster(remote: &Remote) -> String {
    let scheme = if remote.has_tls() { "https" } else { "http" };
    format!("{scheme}://{CONTROL_PLANE}:8470")
}

fn module_url(text: &str) -> Result<String, String> {
    let known = ["oci://", "https://", "http://", "file://"].iter().any(|scheme| text.starts_with(scheme));
    if known { plain(text) } else { Err("expected oci://, https:// or http://".to_owned()) }
}

fn sha256(text: &str) -> Result<String, String> {
    let hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex { Ok(text.to_ascii_lowercase()) } else { Err("expected 64 hexadecimal digits".to_owned()) }
}
