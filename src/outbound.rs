//! HTTP calls to identity providers, where an address may come from somebody else.
//!
//! Follows no redirect, and connects only to addresses that are reachable from everywhere, unless the provider
//! is configured to be on a private one: the check is made on the address that is then connected to, so that a
//! name that resolves to another one a moment later gains nothing. The bytes and the time of an answer are
//! bounded.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

mod public;

pub use public::is_public;

/// Until a connection stands, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 4;
const USER_AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// Those that everybody reaches, and only with TLS.
    Public,
    /// Private and loopback ones as well, and there also without TLS.
    Private,
}

/// What an answer may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of its body.
    pub bytes: usize,
    /// Until it has arrived whole.
    pub time: Duration,
}

/// Why there is no answer.
#[expect(missing_docs, reason = "the fields are what the message says")]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OutboundError {
    /// No URL that can be called.
    #[error("`{0}` is not an https URL with a host")]
    Url(String),
    /// A name without an address.
    #[error("{host} cannot be resolved: {error}")]
    Resolve { host: String, error: String },
    /// An address that only this machine or its network reaches.
    #[error(
        "{host} is at the private address {address}: set allow_private_addresses for this issuer if that is meant"
    )]
    PrivateAddress { host: String, address: IpAddr },
    /// Without TLS over a network that others share.
    #[error("{0} would be called without TLS")]
    Plaintext(String),
    /// No connection.
    #[error("cannot connect to {host}: {error}")]
    Connect { host: String, error: String },
    /// The answer is elsewhere, which is not followed.
    #[error("{host} answers with a redirect ({status}), which is not followed: configure where it leads")]
    Redirect { host: String, status: u16 },
    /// Nothing in time.
    #[error("{0} did not answer in time")]
    Timeout(String),
    /// An answer over the limit.
    #[error("the answer of {host} is larger than {max} bytes")]
    TooLarge { host: String, max: usize },
    /// The connection broke.
    #[error("{host} did not answer: {error}")]
    Broken { host: String, error: String },
}

/// The certificate authorities cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("inlets.ca_file: {0}")]
pub struct CaError(String);

/// Makes calls. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    tls: Arc<ClientConfig>,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Outbound(..)")
    }
}

impl Outbound {
    /// With these certificate authorities in PEM, or the public ones.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate.
    pub fn new(ca_file: Option<&PathBuf>) -> Result<Self, CaError> {
        let mut roots = RootCertStore::empty();
        match ca_file {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(path) => {
                let wrong = |error: &dyn std::fmt::Display| CaError(format!("{}: {error}", path.display()));
                for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
                    roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
                }
                if roots.is_empty() {
                    return Err(wrong(&"no certificate in it"));
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| CaError(error.to_string()))?;
        Ok(Self { tls: Arc::new(config.with_root_certificates(roots).with_no_client_auth()) })
    }

    /// GETs a document of that media type.
    ///
    /// # Errors
    /// When there is no whole answer within the limits. Another status than 200 is an answer.
    pub async fn get(
        &self,
        url: &str,
        accept: &'static str,
        reach: Reach,
        limits: Limits,
    ) -> Result<Response<Bytes>, OutboundError> {
        let uri: Uri = url.parse().map_err(|_| OutboundError::Url(url.into()))?;
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
        self.send(request, reach, limits).await
    }

    /// Sends a request with an absolute URL over a connection of its own.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        reach: Reach,
        limits: Limits,
    ) -> Result<Response<Bytes>, OutboundError> {
        let target = Target::of(request.uri())?;
        match timeout(limits.time, self.exchange(&target, request, reach, limits.bytes)).await {
            Ok(answer) => answer,
            Err(_) => Err(OutboundError::Timeout(target.host)),
        }
    }

    async fn exchange(
        &self,
        target: &Target,
        mut request: Request<Full<Bytes>>,
        reach: Reach,
        max: usize,
    ) -> Result<Response<Bytes>, OutboundError> {
        let connection = self.connect(target, reach).await?;
        let broken = |error: &dyn std::fmt::Display| OutboundError::Broken {
            host: target.host.clone(),
            error: error.to_string(),
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connection))
            .await
            .map_err(|error| broken(&error))?;
        // Ends with this call: aborted when the handle is dropped.
        let _moving = Moving(tokio::spawn(async move {
            // What breaks is seen by the call as well.
            let _ = connection.await;
        }));
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        *request.uri_mut() = path.parse().map_err(|_| OutboundError::Url(path))?;
        set(request.headers_mut(), header::HOST, &target.authority);
        set(request.headers_mut(), header::USER_AGENT, USER_AGENT);
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        if answer.status().is_redirection() && answer.status() != StatusCode::NOT_MODIFIED {
            let status = answer.status().as_u16();
            return Err(OutboundError::Redirect { host: target.host.clone(), status });
        }
        let (parts, body) = answer.into_parts();
        let body =
            Limited::new(body, max).collect().await.map_err(|error| match error
                .is::<http_body_util::LengthLimitError>(
            ) {
                true => OutboundError::TooLarge { host: target.host.clone(), max },
                false => broken(&error),
            })?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }

    async fn connect(&self, target: &Target, reach: Reach) -> Result<Box<dyn Stream>, OutboundError> {
        let host = || target.host.clone();
        let failed =
            |error: &dyn std::fmt::Display| OutboundError::Connect { host: host(), error: error.to_string() };
        let stream = match timeout(CONNECT_TIMEOUT, target.connect(reach)).await {
            Ok(stream) => stream?,
            Err(_) => return Err(failed(&"no connection in time")),
        };
        if !target.tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(target.host.clone()).map_err(|_| OutboundError::Url(host()))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        match timeout(CONNECT_TIMEOUT, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(failed(&"no TLS in time")),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The task that moves a connection's bytes.
struct Moving(tokio::task::JoinHandle<()>);

impl Drop for Moving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where a URL leads.
struct Target {
    tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// For the header `host`.
    authority: String,
}

impl Target {
    fn of(uri: &Uri) -> Result<Self, OutboundError> {
        let wrong = || OutboundError::Url(uri.to_string().chars().take(200).collect());
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(wrong());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host, port, authority: authority.to_string() })
    }

    async fn connect(&self, reach: Reach) -> Result<TcpStream, OutboundError> {
        self.connect_by(reach, tokio::net::lookup_host((self.host.as_str(), self.port))).await
    }

    /// The name is resolved once: what is checked is what is connected to, whatever it resolves to next.
    async fn connect_by<A: Iterator<Item = SocketAddr>>(
        &self,
        reach: Reach,
        resolve: impl Future<Output = std::io::Result<A>>,
    ) -> Result<TcpStream, OutboundError> {
        let host = self.host.clone();
        let addresses: Vec<SocketAddr> = resolve
            .await
            .map_err(|error| OutboundError::Resolve { host, error: error.to_string() })?
            .take(MAX_ADDRESSES)
            .collect();
        let mut last = OutboundError::Resolve { host: self.host.clone(), error: "it has no address".into() };
        for address in addresses {
            last = match self.permit(address.ip(), reach) {
                Err(refused) => refused,
                Ok(()) => match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => {
                        OutboundError::Connect { host: self.host.clone(), error: error.to_string() }
                    }
                },
            };
        }
        Err(last)
    }

    fn permit(&self, address: IpAddr, reach: Reach) -> Result<(), OutboundError> {
        match (is_public(address), reach, self.tls) {
            (false, Reach::Public, _) => {
                Err(OutboundError::PrivateAddress { host: self.host.clone(), address })
            }
            (true, _, false) => Err(OutboundError::Plaintext(self.host.clone())),
            (true, _, true) | (false, Reach::Private, _) => Ok(()),
        }
    }
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn where_a_url_leads() {
        let target = |url: &str| Target::of(&url.parse().unwrap()).map(|to| (to.tls, to.host, to.port));
        assert_eq!(target("https://idp.example/jwks"), Ok((true, "idp.example".into(), 443)));
        assert_eq!(target("http://[::1]:81/"), Ok((false, "::1".into(), 81)));
        for wrong in ["/jwks", "ftp://idp.example/", "https://user@idp.example/", "idp.example:443"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_private_address_must_be_meant_and_plain_text_stays_there() {
        let target = |url: &str| Target::of(&url.parse().unwrap()).unwrap();
        let (plain, tls) = (target("http://idp.example"), target("https://idp.example"));
        let (private, public) = ("10.0.0.1".parse().unwrap(), "93.184.216.34".parse().unwrap());
        for to in [&plain, &tls] {
            assert!(matches!(to.permit(private, Reach::Public), Err(OutboundError::PrivateAddress { .. })));
            assert_eq!(to.permit(private, Reach::Private), Ok(()));
        }
        assert_eq!(tls.permit(public, Reach::Public), Ok(()));
        for reach in [Reach::Public, Reach::Private] {
            assert!(matches!(plain.permit(public, reach), Err(OutboundError::Plaintext(_))));
        }
    }

    #[tokio::test]
    async fn every_address_of_a_name_is_checked_and_no_other_is_connected_to() {
        let listen = async || {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            (listener.local_addr().unwrap(), listener)
        };
        let ((first, _one), (second, other)) = (listen().await, listen().await);
        let target = Target::of(&"https://rebinds.example/".parse().unwrap()).unwrap();
        // A hostile resolver answers otherwise each time.
        let answers = std::sync::Mutex::new(vec![vec![second], vec![first]]);
        let resolve =
            async || Ok(answers.lock().unwrap().pop().expect("it is asked once for each call").into_iter());
        let stream = target.connect_by(Reach::Private, resolve()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), first);
        let refused = target.connect_by(Reach::Public, resolve()).await.unwrap_err();
        let private = |address: SocketAddr| OutboundError::PrivateAddress {
            host: "rebinds.example".into(),
            address: address.ip(),
        };
        assert_eq!(refused, private(second));
        // Also behind addresses that are refused, and in the form of IPv6.
        let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", second.port()).parse().unwrap();
        let many = async || Ok(vec![second, mapped, second].into_iter());
        let refused = target.connect_by(Reach::Public, many()).await.unwrap_err();
        assert_eq!(refused, private(second));
        assert!(other.accept().now_or_never().is_none(), "somebody has connected");
    }
}
