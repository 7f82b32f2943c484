//! One HTTP request.

use std::cell::RefCell;
use std::rc::Rc;

use portcullis_core::Gate;
use portcullis_core::gate::Attached;
use portcullis_core::verdict::Verdict;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::request;

/// A request and, once it passes, the tokens that it carries.
pub(crate) struct Request {
    context: u32,
    gate: Rc<RefCell<Gate>>,
    attached: Attached,
    held: bool,
}

impl Request {
    pub(crate) fn new(context: u32, gate: Rc<RefCell<Gate>>) -> Self {
        Self { context, gate, attached: Attached::default(), held: false }
    }

    /// A body or trailers of a held request wait with it. Envoy's `allow_on_headers_stop_iteration` lets them
    /// come, and going on with them would let the headers go on too.
    fn wait(&mut self) -> Action {
        self.held = self.held && self.gate.borrow().holds(self.context);
        if self.held { Action::Pause } else { Action::Continue }
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        #[cfg(feature = "trap")]
        trap();
        let mut gate = self.gate.borrow_mut();
        let (verdict, attached) = request::decide(&mut gate, self.context);
        self.attached = attached;
        self.held = verdict == Verdict::Hold;
        match verdict {
            Verdict::Pass(None) => Action::Continue,
            verdict if request::act(&gate, verdict) => Action::Continue,
            _ => Action::Pause,
        }
    }

    fn on_http_request_body(&mut self, _size: usize, _end_of_stream: bool) -> Action {
        self.wait()
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        self.wait()
    }
}

/// The stream has ended: its context is deleted.
impl Drop for Request {
    fn drop(&mut self) {
        self.gate.borrow_mut().leave(self.context, &self.attached);
    }
}

#[cfg(feature = "trap")]
#[expect(clippy::panic, reason = "what the feature is for")]
fn trap() {
    if crate::host::request_header("x-portcullis-trap").is_some() {
        panic!("trapped as asked");
    }
}
