//! Requests, before they are sent.

use crate::exchange::Exchange;
use crate::header_map::{HeaderMap, Of};
use crate::http::{self, Direction};
use crate::property::Property;
use crate::reply::Reply;
use crate::state::Cx;
use crate::stream::{Part, Stream};
use crate::worker::Worker;

/// The protocol as Envoy calls it.
const HTTP2: &str = "HTTP/2";

/// A request that has not been sent yet.
#[derive(Debug)]
#[must_use = "nothing is sent before `send`"]
pub struct RequestBuilder {
    worker: Worker,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    properties: Property,
    protocol: &'static str,
}

impl RequestBuilder {
    pub(crate) fn new(worker: Worker, method: &str, path: &str) -> Self {
        let headers = HeaderMap::from([
            (":authority", "example.com"),
            (":path", path),
            (":method", method),
            (":scheme", "http"),
        ]);
        let properties = Property::default();
        Self { worker, headers, body: Vec::new(), trailers: None, properties, protocol: "HTTP/1.1" }
    }

    /// Comes in over HTTP/2 instead of HTTP/1.1: its headers have another order, and its cookies are one.
    pub fn http2(mut self) -> Self {
        self.protocol = HTTP2;
        for name in [":method", ":scheme", ":authority", ":path"] {
            let value = self.headers.get(name).unwrap_or_default().to_owned();
            self.headers.set(name, value);
        }
        let cookies = self.headers.all("cookie");
        if !cookies.is_empty() {
            self.headers.remove("cookie");
            self.headers.add("cookie", cookies.join("; "));
        }
        self
    }

    /// Adds a header, joined with others of the same name where Envoy does so. `:path` and the like are replaced.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if name.starts_with(':') {
            self.headers.set(name, value);
        } else if self.protocol == HTTP2 && name.eq_ignore_ascii_case("cookie") {
            let first = self.headers.get_bytes(b"cookie").map(|first| [first, b"; "].concat());
            self.headers.set(name, [first.unwrap_or_default().as_slice(), value.as_ref()].concat());
        } else {
            self.headers.merge(Of::Request, name, value);
        }
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Adds a trailer.
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.trailers.get_or_insert_default().add(name, value);
        self
    }

    /// Sets a property of this stream, such as a claim that `jwt_authn` has verified.
    pub fn property(mut self, path: &[&str], value: impl Into<Property>) -> Self {
        self.properties.set(path, value.into());
        self
    }

    /// The headers so far, as the filter is going to get them.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Sends the whole request.
    pub fn send(self) -> Exchange {
        let (body, trailers) = (self.body.clone(), self.trailers.clone());
        let exchange = self.begin(body.is_empty() && trailers.is_none());
        let is_last = trailers.is_none();
        if !body.is_empty() {
            exchange.part(Direction::Request, Part::Data { bytes: body, end: is_last });
        }
        if let Some(trailers) = trailers {
            exchange.part(Direction::Request, Part::Trailers(trailers));
        }
        exchange
    }

    /// Sends the request to a filter before this one, which answers it with this status and these response code
    /// details. All that this filter sees of it is the log.
    pub fn refused_by_earlier_filter(self, status: u32, details: &str) -> Exchange {
        let Self { worker, headers, properties, .. } = self;
        let reply = Reply::from_elsewhere(status, details);
        let stream = Stream { properties, ..Stream::default() };
        let (vm, id) = worker.begin(stream, |cx, id| http::refused(cx, id, headers, reply));
        Exchange { inner: worker.inner, vm, id }
    }

    /// Sends the headers, and the body so far, of a request that goes on.
    pub fn open(self) -> Exchange {
        let body = self.body.clone();
        let exchange = self.begin(false);
        if !body.is_empty() {
            exchange.part(Direction::Request, Part::Data { bytes: body, end: false });
        }
        exchange
    }

    fn begin(self, is_whole: bool) -> Exchange {
        let Self { worker, headers, properties, protocol, .. } = self;
        let stream = Stream { properties, protocol, ..Stream::default() };
        let begin = |cx: &mut Cx<'_>, id| http::headers(cx, id, Direction::Request, headers, is_whole);
        let (vm, id) = worker.begin(stream, begin);
        Exchange { inner: worker.inner, vm, id }
    }
}
