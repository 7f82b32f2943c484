//! What passed between host and filter, for people to read.

use std::collections::VecDeque;
use std::fmt;

use crate::status::Status;
use crate::thread::Thread;

/// Older events are dropped, so that a long run does not fill the memory.
const MAX_EVENTS: usize = 20_000;

/// One line of the trace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// The VM in which it happened.
    pub vm: Thread,
    /// The context that was current, and zero outside any.
    pub context: u32,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// The host called the filter.
    Callback {
        /// The export.
        name: &'static str,
        /// Its arguments, the context id first.
        arguments: Vec<u32>,
    },
    /// The filter returned from a callback.
    Returned {
        /// The export.
        name: &'static str,
        /// Its answer, if it has one.
        answer: Option<u32>,
    },
    /// The filter trapped in a callback.
    Trapped {
        /// The export.
        name: &'static str,
        /// Why.
        message: String,
    },
    /// The filter called the host.
    HostCall {
        /// The import.
        name: &'static str,
        /// The arguments that say something, in a readable form.
        arguments: String,
        /// The host's answer.
        status: Status,
    },
    /// Something that the host did, or a remark on what it does not do.
    Note(String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<11} #{:<3} ", self.vm.to_string(), self.context)?;
        match &self.what {
            What::Callback { name, arguments } => write!(f, "> {name}{arguments:?}"),
            What::Returned { name, answer: Some(answer) } => write!(f, "< {name} = {answer}"),
            What::Returned { name, answer: None } => write!(f, "< {name}"),
            What::Trapped { name, message } => write!(f, "! {name} trapped: {message}"),
            What::HostCall { name, arguments, status: Status::Ok } => write!(f, "    {name}({arguments})"),
            What::HostCall { name, arguments, status } => {
                write!(f, "    {name}({arguments}) -> {status:?}")
            }
            What::Note(text) => write!(f, "  - {text}"),
        }
    }
}

/// The last events of an Envoy, in order.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    events: VecDeque<Event>,
}

impl Trace {
    pub(crate) fn push(&mut self, vm: Thread, context: u32, what: What) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Event { vm, context, what });
    }

    pub(crate) fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter()
    }
}
