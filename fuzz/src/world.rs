//! A control plane at a time that stands still, whose two issuers sign what a target wants signed: one is strict, the
//! other is allowed every departure.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Mutex, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use portcullis::clock::Clock;
use portcullis::config::Config;
use portcullis::control::{Control, Effect, Message, NewRevocation, Target};
use portcullis::inlets::{Inbound, Inlets, Reading, Refused, protocol};
use portcullis::log::{DataDir, SqliteLog};
use portcullis::metrics::Metrics;
use portcullis::outbound::Outbound;
use serde_json::Value;
use tokio::runtime::Runtime;

/// The time, Unix seconds.
pub(super) const NOW: u64 = 1_700_000_000;
/// How far the issuers' clocks may differ.
pub(super) const SKEW: u64 = 60;
pub(super) const STRICT: &str = "https://strict.example";
pub(super) const LENIENT: &str = "https://lenient.example";

/// The private key of the seed 07…07 (RFC 8410), and its public half.
const PRIVATE_KEY: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const SEED: [u8; 32] = [7; 32];
const PUBLIC_KEY: &str = "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw";

const CONFIG: &str = r#"
[[issuers]]
issuer = "https://strict.example"
jwks_uri = "KEYS"
audiences = ["portcullis"]
allow_private_addresses = true

[[issuers]]
issuer = "https://lenient.example"
jwks_uri = "KEYS"
audiences = ["portcullis"]
allow_private_addresses = true
email_claim = "email"
opaque_claim = "sub"
account_claim = "upn"
logout_ends = "subject"
allow = ["missing_exp", "generic_typ", "null_sid", "set_sub", "set_exp", "subject_in_event", "untyped_subject"]

[[ssf]]
name = "strict"
transmitter = "https://strict.example"
delivery = "push"

[[ssf]]
name = "lenient"
transmitter = "https://lenient.example"
delivery = "push"
[ssf.actions]
session-revoked = "sessions"
credential-change = "cut_off"
token-claims-change = "cut_off"
device-compliance-change = "cut_off"
"#;

struct World {
    runtime: Runtime,
    inlets: Inlets,
}

/// A token with that payload, and the header that its type has.
pub(super) fn sign(typ: &str, payload: &[u8]) -> String {
    let header = format!(r#"{{"alg":"EdDSA","kid":"k","typ":"{typ}"}}"#);
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = EncodingKey::from_ed_der(&[PRIVATE_KEY.as_slice(), &SEED].concat());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::EdDSA);
    format!("{signed}.{}", signature.unwrap_or_else(|error| panic!("{error}")))
}

/// What an inlet understands of a body, twice the same; what follows from it can be foreseen or is refused.
pub(super) fn read(inlet: &str, media_type: &'static str, body: String) -> Result<Reading, Refused> {
    static WORLD: OnceLock<Mutex<World>> = OnceLock::new();
    let world = WORLD.get_or_init(|| Mutex::new(start())).lock().unwrap_or_else(PoisonError::into_inner);
    let (protocol, path) = protocol(inlet).unwrap_or_else(|| panic!("no inlet {inlet}"));
    let mut inbound = Inbound { path, body: body.into(), ..Inbound::default() };
    let value = media_type.parse().unwrap_or_else(|error| panic!("{error}"));
    inbound.headers.insert("content-type", value);
    world.runtime.block_on(async {
        let first = protocol.read(&inbound, &world.inlets).await;
        assert_eq!(first, protocol.read(&inbound, &world.inlets).await);
        let reading = first?;
        let Reading { issuer, id, signal, effects, caller } = reading.clone();
        let message =
            Message { inlet: protocol.name(), issuer, id, peer: "192.0.2.1".into(), signal, effects };
        // Whatever it says: a refusal is an answer.
        let _ = world.inlets.control().foresee(message, &caller).await;
        Ok(reading)
    })
}

/// The claims of a reading that was accepted, with what holds for every signed message.
pub(super) fn claims_of(payload: &[u8], reading: &Reading) -> Value {
    let claims: Value = serde_json::from_slice(payload).unwrap_or_else(|error| panic!("accepted: {error}"));
    assert!([STRICT, LENIENT].contains(&reading.issuer.as_str()));
    assert_eq!(claims["iss"], *reading.issuer);
    let named = |audience: &Value| *audience == "portcullis";
    assert!(named(&claims["aud"]) || claims["aud"].as_array().is_some_and(|list| list.iter().any(named)));
    let id = reading.id.as_ref().unwrap_or_else(|| panic!("no id: {claims}"));
    assert_eq!(claims["jti"], *id.text);
    let iat = claims["iat"].as_f64().unwrap_or_else(|| panic!("no iat: {claims}"));
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let (now, remembered) = (NOW as f64, id.remember_until as f64);
    assert!(iat < now + 61.0, "{claims}");
    assert!(remembered >= now, "it is forgotten before it is too old: {claims}");
    if let Some(exp) = claims.get("exp") {
        assert!(exp.as_f64().is_some_and(|exp| exp + 60.0 >= now), "{claims}");
    }
    for effect in &reading.effects {
        let effect = match effect {
            Effect::AsOf(_, effect) => effect,
            effect => effect,
        };
        let target = match effect {
            Effect::Revoke(request) | Effect::RevokeOnce(request) => target(request),
            Effect::Reinstate { target, .. } | Effect::ReinstateOwn { target, .. } => target,
            other => panic!("{other:?} follows from no signed message"),
        };
        assert_eq!(issuer_of(target), Some(reading.issuer.as_str()), "{claims}");
    }
    claims
}

pub(super) fn is_strict(reading: &Reading) -> bool {
    reading.issuer == STRICT
}

fn target(request: &NewRevocation) -> &Target {
    &request.target
}

fn issuer_of(target: &Target) -> Option<&str> {
    match target {
        Target::Session { issuer, .. }
        | Target::Subject { issuer, .. }
        | Target::Token { issuer, .. }
        | Target::Client { issuer, .. }
        | Target::Key { issuer, .. }
        | Target::Issuer { issuer } => Some(issuer),
        Target::Claims(claims) => {
            claims.iter().find(|(name, _)| name == "iss").map(|(_, value)| value.as_str())
        }
        Target::RawToken { .. } | Target::TokenSha256 { .. } => None,
    }
}

fn start() -> World {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("{error}"));
    // Left behind: it is used until the process ends.
    let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}")).keep();
    let file = dir.join("portcullis.toml");
    let text = CONFIG.replace("KEYS", &publish());
    std::fs::write(&file, text).unwrap_or_else(|error| panic!("{error}"));
    let (config, keys) = Config::load(Some(&file), []).unwrap_or_else(|error| panic!("{error}"));
    let log = DataDir::lock(&dir).map(|dir| SqliteLog::open(dir, 0));
    let log = log.and_then(|log| log).unwrap_or_else(|error| panic!("{error}"));
    let outbound = Outbound::new(None).unwrap_or_else(|error| panic!("{error}"));
    let started =
        Control::start(log, &config, keys, Clock::manual(NOW * 1_000), outbound, Metrics::default());
    let (control, _) = runtime.block_on(started).unwrap_or_else(|error| panic!("{error}"));
    let inlets = Inlets::new(control, &config.inlets, &config.streams, &config.status_lists);
    World { runtime, inlets }
}

/// Publishes the key on loopback, and says where.
fn publish() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
    let address = listener.local_addr().unwrap_or_else(|error| panic!("{error}"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4_096]);
            let keys = format!(
                r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","use":"sig","x":"{PUBLIC_KEY}"}}]}}"#
            );
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", keys.len());
            let _ = stream.write_all(format!("{head}{keys}").as_bytes());
        }
    });
    format!("http://{address}/")
}
