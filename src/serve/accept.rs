//! Accepting connections: a bound on their number, on the time until one says what it speaks (the TLS handshake
//! included), and on the time until an edge has shown a credential.

use std::io;
use std::net::{self, IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::either::Either;
use tonic::transport::server::Connected;
use tracing::{info, warn};

use super::handshake;
use crate::clock::Clock;
use crate::edge::Peer;
use crate::tls::PortTls;

/// A connection must show which protocol it speaks within this time.
pub(super) const FIRST_BYTES: Duration = Duration::from_secs(10);
/// After an error of the operating system (no file handles left), it gets so long to recover.
const PAUSE: Duration = Duration::from_millis(100);
/// What an HTTP/2 client says first. Both servers wait for as much of it as comes, without a bound of their own.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A port with so many places.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: TcpListener,
    places: Arc<Semaphore>,
    terms: Terms,
}

/// A share of a port's connections ([`Acceptor::divide`]), for a runtime of its own.
#[derive(Debug)]
pub(super) struct Share {
    accepted: mpsc::Receiver<Accepted>,
    terms: Terms,
}

/// A connection that no runtime has yet, and its place.
type Accepted = (net::TcpStream, SocketAddr, Option<OwnedSemaphorePermit>);

/// On which connections are taken.
#[derive(Clone, Debug)]
struct Terms {
    first_bytes: Duration,
    probation: Option<Duration>,
    guard: Option<Guard>,
}

/// The TLS of a port.
#[derive(Clone, Debug)]
struct Guard {
    tls: PortTls,
    failures: Arc<handshake::Failures>,
}

impl Acceptor {
    /// Most connections at a time, more wait to be accepted; and how long one may take to show its protocol.
    pub(super) fn new(listener: TcpListener, places: usize, first_bytes: Duration) -> Self {
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self { listener, places, terms: Terms { first_bytes, probation: None, guard: None } }
    }

    /// The same for edges: a connection on which none has shown a credential within this time is closed.
    pub(super) fn with_probation(mut self, probation: Duration) -> Self {
        self.terms.probation = Some(probation);
        self
    }

    /// The same with TLS, if there is any.
    pub(super) fn with_tls(mut self, tls: Option<PortTls>, failures: handshake::Failures) -> Self {
        let failures = Arc::new(failures);
        self.terms.guard = tls.map(|tls| Guard { tls, failures });
        self
    }

    /// The next connection, of which nothing has been read.
    pub(super) async fn accept(&self) -> Arrival {
        let (stream, address, place) = self.take().await;
        self.terms.arrival(stream, address, place)
    }

    async fn take(&self) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await.ok();
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // Messages are small and waited for.
                    let _ = stream.set_nodelay(true);
                    return (stream, address, place);
                }
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Deals the connections out to so many runtimes in turn. It ends with the shares.
    pub(super) fn divide(self, shares: usize) -> Vec<Share> {
        let (to, shares): (Vec<_>, Vec<_>) = (0..shares)
            .map(|_| {
                let (to, accepted) = mpsc::channel(1);
                (to, Share { accepted, terms: self.terms.clone() })
            })
            .unzip();
        tokio::spawn(async move {
            for to in to.iter().cycle() {
                let (stream, address, place) = tokio::select! {
                    taken = self.take() => taken,
                    () = to.closed() => return,
                };
                match stream.into_std() {
                    Ok(stream) => drop(to.send((stream, address, place)).await),
                    Err(error) => warn!(%error, "a connection could not be handed over"),
                }
            }
        });
        shares
    }
}

impl Share {
    /// All connections, without an end, in the runtime from which this is called. One that takes its time does not hold
    /// the others up.
    pub(super) fn incoming(self) -> impl Stream<Item = io::Result<Connection>> {
        let Self { mut accepted, terms } = self;
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let next = tokio::select! {
                    next = accepted.recv() => next,
                    () = sender.closed() => return,
                };
                let Some((stream, address, place)) = next else { return };
                let stream = match TcpStream::from_std(stream) {
                    Ok(stream) => stream,
                    Err(error) => {
                        warn!(%error, "a connection could not be taken over");
                        continue;
                    }
                };
                let (arrival, sender) = (terms.arrival(stream, address, place), sender.clone());
                tokio::spawn(async move {
                    if let Some(connection) = arrival.establish().await {
                        let _ = sender.send(Ok(connection)).await;
                    }
                });
            }
        });
        ReceiverStream::new(receiver)
    }
}

impl Terms {
    fn arrival(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        place: Option<OwnedSemaphorePermit>,
    ) -> Arrival {
        Arrival {
            stream,
            address,
            deadline: Box::pin(sleep(self.first_bytes)),
            probation: self.probation.map(|time| Box::pin(sleep(time))),
            guard: self.guard.clone(),
            place,
        }
    }
}

/// A connection that has said nothing yet.
#[derive(Debug)]
pub(super) struct Arrival {
    stream: TcpStream,
    address: SocketAddr,
    deadline: Pin<Box<Sleep>>,
    probation: Option<Pin<Box<Sleep>>>,
    guard: Option<Guard>,
    place: Option<OwnedSemaphorePermit>,
}

impl Arrival {
    /// The connection once its TLS stands; `None` when it never will, which is logged and counted.
    pub(super) async fn establish(self) -> Option<Connection> {
        let Self { stream, address, mut deadline, probation, guard, place } = self;
        let (stream, certificate) = match guard {
            None => (Either::Left(stream), None),
            Some(Guard { tls, failures }) => {
                let outcome = tokio::select! {
                    outcome = handshake::shake(&tls, stream) => outcome,
                    () = deadline.as_mut() => Err((handshake::Failure::Slow, None)),
                };
                match outcome {
                    Ok((stream, certificate)) => (Either::Right(Box::new(stream)), certificate),
                    Err((failure, stream)) => {
                        failures.note(address, &failure);
                        // Its place is not free before.
                        handshake::part(stream?).await;
                        return None;
                    }
                }
            }
        };
        let greeting = Some(Greeting { seen: 0, deadline });
        let expiry = certificate.as_ref().map(|certificate| {
            let rest = certificate.expires_ms().saturating_sub(Clock::System.now_ms());
            Box::pin(sleep(Duration::from_millis(rest)))
        });
        let peer = Peer::new(Some(address), certificate);
        Some(Connection { stream, greeting, peer, probation, expiry, _place: place })
    }
}

/// A connection, which has its place until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    /// Until the protocol is known.
    greeting: Option<Greeting>,
    peer: Peer,
    /// Until the peer is admitted.
    probation: Option<Pin<Box<Sleep>>>,
    /// Until the peer's certificate is not valid any more: it comes back with its next one.
    expiry: Option<Pin<Box<Sleep>>>,
    _place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Greeting {
    /// So much of the preface has arrived.
    seen: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Greeting {
    /// Whether the protocol is known after these bytes: the preface is whole, or this is none.
    fn ends_with(&mut self, bytes: &[u8]) -> bool {
        let rest = PREFACE.get(self.seen..).unwrap_or_default();
        self.seen += bytes.len();
        bytes.len() >= rest.len() || !rest.starts_with(bytes)
    }
}

impl Connection {
    /// Who is at the other end.
    pub(super) fn peer_address(&self) -> Option<IpAddr> {
        self.peer.address().map(|address| address.ip())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(probation) = &mut this.probation {
            if this.peer.is_admitted() {
                this.probation = None;
            } else if probation.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        if let Some(expiry) = &mut this.expiry
            && expiry.as_mut().poll(context).is_ready()
        {
            let peer = this.peer.address().map(|address| address.to_string());
            info!(peer, "a connection ends with the certificate that it was opened with");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let Some(greeting) = &mut this.greeting else { return read };
        if read.is_pending() {
            return greeting.deadline.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        if greeting.ends_with(buffer.filled().get(before..).unwrap_or_default()) {
            this.greeting = None;
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn a_protocol_is_known_by_its_first_bytes() {
        let greeting = || Greeting { seen: 0, deadline: Box::pin(sleep(Duration::MAX)) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _context = runtime.enter();
        assert!(greeting().ends_with(b"GET / HTTP/1.0\r\n\r\n"));
        assert!(greeting().ends_with(PREFACE));
        let mut slow = greeting();
        assert!(!slow.ends_with(b"PRI"));
        assert!(!slow.ends_with(b" * HTTP/2.0\r\n"));
        assert!(slow.ends_with(b"\r\nSM\r\n\r\nmore"));
        let mut other = greeting();
        assert!(!other.ends_with(b"P"));
        assert!(other.ends_with(b"OST"));
    }

    #[tokio::test]
    async fn who_shows_no_credential_does_not_stay() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let short = Duration::from_millis(100);
        let acceptor = Acceptor::new(listener, 2, short * 100).with_probation(short);
        let _client = TcpStream::connect(address).await.unwrap();
        let mut stranger = acceptor.accept().await.establish().await.unwrap();
        assert_eq!(stranger.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let _client = TcpStream::connect(address).await.unwrap();
        let mut edge = acceptor.accept().await.establish().await.unwrap();
        edge.peer.admit();
        assert!(timeout(short * 3, edge.read_u8()).await.is_err());
    }

    #[tokio::test]
    async fn one_too_many_waits_for_a_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let short = Duration::from_millis(100);
        let acceptor = Acceptor::new(listener, 1, short);
        let _clients =
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let mut first = acceptor.accept().await.establish().await.unwrap();
        assert!(timeout(short, acceptor.accept()).await.is_err());
        assert_eq!(first.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(first);
        timeout(short * 100, acceptor.accept()).await.unwrap();
    }
}
