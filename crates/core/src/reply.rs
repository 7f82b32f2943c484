//! What a rejection looks like to the client.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::policy::Policy;
use crate::verdict::Code;

/// What the client asked, as far as it decides how it is told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Asked {
    /// `content-type` is gRPC's.
    pub grpc: bool,
    /// A GET or HEAD that accepts `text/html`: a browser that can follow a redirect.
    pub page: bool,
}

/// A reply in place of the upstream's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header names and values.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// Body.
    pub body: String,
    /// `grpc-status`, which Envoy uses instead of the status when the request is a gRPC call.
    pub grpc_status: u8,
    /// Response code details, for the access log.
    pub details: String,
}

/// The text that the access log finds in the response code details and in the filter state.
#[must_use]
pub fn details(code: Code) -> String {
    format!("portcullis_{}", code.name())
}

/// The value of `x-portcullis` in mode `mark`.
#[must_use]
pub fn mark(code: Code) -> String {
    match code {
        Code::Revoked(kind) => format!("revoked; kind={}", kind.name()),
        other => format!("rejected; code={}", other.name()),
    }
}

/// The reply to a rejected request: RFC 6750 section 3 for HTTP, a trailers-only status for gRPC, a redirect
/// for browsers where the policy has one.
#[must_use]
pub fn reject(policy: &Policy, code: Code, asked: Asked) -> Reply {
    let details = details(code);
    let unavailable = code.is_unavailable();
    // 16 is UNAUTHENTICATED, 14 UNAVAILABLE.
    let grpc_status = if unavailable { 14 } else { 16 };
    let status = if unavailable { policy.reject.unavailable_status } else { policy.reject.status };
    if asked.grpc {
        // The body becomes grpc-message.
        let body = format!("{}: {}", code.name(), description(code));
        return Reply { status, headers: Vec::new(), body, grpc_status, details };
    }
    if let Some(url) = policy.reject.redirect.as_ref().filter(|_| asked.page && !unavailable) {
        let headers =
            vec![("location", Cow::Owned(url.clone())), ("cache-control", Cow::Borrowed("no-store"))];
        return Reply { status: 302, headers, body: String::new(), grpc_status, details };
    }
    let mut headers = vec![("cache-control", Cow::Borrowed("no-store"))];
    if status == 401 {
        headers.push(("www-authenticate", challenge(code)));
    }
    if unavailable {
        headers.push(("retry-after", Cow::Borrowed("1")));
    }
    let body = match &policy.reject.body {
        Some(body) => body.clone(),
        None => {
            headers.push(("content-type", Cow::Borrowed("application/json")));
            let (name, description) = (code.name(), description(code));
            let error = if unavailable { "temporarily_unavailable" } else { "invalid_token" };
            format!("{{\"error\":\"{error}\",\"code\":\"{name}\",\"message\":\"{description}\"}}\n")
        }
    };
    Reply { status, headers, body, grpc_status, details }
}

/// RFC 6750 section 3: no error code for a request without a token; nor where the token is not at fault, or
/// clients would throw good ones away.
fn challenge(code: Code) -> Cow<'static, str> {
    match code {
        Code::Missing | Code::NotSynced | Code::Stale => Cow::Borrowed("Bearer"),
        other => {
            let description = description(other);
            Cow::Owned(format!("Bearer error=\"invalid_token\", error_description=\"{description}\""))
        }
    }
}

fn description(code: Code) -> &'static str {
    use crate::field::Kind;
    match code {
        Code::Revoked(Kind::Session) => "The session has been revoked",
        Code::Revoked(Kind::Subject) => "The user's access has been revoked",
        Code::Revoked(Kind::Token) => "The token has been revoked",
        Code::Revoked(Kind::Client) => "The client's access has been revoked",
        Code::Revoked(Kind::Issuer) => "Tokens of this issuer have been revoked",
        Code::Revoked(Kind::Key) => "Tokens signed with this key have been revoked",
        Code::Revoked(Kind::Claims) => "Tokens with these claims have been revoked",
        Code::Malformed => "The token cannot be read or is ambiguous",
        Code::Missing => "A token is required",
        Code::NotSynced => "Revocations are not known yet, try again",
        Code::Stale => "Revocations are out of date, try again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Kind;

    const SESSION: Code = Code::Revoked(Kind::Session);

    fn policy(reject: &str) -> Policy {
        Policy::parse(format!(r#"{{"control_plane":{{"cluster":"c"}},"reject":{reject}}}"#).as_bytes())
            .unwrap()
    }

    fn header(reply: &Reply, name: &str) -> Option<String> {
        reply.headers.iter().find(|(one, _)| *one == name).map(|(_, value)| value.clone().into_owned())
    }

    #[test]
    fn a_rejected_token_gets_rfc_6750() {
        let reply = reject(&policy("{}"), SESSION, Asked::default());
        assert_eq!((reply.status, reply.grpc_status), (401, 16));
        let challenge = r#"Bearer error="invalid_token", error_description="The session has been revoked""#;
        assert_eq!(header(&reply, "www-authenticate").as_deref(), Some(challenge));
        assert_eq!(header(&reply, "content-type").as_deref(), Some("application/json"));
        let json = crate::json::Json::parse(reply.body.as_bytes()).unwrap();
        assert_eq!(json.get("code").and_then(crate::json::Json::as_text), Some("session_revoked"));
        assert_eq!(reply.details, "portcullis_session_revoked");
    }

    #[test]
    fn a_missing_token_gets_a_challenge_without_an_error() {
        let reply = reject(&policy("{}"), Code::Missing, Asked::default());
        assert_eq!(header(&reply, "www-authenticate").as_deref(), Some("Bearer"));
    }

    #[test]
    fn every_body_is_json() {
        for code in Code::ALL {
            let reply = reject(&policy("{}"), code, Asked::default());
            assert!(crate::json::Json::parse(reply.body.as_bytes()).is_ok(), "{}", reply.body);
        }
    }

    #[test]
    fn grpc_gets_a_status_and_a_plain_message() {
        let asked = Asked { grpc: true, page: true };
        let policy = policy(r#"{"redirect":"https://login.example/"}"#);
        let reply = reject(&policy, SESSION, asked);
        assert_eq!((reply.grpc_status, reply.headers.as_slice()), (16, &[][..]));
        assert_eq!(reply.body, "session_revoked: The session has been revoked");
        assert_eq!(reject(&policy, Code::NotSynced, asked).grpc_status, 14);
    }

    #[test]
    fn browsers_are_redirected_when_the_token_is_at_fault() {
        let policy = policy(r#"{"redirect":"https://login.example/","status":403,"body":"no"}"#);
        let page = Asked { page: true, grpc: false };
        let reply = reject(&policy, SESSION, page);
        assert_eq!(
            (reply.status, header(&reply, "location").as_deref()),
            (302, Some("https://login.example/"))
        );
        assert_eq!(reject(&policy, Code::Stale, page).status, 403);
        let reply = reject(&policy, SESSION, Asked::default());
        assert_eq!((reply.status, reply.body.as_str()), (403, "no"));
        assert_eq!(header(&reply, "www-authenticate"), None);
    }

    #[test]
    fn an_edge_that_cannot_decide_asks_to_try_again() {
        let reply = reject(&policy(r#"{"unavailable_status":503}"#), Code::NotSynced, Asked::default());
        assert_eq!((reply.status, header(&reply, "retry-after").as_deref()), (503, Some("1")));
        let reply = reject(&policy("{}"), Code::NotSynced, Asked::default());
        assert_eq!((reply.status, header(&reply, "www-authenticate").as_deref()), (401, Some("Bearer")));
        assert!(reply.body.contains("temporarily_unavailable"), "{}", reply.body);
    }

    #[test]
    fn the_mark_names_the_kind() {
        assert_eq!(mark(SESSION), "revoked; kind=session");
        assert_eq!(mark(Code::Malformed), "rejected; code=token_malformed");
    }
}
