//! One VM's state, which host calls read and change while the filter runs.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

use wasmtime::{Func, Memory, StoreContextMut};

use crate::action::Action;
use crate::callout::Callouts;
use crate::cost::Cost;
use crate::error::Failure;
use crate::fault::Effect;
use crate::limits::Limits;
use crate::metrics::MetricIds;
use crate::plugin::{PluginConfig, VmKey};
use crate::root::Root;
use crate::stream::Stream;
use crate::thread::Thread;
use crate::trace::What;
use crate::violation::{Rule, Violation};
use crate::world::World;

/// A VM from inside or outside of a callback.
pub(crate) type Cx<'a> = StoreContextMut<'a, VmState>;

pub(crate) struct VmState {
    pub(crate) thread: Thread,
    pub(crate) world: Rc<RefCell<World>>,
    /// The plugin that the VM was made for. What is the VM's own holds for the others in it as well.
    pub(crate) plugin: Rc<PluginConfig>,
    pub(crate) vm_key: Rc<VmKey>,
    pub(crate) limits: Limits,
    pub(crate) exports: HashMap<&'static str, Func>,
    pub(crate) memory: Option<Memory>,
    /// Set once the VM has died; it is called no more.
    pub(crate) failure: Option<Failure>,
    /// The callbacks that are running, the outermost first. Several if the host was re-entered.
    pub(crate) frames: Vec<Frame>,
    /// What host calls have left for the time when the callback is over.
    pub(crate) after_call: VecDeque<Action>,
    /// Actions on which real Envoy would spin for ever, kept until the outermost callback is over.
    pub(crate) parked: Vec<Action>,
    /// Set by a local response: the answer of the running callback does not count.
    pub(crate) stop_iteration: bool,
    /// The only imports that may be called at the moment; none while anything goes.
    pub(crate) restricted: Option<&'static [&'static str]>,
    /// The readable arguments of the host call that is running.
    pub(crate) note: String,
    pub(crate) roots: BTreeMap<u32, Root>,
    /// Whether no plugin has it any more; it is called no more.
    pub(crate) retired: bool,
    pub(crate) streams: BTreeMap<u32, Stream>,
    pub(crate) callouts: Callouts,
    pub(crate) metrics: MetricIds,
    /// The properties that contexts have declared, and whether each is read-only once it is set.
    pub(crate) declared: BTreeMap<(u32, String), bool>,
    /// The data of a call that the host makes by number, while it lasts.
    pub(crate) call_data: Vec<u8>,
    pub(crate) cost: Cost,
    /// The host calls that the outermost running callback has made.
    pub(crate) host_calls: u64,
    next_context: u32,
}

/// A callback that is running.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) callback: &'static str,
    pub(crate) context: u32,
    /// What `proxy_set_effective_context` has set; zero for nothing.
    pub(crate) effective: u32,
    /// What was logged as critical, or to standard error: a panic's message.
    pub(crate) last_words: Vec<String>,
}

impl VmState {
    pub(crate) fn new(
        thread: Thread,
        world: Rc<RefCell<World>>,
        plugin: Rc<PluginConfig>,
        vm_key: Rc<VmKey>,
        limits: Limits,
    ) -> Self {
        Self {
            thread,
            world,
            plugin,
            vm_key,
            limits,
            exports: HashMap::new(),
            memory: None,
            failure: None,
            frames: Vec::new(),
            after_call: VecDeque::new(),
            parked: Vec::new(),
            stop_iteration: false,
            restricted: None,
            note: String::new(),
            roots: BTreeMap::new(),
            retired: false,
            streams: BTreeMap::new(),
            callouts: Callouts::default(),
            metrics: MetricIds::default(),
            declared: BTreeMap::new(),
            call_data: Vec::new(),
            cost: Cost::default(),
            host_calls: 0,
            next_context: 1,
        }
    }

    pub(crate) fn world(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }

    /// Whether the VM can be called.
    pub(crate) fn is_alive(&self) -> bool {
        self.failure.is_none() && !self.retired
    }

    /// Ends the VM: its contexts, timers and call-outs are gone, without the filter being told.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
        self.roots.clear();
        self.callouts.drop_open(None);
    }

    /// The VM is dead. The first cause counts.
    pub(crate) fn die(&mut self, failure: Failure) {
        if self.failure.is_some() {
            return;
        }
        if !matches!(self.thread, Thread::Base | Thread::Canary) {
            self.world().failures.push(failure.clone());
        }
        self.failure = Some(failure);
    }

    pub(crate) fn failed(&self) -> bool {
        self.failure.is_some()
    }

    pub(crate) fn add_stream(&mut self, stream: Stream) -> u32 {
        let id = self.new_context();
        self.streams.insert(id, stream);
        id
    }

    /// A context id that no context has had before.
    pub(crate) fn new_context(&mut self) -> u32 {
        let id = self.next_context;
        self.next_context += 1;
        id
    }

    /// Whether a context of this id can be made effective.
    pub(crate) fn is_context(&self, id: u32) -> bool {
        match id {
            0 => true,
            _ if self.roots.contains_key(&id) => true,
            _ => self.streams.get(&id).is_some_and(|stream| stream.alive),
        }
    }

    /// The context that host calls act on: the effective one while it lives, else the running one.
    pub(crate) fn context(&self) -> u32 {
        match self.frames.last() {
            Some(frame) if frame.effective != 0 && self.is_context(frame.effective) => frame.effective,
            Some(frame) => frame.context,
            None => 0,
        }
    }

    /// The stream that host calls act on, if it is one.
    pub(crate) fn stream(&mut self) -> Option<&mut Stream> {
        let id = self.context();
        self.streams.get_mut(&id)
    }

    /// The root context of a context, which may be one itself.
    pub(crate) fn root_of(&self, context: u32) -> u32 {
        self.streams.get(&context).map_or(context, |stream| stream.root)
    }

    /// The root context of the one that host calls act on; none for the VM's own context.
    pub(crate) fn root(&mut self) -> Option<&mut Root> {
        let id = self.root_of(self.context());
        self.roots.get_mut(&id)
    }

    /// Adds to the running host call's readable arguments.
    pub(crate) fn note(&mut self, argument: impl std::fmt::Display) {
        use std::fmt::Write as _;
        let comma = if self.note.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(self.note, "{comma}{argument}");
    }

    pub(crate) fn trace(&self, what: What) {
        self.world().trace.push(self.thread, self.context(), what);
    }

    /// The fault that strikes the running host call, if one does.
    pub(crate) fn strike(&self, call: &'static str) -> Option<Effect> {
        let callback = self.frames.last().map_or("", |frame| frame.callback);
        let effect = self.world().faults.strike(self.thread, callback, call)?;
        let what = match effect {
            Effect::Trap => "traps".to_owned(),
            Effect::Answer(code) => format!("answers {code}"),
        };
        self.trace(What::Note(format!("FAULT: {call} {what}")));
        Some(effect)
    }

    pub(crate) fn violate(&self, rule: Rule) {
        let callback = self.frames.last().map_or("", |frame| frame.callback);
        let violation = Violation { vm: self.thread, context: self.context(), callback, rule };
        self.trace(What::Note(format!("VIOLATION: {}", violation.rule)));
        self.world().violations.push(violation);
    }

    /// The costs that the running callback adds to, besides the VM's own.
    pub(crate) fn stream_cost(&mut self) -> Option<&mut Cost> {
        let id = self.frames.last()?.context;
        self.streams.get_mut(&id).map(|stream| &mut stream.cost)
    }
}
