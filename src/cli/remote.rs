//! Which control plane, and with which key.

use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::api::model::Secret;
use crate::client::Client;

/// What all verbs that call the control plane share.
#[derive(Args)]
#[command(next_help_heading = "Control plane")]
pub(super) struct Remote {
    /// Where it listens
    #[arg(long, global = true, env = "PORTCULLIS_URL", default_value = "http://127.0.0.1:8470")]
    url: String,

    /// The API key; better in the environment than on a command line that others can see
    #[arg(long, global = true, env = "PORTCULLIS_KEY", hide_env_values = true)]
    key: Option<String>,

    /// A file with the API key; goes before --key
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Certificate authorities to trust for https, in PEM, instead of the public ones
    #[arg(long, global = true, env = "PORTCULLIS_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Print exactly the JSON that the control plane answered
    #[arg(long, global = true)]
    pub json: bool,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Remote {
    /// Where it listens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is reached with TLS.
    pub(super) fn has_tls(&self) -> bool {
        self.url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
    }

    /// A client of it.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let key = match &self.key_file {
            Some(path) => Some(read(path, "the key")?),
            None => self.key.as_ref().map(|key| key.clone().into_bytes()),
        };
        let key = key.map(as_key).transpose()?;
        let ca_pem =
            self.ca_file.as_ref().map(|path| read(path, "the certificate authorities")).transpose()?;
        Ok(Client::new(&self.url, key, ca_pem.as_deref())?)
    }
}

fn read(path: &PathBuf, what: &str) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .map_err(|error| Failure::usage(format!("cannot read {what} from {}: {error}", path.display())))
}

fn as_key(text: Vec<u8>) -> Result<Secret, Failure> {
    let text = String::from_utf8(text).unwrap_or_default().trim().to_owned();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::usage("that is not an API key: expected one line of visible ASCII characters")
            .hint(
                "`portcullis serve` prints the first key when it starts; `portcullis key create` makes more",
            ));
    }
    Ok(Secret(text))
}
