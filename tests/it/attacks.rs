//! Requests that carry one token and are meant to be read as if they carried another, or none. The harness and
//! real Envoy behind jwt_authn are sent the same.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

/// A request: its headers beside those that every request has.
#[derive(Clone, Debug)]
pub(crate) struct Attack {
    pub(crate) name: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// Signs a header and a payload as they are.
pub(crate) type Sign<'a> = &'a dyn Fn(&str, &str) -> String;

/// Who attacks: the `iss` and `kid` of tokens that a verifier accepts, and until when.
#[derive(Clone, Copy)]
pub(crate) struct Attacker<'a> {
    pub(crate) sign: Sign<'a>,
    pub(crate) issuer: &'a str,
    pub(crate) kid: &'a str,
    pub(crate) expires_at: u64,
}

impl Attacker<'_> {
    fn header(&self) -> String {
        json!({"alg": "RS256", "kid": self.kid}).to_string()
    }

    /// A payload with these members after the usual ones, as text, so that it may be odd.
    fn payload(&self, rest: &str) -> String {
        let (issuer, expires_at) = (self.issuer, self.expires_at);
        format!(r#"{{"iss":"{issuer}","exp":{expires_at}{rest}}}"#)
    }

    /// An ordinary token of a session.
    pub(crate) fn session(&self, sid: &str) -> String {
        (self.sign)(&self.header(), &self.payload(&format!(r#","sub":"user-{sid}","sid":"{sid}""#)))
    }

    /// A token of a user with that text for an `iat`.
    pub(crate) fn issued(&self, sub: &str, iat: &str) -> String {
        (self.sign)(&self.header(), &self.payload(&format!(r#","sub":"{sub}","iat":{iat}"#)))
    }

    /// Every way to present a token of the session `sid` that somebody might take for one; `decoy` is the session
    /// of a token that stands beside it in some.
    pub(crate) fn attacks(&self, sid: &str, decoy: &str) -> Vec<Attack> {
        let mut attacks = self.dressed(sid, decoy);
        attacks.extend(self.payloads(sid, decoy));
        attacks.extend(self.headers(sid));
        attacks
    }

    fn dressed(&self, sid: &str, decoy: &str) -> Vec<Attack> {
        let (token, other) = (self.session(sid), self.session(decoy));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, payload) = signed.split_once('.').unwrap();
        let values = [
            ("plain", format!("Bearer {token}")),
            ("lower case", format!("bearer {token}")),
            ("upper case", format!("BEARER {token}")),
            ("two spaces", format!("Bearer  {token}")),
            ("a tab", format!("Bearer\t{token}")),
            ("a space and a tab", format!("Bearer \t{token}")),
            ("white space around", format!("  Bearer {token}  ")),
            ("no space", format!("Bearer{token}")),
            ("another scheme before", format!("Basic YTpi Bearer {token}")),
            ("another scheme before, joined", format!("DPoP x,Bearer {token}")),
            ("glued to a word", format!("fooBearer {token}")),
            ("the scheme twice", format!("Bearer Bearer {token}")),
            ("a comma before", format!("Bearer ,{token}")),
            ("a semicolon before", format!("Bearer ;{token}")),
            ("a plus before", format!("Bearer +{token}")),
            ("a tilde before", format!("Bearer ~{token}")),
            ("a slash before", format!("Bearer /{token}")),
            ("an equals sign before", format!("Bearer ={token}")),
            ("many of them before", format!("Bearer +/~=+{token}")),
            ("quotes", format!("Bearer \"{token}\"")),
            ("padding", format!("Bearer {token}==")),
            ("a part after padding", format!("Bearer {token}=.x")),
            ("two parts after padding", format!("Bearer {token}=.x.y")),
            ("a part after a tilde", format!("Bearer {token}~.x")),
            ("a part after a slash", format!("Bearer {token}/.x")),
            ("a part after a plus", format!("Bearer {token}+.x")),
            ("a tilde at the end", format!("Bearer {token}~")),
            ("another token after a space", format!("Bearer {token} {other}")),
            ("another token after a comma", format!("Bearer {token},{other}")),
            ("another token before", format!("Bearer {other},{token}")),
            ("another bearer after", format!("Bearer {token}, Bearer {other}")),
            ("another bearer before", format!("Bearer {other}, Bearer {token}")),
            ("a parameter after", format!("Bearer {token}; realm=x")),
            ("four parts", format!("Bearer {token}.x")),
            ("five parts", format!("Bearer {token}.x.y")),
            ("an empty part after", format!("Bearer {token}.")),
            ("an empty part before", format!("Bearer .{token}")),
            ("empty parts between", format!("Bearer {}", token.replace('.', ".."))),
            ("a plus before and an empty part after", format!("Bearer +{token}.")),
            ("no signature", format!("Bearer {signed}.")),
            ("two parts", format!("Bearer {signed}")),
            ("padded header", format!("Bearer {header}=.{payload}.{signature}")),
            ("padded payload", format!("Bearer {header}.{payload}=.{signature}")),
            ("a signature with other last bits", format!("Bearer {signed}.{}", other_last_bits(signature))),
            ("a percent escape", format!("Bearer {}", token.replacen('.', "%2E", 1))),
        ];
        let mut attacks: Vec<Attack> = values
            .into_iter()
            .map(|(name, value)| Attack { name: name.into(), headers: vec![("authorization", value)] })
            .collect();
        let two = [
            ("another token in a header before", [format!("Bearer {other}"), format!("Bearer {token}")]),
            ("another token in a header after", [format!("Bearer {token}"), format!("Bearer {other}")]),
            ("another scheme in a header before", ["Basic YTpi".into(), format!("Bearer {token}")]),
            ("an empty header before", [String::new(), format!("Bearer {token}")]),
            ("the same header twice", [format!("Bearer {token}"), format!("Bearer {token}")]),
        ];
        attacks.extend(two.into_iter().map(|(name, values)| Attack {
            name: name.into(),
            headers: values.into_iter().map(|value| ("authorization", value)).collect(),
        }));
        attacks
    }

    fn payloads(&self, sid: &str, decoy: &str) -> Vec<Attack> {
        let escaped: String = sid.bytes().map(|byte| format!(r"\u{byte:04x}")).collect();
        let many: Vec<String> = (0..3_000).map(|n| format!(r#""g{n}""#)).collect();
        let plain = self.payload(&format!(r#","sid":"{sid}""#));
        let payloads = [
            (
                "a claim twice, the revoked one last",
                self.payload(&format!(r#","sid":"{decoy}","sid":"{sid}""#)),
            ),
            (
                "a claim twice, the revoked one first",
                self.payload(&format!(r#","sid":"{sid}","sid":"{decoy}""#)),
            ),
            ("a claim twice, once escaped", self.payload(&format!(r#","sid":"{decoy}","\u0073id":"{sid}""#))),
            ("an escaped name", self.payload(&format!(r#","\u0073\u0069d":"{sid}""#))),
            ("an escaped value", self.payload(&format!(r#","sid":"{escaped}""#))),
            ("an escaped slash in iss", plain.replace('/', r"\/")),
            ("a list of one", self.payload(&format!(r#","sid":["{sid}"]"#))),
            ("a list of thousands", self.payload(&format!(r#","sid":[{},"{sid}"]"#, many.join(",")))),
            (
                "thousands of other values",
                self.payload(&format!(r#","groups":[{}],"sid":"{sid}""#, many.join(","))),
            ),
            ("white space", plain.replace("\":", "\" : ").replace(",\"", " ,\n\t\"")),
            ("a byte order mark", format!("\u{feff}{plain}")),
            ("data after it", format!("{plain}x")),
            ("another object after it", format!("{plain}{{}}")),
            ("NUL after it", format!("{plain}\0")),
            ("NUL in a claim", self.payload(&format!(r#","sid":"{sid}","x":"a\u0000b""#))),
            ("a comment", plain.replacen('{', "{/* */", 1)),
            ("a comma too many", plain.replace('}', ",}")),
            ("single quotes", plain.replace('"', "'")),
            ("a name without quotes", plain.replace(r#""sid""#, "sid")),
            ("a list as the payload", format!("[{plain}]")),
            (
                "nested deeply",
                self.payload(&format!(r#","sid":"{sid}","x":{}{}"#, "[".repeat(40), "]".repeat(40))),
            ),
            ("nested too deeply", self.payload(&format!(r#","sid":"{sid}","x":{}"#, "[".repeat(9_000)))),
            ("a huge number", self.payload(&format!(r#","sid":"{sid}","iat":1e308"#))),
            ("a number beyond all", self.payload(&format!(r#","sid":"{sid}","iat":1e999"#))),
            ("a lone surrogate", self.payload(&format!(r#","sid":"{sid}","x":"\ud800""#))),
            ("proto", self.payload(&format!(r#","__proto__":{{"sid":"{decoy}"}},"sid":"{sid}""#))),
        ];
        let bearer = |payload: &str| format!("Bearer {}", (self.sign)(&self.header(), payload));
        payloads
            .iter()
            .map(|(name, payload)| Attack {
                name: format!("payload: {name}"),
                headers: vec![("authorization", bearer(payload))],
            })
            .collect()
    }

    fn headers(&self, sid: &str) -> Vec<Attack> {
        let kid = self.kid;
        let headers = [
            ("no kid", r#"{"alg":"RS256"}"#.into()),
            ("a kid that is a number", r#"{"alg":"RS256","kid":1}"#.into()),
            ("a kid that is null", r#"{"alg":"RS256","kid":null}"#.into()),
            ("an empty kid", r#"{"alg":"RS256","kid":""}"#.into()),
            ("a kid that is a path", r#"{"alg":"RS256","kid":"../../dev/null"}"#.into()),
            ("two kids", format!(r#"{{"alg":"RS256","kid":"x","kid":"{kid}"}}"#)),
            ("an escaped kid", format!(r#"{{"alg":"RS256","\u006bid":"{kid}"}}"#)),
            ("no algorithm", format!(r#"{{"alg":"none","kid":"{kid}"}}"#)),
            ("two algorithms", format!(r#"{{"alg":"none","alg":"RS256","kid":"{kid}"}}"#)),
            ("critical", format!(r#"{{"alg":"RS256","kid":"{kid}","crit":["b64"],"b64":false}}"#)),
            ("a type", format!(r#"{{"typ":"JWE","cty":"JWT","alg":"RS256","kid":"{kid}"}}"#)),
            ("white space before", format!("\n {{\"alg\":\"RS256\",\"kid\":\"{kid}\"}}")),
            ("a byte order mark", format!("\u{feff}{{\"alg\":\"RS256\",\"kid\":\"{kid}\"}}")),
            ("data after it", format!("{{\"alg\":\"RS256\",\"kid\":\"{kid}\"}} x")),
            ("a list", format!(r#"[{{"alg":"RS256","kid":"{kid}"}}]"#)),
        ];
        let payload = self.payload(&format!(r#","sid":"{sid}""#));
        let attack = |(name, header): (&str, String)| Attack {
            name: format!("header: {name}"),
            headers: vec![("authorization", format!("Bearer {}", (self.sign)(&header, &payload)))],
        };
        headers.into_iter().map(attack).collect()
    }
}

/// The same bytes to a reader that does not look at the bits that are left over.
fn other_last_bits(signature: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (first, last) = signature.split_at(signature.len() - 1);
    let value = ALPHABET.iter().position(|symbol| symbol == &last.as_bytes()[0]).unwrap();
    format!("{first}{}", char::from(ALPHABET[value ^ 1]))
}

/// A header and a payload with a signature that nobody verifies.
pub(crate) fn unsigned(header: &str, payload: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", encode(header), encode(payload), encode("signature"))
}
