//! `dev`: what it takes to try Portcullis where there is neither an authority for certificates nor an identity provider.
//! Keys lie about in files: nothing of this is for more than trying.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, date_time_ymd,
};
use serde_json::json;

use super::Failure;
use super::exit::Exit;
use super::output::Output;

/// The issuer of the tokens; nothing has to be there.
const ISSUER: &str = "https://idp.test";
const KID: &str = "dev";
/// How long certificates are good.
const DAYS: u64 = 30;
/// How long a token is, in seconds.
const TOKEN: u64 = 3_600;

/// Arguments of `dev`.
#[derive(Args, Debug)]
pub(super) struct Dev {
    #[command(subcommand)]
    verb: DevVerb,
}

#[derive(Debug, Subcommand)]
enum DevVerb {
    /// Make certificates for the control plane and an edge, an issuer's key, and a configuration, to try it all out
    ///
    /// portcullis.toml has TLS on both ports, edges by certificate, and the issuer https://idp.test; edge/ has the
    /// edge's certificate and the authority to trust, jwks.json the issuer's key for `config envoy --jwks`; env, for a
    /// shell to read, has an admin key, and a token of the session s1.
    Init(Init),
    /// Print a token of that issuer
    Token(Token),
}

#[derive(Args, Debug)]
struct Init {
    /// The directory, which is made
    dir: PathBuf,

    /// The control plane's name in its certificate
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    name: String,

    /// The edge's name in its certificate
    #[arg(long, value_name = "NAME", default_value = "edge-1")]
    edge: String,
}

#[derive(Args, Debug)]
struct Token {
    /// The directory of `dev init`
    dir: PathBuf,

    /// The login session
    #[arg(long)]
    sid: Option<String>,

    /// The user
    #[arg(long, default_value = "alice")]
    sub: String,
}

impl Dev {
    pub(super) fn run(&self, out: &Output) -> Result<(), Failure> {
        match &self.verb {
            DevVerb::Init(init) => init.run(out),
            DevVerb::Token(token) => token.run(out),
        }
    }
}

impl Init {
    fn run(&self, out: &Output) -> Result<(), Failure> {
        let edge = self.dir.join("edge");
        if self.dir.exists() {
            let why = format!("{} is there already", self.dir.display());
            return Err(Failure::usage(why).hint("name a new directory: nothing is overwritten"));
        }
        fs::create_dir_all(&edge).map_err(|error| cannot(&edge, &error))?;
        let ca_key = KeyPair::generate().map_err(|error| failed(&error))?;
        let ca = authority();
        let ca_pem = ca.self_signed(&ca_key).map_err(|error| failed(&error))?.pem();
        let ca = Issuer::new(ca, ca_key);
        for (dir, name) in [(&self.dir, &self.name), (&edge, &self.edge)] {
            let key = KeyPair::generate().map_err(|error| failed(&error))?;
            let certificate = leaf(name)?.signed_by(&key, &ca).map_err(|error| failed(&error))?;
            write(&dir.join("tls.crt"), &certificate.pem(), false)?;
            write(&dir.join("tls.key"), &key.serialize_pem(), true)?;
            write(&dir.join("ca.crt"), &ca_pem, false)?;
        }
        let signer = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|error| failed(&error))?;
        write(&self.dir.join("issuer.key"), &signer.serialize_pem(), true)?;
        write(&self.dir.join("jwks.json"), &jwks(&signer), false)?;
        let config = CONFIG.replace("DIR", &absolute(&self.dir)?).replace("ISSUER", ISSUER);
        write(&self.dir.join("portcullis.toml"), &config, false)?;
        write(&self.dir.join("env"), &self.env()?, true)?;
        out.line(format!(
            "{}: certificates for {} and {}, an issuer, portcullis.toml, and env for the shell",
            self.dir.display(),
            self.name,
            self.edge
        ))
    }

    /// What `serve` and the other commands read from the environment, and a token to send.
    fn env(&self) -> Result<String, Failure> {
        let key = random()?;
        let variables = [
            ("PORTCULLIS_ADMIN_KEY", key.clone()),
            ("PORTCULLIS_KEY", key),
            ("PORTCULLIS_URL", format!("https://{}:8470", self.name)),
            ("PORTCULLIS_CA_FILE", format!("{}/ca.crt", absolute(&self.dir)?)),
            ("TOKEN", token(&self.dir, "alice", Some("s1"))?),
        ];
        let export =
            |(name, value): (&str, String)| format!("export {name}='{}'\n", value.replace('\'', r"'\''"));
        Ok(variables.into_iter().map(export).collect())
    }
}

/// Paths that hold wherever `serve` is started.
const CONFIG: &str = r#"# Made by `portcullis dev init`, for trying out.
data_dir = "DIR/data"

[tls]
certificate_file = "DIR/tls.crt"
key_file = "DIR/tls.key"
edge_ca_file = "DIR/ca.crt"

[[issuers]]
issuer = "ISSUER"
"#;

impl Token {
    fn run(&self, out: &Output) -> Result<(), Failure> {
        out.line(token(&self.dir, &self.sub, self.sid.as_deref())?)
    }
}

/// A token of the issuer whose key is in that directory.
fn token(dir: &Path, sub: &str, sid: Option<&str>) -> Result<String, Failure> {
    let path = dir.join("issuer.key");
    let pem = fs::read(&path)
        .map_err(|error| cannot(&path, &error).hint("`portcullis dev init DIR` makes such a directory"))?;
    let key = EncodingKey::from_ec_pem(&pem).map_err(|error| failed(&error))?;
    let now = unix_seconds();
    let mut claims = json!({ "iss": ISSUER, "sub": sub, "jti": random()?, "iat": now, "exp": now + TOKEN });
    if let (Some(sid), Some(claims)) = (sid, claims.as_object_mut()) {
        claims.insert("sid".into(), json!(sid));
    }
    let header = Header { kid: Some(KID.into()), ..Header::new(Algorithm::ES256) };
    jsonwebtoken::encode(&header, &claims, &key).map_err(|error| failed(&error))
}

/// Nobody guesses it.
fn random() -> Result<String, Failure> {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes).map_err(|error| failed(&error))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Portcullis, for trying out");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    valid(params)
}

/// Good for both ends of a connection.
fn leaf(name: &str) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new([name.to_owned()])
        .map_err(|error| Failure::usage(format!("`{name}` cannot be the name of a certificate: {error}")))?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(valid(params))
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn valid(mut params: CertificateParams) -> CertificateParams {
    let (now, epoch) = (unix_seconds(), date_time_ymd(1970, 1, 1));
    // Clocks of other machines may be behind.
    params.not_before = epoch + Duration::from_secs(now.saturating_sub(3_600));
    params.not_after = epoch + Duration::from_secs(now + DAYS * 86_400);
    params
}

fn jwks(signer: &KeyPair) -> String {
    // Uncompressed: 4, then both coordinates.
    let public = signer.der_bytes();
    let (x, y) = public.get(1..).unwrap_or_default().split_at(public.len() / 2);
    let [x, y] = [x, y].map(|number| URL_SAFE_NO_PAD.encode(number));
    let key = json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KID, "x": x, "y": y});
    json!({ "keys": [key] }).to_string()
}

fn absolute(dir: &Path) -> Result<String, Failure> {
    let path = fs::canonicalize(dir).map_err(|error| cannot(dir, &error))?;
    let text = path.to_string_lossy();
    if text.contains(['"', '\\']) || text.chars().any(char::is_control) {
        return Err(Failure::usage(format!(
            "{text} cannot stand in a configuration: choose another directory"
        )));
    }
    Ok(text.into_owned())
}

/// Nobody else may read a secret, from the first byte on.
fn write(path: &Path, text: &str, secret: bool) -> Result<(), Failure> {
    use std::io::Write as _;

    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if secret { 0o600 } else { 0o644 });
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {error}", path.display()))
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}
