//! A request and its response, from the point of view of client and upstream.

use std::fmt;
use std::rc::Rc;

use crate::cost::Cost;
use crate::envoy::Inner;
use crate::header_map::{HeaderMap, Of};
use crate::http::{self, Direction};
use crate::reply::LocalReply;
use crate::stream::{Ending, Part, Stage, Stream};
use crate::vm::Vm;

/// A request on its way. The handle shows what happens to it later as well, by a tick or a message.
#[derive(Clone)]
pub struct Exchange {
    pub(crate) inner: Rc<Inner>,
    pub(crate) vm: Option<Rc<Vm>>,
    pub(crate) id: u32,
}

/// How far a request has got.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum State {
    /// The filter has let it through to the upstream. It stays so until the exchange ends.
    Forwarded,
    /// The filter holds it.
    Held,
    /// The filter, or Envoy in its place, has answered it.
    Replied,
    /// It was cut: closed by the filter, or answered after the response had begun.
    Reset,
    /// The client has gone away.
    Disconnected,
    /// The response has gone out to the last byte.
    Finished,
}

/// The upstream's response, as the client has received it so far.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// The status.
    pub status: u32,
    /// The headers, `:status` included.
    pub headers: HeaderMap,
    /// The body so far.
    pub body: Vec<u8>,
    /// The trailers, once they have come.
    pub trailers: Option<HeaderMap>,
}

impl Exchange {
    /// How far it has got.
    #[must_use]
    pub fn state(&self) -> State {
        self.read(|stream| match stream.end {
            Some(Ending::Replied) => State::Replied,
            Some(Ending::Reset) => State::Reset,
            Some(Ending::Disconnected) => State::Disconnected,
            Some(Ending::Finished) => State::Finished,
            None if stream.request.passed => State::Forwarded,
            None => State::Held,
        })
        .unwrap_or(State::Reset)
    }

    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state(), State::Forwarded | State::Held)
    }

    /// Whether the filter holds the response, or a part of it.
    #[must_use]
    pub fn is_response_held(&self) -> bool {
        let held = [Stage::HeldHeaders, Stage::HeldBody, Stage::HeldTrailers];
        self.read(|stream| stream.end.is_none() && held.contains(&stream.response.stage)).unwrap_or(false)
    }

    /// The local reply, if the client got one.
    #[must_use]
    pub fn reply(&self) -> Option<LocalReply> {
        self.read(|stream| stream.reply.clone()).flatten()
    }

    /// The response code details, as the access log has them: of a local reply, of a reset, or `via_upstream`.
    #[must_use]
    pub fn details(&self) -> Option<String> {
        self.read(|stream| stream.details.clone()).flatten()
    }

    /// The request headers as the upstream has got them; none before it has.
    #[must_use]
    pub fn forwarded_headers(&self) -> Option<HeaderMap> {
        self.read(|stream| stream.request.headers.clone().filter(|_| stream.request.passed)).flatten()
    }

    /// The request body as far as the upstream has got it.
    #[must_use]
    pub fn forwarded_body(&self) -> Vec<u8> {
        self.read(|stream| stream.request.body.clone()).unwrap_or_default()
    }

    /// The request trailers, once the upstream has got them.
    #[must_use]
    pub fn forwarded_trailers(&self) -> Option<HeaderMap> {
        self.read(|stream| stream.request.trailers.clone().filter(|_| stream.request.ended)).flatten()
    }

    /// The upstream's response, as far as the client has got it.
    #[must_use]
    pub fn response(&self) -> Option<Response> {
        self.read(|stream| {
            let path = &stream.response;
            let headers = path.headers.clone().filter(|_| path.passed)?;
            Some(Response {
                status: headers.get(":status").and_then(|status| status.parse().ok()).unwrap_or(0),
                headers,
                body: path.body.clone(),
                trailers: path.trailers.clone().filter(|_| path.ended),
            })
        })
        .flatten()
    }

    /// What a filter has set with `proxy_set_property`, with `wasm.` before the name; lossy if not UTF-8.
    #[must_use]
    pub fn filter_state(&self, name: &str) -> Option<String> {
        self.filter_state_bytes(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The bytes that a filter has set with `proxy_set_property`, with `wasm.` before the name.
    #[must_use]
    pub fn filter_state_bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.read(|stream| stream.filter_state.get(name).cloned()).flatten()
    }

    /// What it has cost so far, in the callbacks of its own context.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.read(|stream| stream.cost.clone()).unwrap_or_default()
    }

    /// The id of its context in the filter.
    #[must_use]
    pub const fn context_id(&self) -> u32 {
        self.id
    }

    /// The client sends a part of the request body, with more to follow.
    pub fn send_data(&self, bytes: impl AsRef<[u8]>) {
        self.part(Direction::Request, Part::Data { bytes: bytes.as_ref().to_vec(), end: false });
    }

    /// The client sends trailers, and with them the end of the request.
    pub fn send_trailers(&self, trailers: impl Into<HeaderMap>) {
        self.part(Direction::Request, Part::Trailers(trailers.into()));
    }

    /// The client ends the request.
    pub fn end_request(&self) {
        self.part(Direction::Request, Part::Data { bytes: Vec::new(), end: true });
    }

    /// The client sends HTTP/2 metadata of so many entries, which is all that the filter gets to know of it.
    pub fn send_metadata(&self, entries: u32) {
        self.drive(|cx, id| http::metadata(cx, id, Direction::Request, entries));
    }

    /// The client goes away.
    pub fn disconnect(&self) {
        self.drive(|cx, id| {
            if let Some(stream) = cx.data_mut().streams.get_mut(&id) {
                stream.details = Some("downstream_remote_disconnect".to_owned());
            }
            http::end(cx, id, Ending::Disconnected);
        });
    }

    /// The upstream begins its response, with a body to follow. Nobody listens unless it was forwarded.
    pub fn respond(&self, status: u32, headers: impl Into<HeaderMap>) -> State {
        self.begin_response(status, &headers.into(), false);
        self.state()
    }

    /// The upstream answers with headers and nothing else. Nobody listens unless the request was forwarded.
    pub fn respond_whole(&self, status: u32, headers: impl Into<HeaderMap>) -> State {
        self.begin_response(status, &headers.into(), true);
        self.state()
    }

    /// The upstream sends a part of the response body, with more to follow.
    pub fn respond_data(&self, bytes: impl AsRef<[u8]>) {
        self.part(Direction::Response, Part::Data { bytes: bytes.as_ref().to_vec(), end: false });
    }

    /// The upstream sends HTTP/2 metadata of so many entries.
    pub fn respond_metadata(&self, entries: u32) {
        self.drive(|cx, id| http::metadata(cx, id, Direction::Response, entries));
    }

    /// The upstream sends trailers, and with them the end of the response.
    pub fn respond_trailers(&self, trailers: impl Into<HeaderMap>) {
        self.part(Direction::Response, Part::Trailers(trailers.into()));
    }

    /// The upstream ends its response; with an empty 200, if it has not begun one.
    pub fn finish(&self) -> State {
        let has_begun = self.read(|stream| stream.response.headers.is_some()).unwrap_or(false);
        if has_begun {
            self.part(Direction::Response, Part::Data { bytes: Vec::new(), end: true });
        } else {
            self.begin_response(200, &HeaderMap::new(), true);
        }
        self.state()
    }

    /// What happened, for people to read: the last events of the whole Envoy.
    #[must_use]
    pub fn trace(&self) -> String {
        self.inner.last_events(60)
    }

    fn begin_response(&self, status: u32, headers: &HeaderMap, is_whole: bool) {
        let mut map = HeaderMap::from([(":status", status.to_string())]);
        for (name, value) in headers.pairs() {
            map.merge(Of::Response, name, value);
        }
        self.drive(|cx, id| {
            let Some(stream) = cx.data_mut().streams.get_mut(&id) else { return };
            if stream.end.is_some() || !stream.request.passed || stream.response.headers.is_some() {
                return;
            }
            stream.details = Some("via_upstream".to_owned());
            http::headers(cx, id, Direction::Response, map, is_whole);
        });
    }

    pub(crate) fn part(&self, direction: Direction, part: Part) {
        self.drive(|cx, id| http::part(cx, id, direction, part));
    }

    fn drive(&self, act: impl FnOnce(&mut crate::state::Cx<'_>, u32)) {
        if let Some(vm) = &self.vm {
            vm.with(|cx| act(cx, self.id));
        }
    }

    fn read<R>(&self, look: impl FnOnce(&Stream) -> R) -> Option<R> {
        self.vm.as_ref()?.read(|state| state.streams.get(&self.id).map(look))
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("context", &self.id)
            .field("state", &self.state())
            .field("details", &self.details())
            .finish_non_exhaustive()
    }
}
