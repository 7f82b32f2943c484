//! Every path that takes a body: a valid message for it, and how its protocol says that something is wrong.

use portcullis_testbed::{ControlPlane, Issuer, Reply, Token};
use serde_json::{Value, json};

use super::SECRET;
use crate::inlets::support::{AUDIENCE, logout, now};
use crate::support::key;

const FORM: &str = "application/x-www-form-urlencoded";

/// An inlet.
pub(super) struct Inlet {
    /// Its name in the audit trail.
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) media_type: &'static str,
    pub(super) words: Words,
    /// The status of the answer to a valid message.
    pub(super) accepted: u16,
    /// A valid message, told from others by that text.
    pub(super) message: fn(&Sender<'_>, &str) -> Message,
}

pub(super) const INLETS: [Inlet; 9] = [
    Inlet {
        name: "backchannel-logout",
        path: "/inlets/backchannel-logout",
        media_type: FORM,
        words: Words::Oauth,
        accepted: 200,
        message: |sender, id| {
            Message::new(format!("logout_token={}", signed(logout(sender.issuer, id).sid("s1"))))
        },
    },
    Inlet {
        name: "global-token-revocation",
        path: "/inlets/global-token-revocation",
        media_type: "application/json",
        words: Words::Oauth,
        accepted: 204,
        message: |sender, id| {
            let token =
                sender.issuer.token().header("typ", "global-token-revocation+jwt").jti(id).sub("client-1");
            let token = signed(token.claim("aud", AUDIENCE).claim("exp", now() + 300));
            Message::new(json!({"sub_id": sender.alice()}).to_string())
                .header("authorization", format!("Bearer {token}"))
        },
    },
    Inlet {
        name: "revoke",
        path: "/inlets/revoke",
        media_type: FORM,
        words: Words::Oauth,
        accepted: 200,
        message: |sender, id| sender.with_token(sender.issuer.token().jti(id)),
    },
    Inlet {
        name: "introspect",
        path: "/inlets/introspect",
        media_type: FORM,
        words: Words::Oauth,
        accepted: 200,
        message: |sender, id| sender.with_token(sender.issuer.token().jti(id)),
    },
    Inlet {
        name: "keycloak",
        path: "/inlets/keycloak/acme/k_logout",
        media_type: "text/plain",
        words: Words::Oauth,
        accepted: 204,
        message: |sender, id| sender.keycloak(&format!("client-{id}")),
    },
    Inlet {
        name: "keycloak",
        path: "/inlets/keycloak/acme/realm/k_logout",
        media_type: "text/plain",
        words: Words::Oauth,
        accepted: 204,
        message: |sender, id| sender.keycloak(&format!("realm-{id}")),
    },
    Inlet {
        name: "ssf",
        path: "/inlets/ssf/push/idp",
        media_type: "application/secevent+jwt",
        words: Words::Set,
        accepted: 202,
        message: |sender, id| {
            let uri = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
            let token = sender.issuer.token().header("typ", "secevent+jwt").claim("aud", AUDIENCE).jti(id);
            let token = token.no_expiry().claim("events", json!({ uri: {} })).claim("sub_id", sender.alice());
            Message::new(signed(token))
        },
    },
    Inlet {
        name: "webhook",
        path: "/inlets/webhook/hook",
        media_type: "application/json",
        words: Words::Oauth,
        accepted: 204,
        message: |_, id| {
            Message::new(json!({ "user": id }).to_string()).header("authorization", SECRET.to_owned())
        },
    },
    Inlet {
        name: "scim",
        path: "/inlets/scim/v2/Users",
        media_type: "application/scim+json",
        words: Words::Scim,
        accepted: 201,
        message: |sender, id| {
            let schema = "urn:ietf:params:scim:schemas:core:2.0:User";
            let user = json!({"schemas": [schema], "userName": id, "externalId": id});
            Message::new(user.to_string()).header("authorization", format!("Bearer {}", sender.scim_key))
        },
    },
];

fn signed(token: Token) -> String {
    token.sign().unwrap()
}

/// Who may send to every inlet.
pub(super) struct Sender<'a> {
    issuer: &'a Issuer,
    admin_key: &'static str,
    pub(super) scim_key: String,
}

impl<'a> Sender<'a> {
    pub(super) async fn new(issuer: &'a Issuer, plane: &ControlPlane) -> Self {
        let scim_key = key(plane, &["revoke"], &[issuer.name()]).await;
        Self { issuer, admin_key: plane.admin_key(), scim_key }
    }

    fn alice(&self) -> Value {
        json!({"format": "iss_sub", "iss": self.issuer.name(), "sub": "alice"})
    }

    fn with_token(&self, token: Token) -> Message {
        let message = Message::new(format!("token={}", signed(token)));
        message.header("authorization", format!("Bearer {}", self.admin_key))
    }

    fn keycloak(&self, id: &str) -> Message {
        let token = self.issuer.token().without("iss").without("iat").no_expiry().claim("id", id);
        let token =
            token.claim("expiration", now() + 30).claim("resource", AUDIENCE).claim("action", "LOGOUT");
        Message::new(signed(token.claim("notBefore", now() - 10)))
    }
}

/// A request without its path and media type.
pub(super) struct Message {
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Message {
    fn new(body: String) -> Self {
        Self { headers: Vec::new(), body }
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) async fn send(self, plane: &ControlPlane, path: &str, media_type: &str) -> Reply {
        let call = plane.api().post(path).header("content-type", media_type).body(self.body);
        let call = self.headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        call.send().await.unwrap()
    }
}

/// How a protocol says that something is wrong.
#[derive(Clone, Copy)]
pub(super) enum Words {
    /// RFC 6749 section 5.2.
    Oauth,
    /// RFC 8935 section 2.3.
    Set,
    /// RFC 7644 section 3.12, which has no word for what has nothing to do with SCIM.
    Scim,
}

impl Words {
    #[track_caller]
    pub(super) fn check(self, reply: &Reply, status: u16, code: &str) {
        assert_eq!(reply.status, status, "{}", reply.text());
        let media_type = match self {
            Self::Oauth | Self::Set => "application/json",
            Self::Scim => "application/scim+json",
        };
        assert_eq!(reply.header("content-type"), Some(media_type));
        let language = matches!(self, Self::Set).then_some("en");
        assert_eq!(reply.header("content-language"), language);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        self.check_body(&reply.json().unwrap(), status, code);
    }

    #[track_caller]
    pub(super) fn check_body(self, body: &Value, status: u16, code: &str) {
        let (mut expected, text) = match self {
            Self::Oauth => (json!({ "error": code }), "error_description"),
            Self::Set => (json!({ "err": code }), "description"),
            Self::Scim => {
                let schema = "urn:ietf:params:scim:api:messages:2.0:Error";
                (json!({"schemas": [schema], "status": status.to_string()}), "detail")
            }
        };
        assert!(body[text].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        expected[text] = body[text].clone();
        assert_eq!(*body, expected);
    }
}
