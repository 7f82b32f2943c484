//! An issuer that publishes a status list, and a control plane that asks for it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miniz_oxide::deflate::compress_to_vec_zlib;
use portcullis_testbed::{ControlPlane, ControlPlaneSetup, Issuer, Token};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::inlets::support::{SETTINGS, rejected_as};
use crate::support::setup;

const MEDIA_TYPE: &str = "application/statuslist+jwt";

/// Where a list is published.
#[derive(Clone)]
pub(crate) struct Shelf(Arc<Shared>);

struct Shared {
    answer: Mutex<Answer>,
    fetched: watch::Sender<usize>,
    /// `Accept` of the last question.
    accept: Mutex<String>,
}

#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Shelf {
    /// An issuer with an empty shelf.
    pub(crate) async fn start() -> (Issuer, Self) {
        let answer = Answer { status: 404, headers: Vec::new(), body: String::new() };
        let shared =
            Shared { answer: Mutex::new(answer), fetched: watch::Sender::new(0), accept: Mutex::default() };
        let this = Self(Arc::new(shared));
        let router = Router::new().route("/lists/1", get(serve)).with_state(this.clone());
        (Issuer::start_with(router).await.unwrap(), this)
    }

    pub(super) fn put(&self, answer: Answer) {
        *self.0.answer.lock().unwrap() = answer;
    }

    /// Publishes a token in the place of the one before, and waits until who asks for it has acted on it: it asks
    /// again only then.
    pub(crate) async fn publish(&self, token: Token) {
        self.put(answer(token));
        self.asked_twice().await;
    }

    /// Waits until the list was asked for twice from now on: what was answered the first time has been acted on.
    pub(super) async fn asked_twice(&self) {
        let mut fetched = self.0.fetched.subscribe();
        let enough = *fetched.borrow_and_update() + 2;
        let asked = fetched.wait_for(|count| *count >= enough);
        tokio::time::timeout(std::time::Duration::from_secs(60), asked).await.unwrap().unwrap();
    }

    /// What it was last asked for.
    pub(super) fn accepted(&self) -> String {
        self.0.accept.lock().unwrap().clone()
    }

    pub(super) fn fetched(&self) -> usize {
        *self.0.fetched.borrow()
    }
}

async fn serve(State(shelf): State<Shelf>, headers: HeaderMap) -> Response {
    *shelf.0.accept.lock().unwrap() = headers["accept"].to_str().unwrap().to_owned();
    let Answer { status, headers, body } = shelf.0.answer.lock().unwrap().clone();
    shelf.0.fetched.send_modify(|count| *count += 1);
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

/// The answer with a token.
pub(super) fn answer(token: Token) -> Answer {
    let headers = vec![("content-type", MEDIA_TYPE.to_owned())];
    Answer { status: 200, headers, body: token.sign().unwrap() }
}

/// Where the list of an issuer is.
pub(crate) fn uri(issuer: &Issuer) -> String {
    format!("{}/lists/1", issuer.name())
}

/// A valid token with these statuses of two bits each, to be spoilt.
pub(crate) fn token(issuer: &Issuer, statuses: &[u8]) -> Token {
    let bytes: Vec<u8> =
        statuses.chunks(4).map(|four| four.iter().rev().fold(0, |byte, status| byte << 2 | status)).collect();
    let token = issuer.token().header("typ", "statuslist+jwt").without("iss").claim("sub", uri(issuer));
    token.claim("ttl", 3_600).claim("status_list", json!({"bits": 2, "lst": lst(&bytes)}))
}

pub(super) fn lst(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(compress_to_vec_zlib(bytes, 6))
}

/// The lines of the list, with lines of its own.
pub(crate) fn config(issuer: &Issuer, lines: &str) -> String {
    let (uri, issuer) = (uri(issuer), issuer.name());
    format!("[[status_lists]]\nuri = \"{uri}\"\nissuer = \"{issuer}\"\npoll_interval = \"20ms\"\n{lines}\n")
}

pub(super) fn plane_of(issuer: &Issuer, settings: &str, lines: &str) -> ControlPlaneSetup {
    setup().issuer(issuer, &format!("{SETTINGS}\n{settings}")).config(&config(issuer, lines))
}

/// An issuer whose list is published, and a control plane that has it in force.
pub(super) async fn stage(statuses: &[u8]) -> (Issuer, Shelf, ControlPlane) {
    let (issuer, shelf) = Shelf::start().await;
    shelf.put(answer(token(&issuer, statuses)));
    let plane = plane_of(&issuer, "", "").start().await.unwrap();
    shelf.asked_twice().await;
    (issuer, shelf, plane)
}

/// The claims of a token that is at that index of the list.
pub(super) fn claims(issuer: &Issuer, index: usize) -> Value {
    json!({"iss": issuer.name(), "sub": "alice", "status": {"status_list": {"idx": index, "uri": uri(issuer)}}})
}

/// The indices below so many whose tokens are rejected.
pub(super) async fn rejected(plane: &ControlPlane, issuer: &Issuer, below: usize) -> Vec<usize> {
    let mut rejected = Vec::new();
    for index in 0..below {
        if rejected_as(plane, claims(issuer, index)).await.as_deref() == Some("claims_revoked") {
            rejected.push(index);
        }
    }
    rejected
}
