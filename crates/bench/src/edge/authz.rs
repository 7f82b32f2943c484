//! What ext_authz asks: a gRPC service that knows the revoked sessions, or asks Redis for them.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use hyper::http;
use prost::Message;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::redis::Redis;

/// The parts that are needed of `envoy.service.auth.v3.CheckRequest`.
#[derive(Clone, Message)]
pub(crate) struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<Attributes>,
}

#[derive(Clone, Message)]
struct Attributes {
    #[prost(message, optional, tag = "4")]
    request: Option<Asked>,
}

#[derive(Clone, Message)]
struct Asked {
    #[prost(message, optional, tag = "2")]
    http: Option<Http>,
}

#[derive(Clone, Message)]
struct Http {
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
}

/// The parts that are needed of `envoy.service.auth.v3.CheckResponse`.
#[derive(Clone, Message)]
pub(crate) struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Outcome>,
    #[prost(message, optional, tag = "2")]
    denied: Option<Denied>,
}

#[derive(Clone, Message)]
struct Outcome {
    /// Of google.rpc.Code.
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, Message)]
struct Denied {
    #[prost(message, optional, tag = "1")]
    status: Option<HttpStatus>,
}

#[derive(Clone, Message)]
struct HttpStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}

/// Where the revoked sessions are.
#[derive(Clone, Debug)]
pub(crate) enum Revoked {
    Here(Arc<HashSet<String>>),
    Redis(Redis),
}

/// A service on a free port of loopback, gone when dropped.
#[derive(Debug)]
pub(crate) struct Authz {
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Authz {
    pub(crate) async fn start(revoked: Revoked) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
        let address = listener.local_addr()?;
        let server = Server::builder().add_service(Authorization { revoked });
        let serving = tokio::spawn(async move {
            // Without it Envoy's answers fail, and nothing is measured.
            let _ = server.serve_with_incoming(TcpListenerStream::new(listener)).await;
        });
        Ok(Self { address, serving })
    }
}

impl Drop for Authz {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// `envoy.service.auth.v3.Authorization` with its only method.
#[derive(Clone, Debug)]
struct Authorization {
    revoked: Revoked,
}

impl NamedService for Authorization {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl Service<http::Request<Body>> for Authorization {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    // Whatever is called is Check: nobody but our Envoy calls.
    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let check = Check(self.revoked.clone());
        Box::pin(async move {
            let codec = ProstCodec::<CheckResponse, CheckRequest>::default();
            Ok(Grpc::new(codec).unary(check, request).await)
        })
    }
}

struct Check(Revoked);

impl UnaryService<CheckRequest> for Check {
    type Response = CheckResponse;
    type Future = BoxFuture<'static, Result<Response<CheckResponse>, Status>>;

    fn call(&mut self, request: Request<CheckRequest>) -> Self::Future {
        let revoked = self.0.clone();
        Box::pin(async move {
            let sid = session(request.get_ref()).ok_or_else(|| Status::invalid_argument("no session"))?;
            let revoked = match revoked {
                Revoked::Here(sessions) => sessions.contains(&sid),
                Revoked::Redis(redis) => redis.has(sid).await.map_err(|_| Status::unavailable("no Redis"))?,
            };
            Ok(Response::new(answer(revoked)))
        })
    }
}

fn answer(revoked: bool) -> CheckResponse {
    const UNAUTHENTICATED: i32 = 16;
    if !revoked {
        return CheckResponse { status: Some(Outcome { code: 0 }), denied: None };
    }
    let denied = Denied { status: Some(HttpStatus { code: 401 }) };
    CheckResponse { status: Some(Outcome { code: UNAUTHENTICATED }), denied: Some(denied) }
}

/// The `sid` of the bearer token.
fn session(request: &CheckRequest) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        sid: String,
    }
    let headers = &request.attributes.as_ref()?.request.as_ref()?.http.as_ref()?.headers;
    let token = headers.get("authorization")?.strip_prefix("Bearer ")?;
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Claims>(&payload).ok().map(|claims| claims.sid)
}
