//! Where a host gets the filter's module from.

use clap::Args;

use super::super::Failure;
use super::super::remote::Remote;
use super::template::{Url, url};

/// The module that the control plane hands out.
#[derive(Args, Debug, Default)]
pub(super) struct Fetch {
    /// Have the filter fetched from the control plane, which is asked for its name and checksum (--url)
    #[arg(long)]
    fetch: bool,

    /// Where that is for who fetches it, if not --url
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
    /// Asks the control plane for its current module, if that is wanted.
    pub(super) fn resolve(&self, remote: &Remote) -> Result<Option<Fetched>, Failure> {
        if !self.fetch {
            return Ok(None);
        }
        let modules = remote.client()?.filters()?.read()?.modules;
        let Some(module) = modules.into_iter().next() else {
            return Err(Failure::usage("the control plane has no filter to hand out")
                .hint("put portcullis_filter.wasm beside its binary, or name it in filter.files"));
        };
        let base = match &self.fetch_from {
            Some(url) => url.text.clone(),
            None => remote.url().to_owned(),
        };
        let url = url(&format!("{}{}", base.trim_end_matches('/'), module.path)).map_err(Failure::usage)?;
        Ok(Some(Fetched { url, sha256: module.sha256 }))
    }
}
