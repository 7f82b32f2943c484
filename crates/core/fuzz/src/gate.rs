//! A gate between a control plane, a way that loses, repeats, swaps and cuts messages, and clients. Whatever
//! becomes of the messages, what is enforced is what the control plane held at some version, and never an older
//! one than before; requests and open streams are judged by that and by nothing else; and once the way is good
//! again, the gate arrives where the control plane is.

use std::collections::{BTreeMap, VecDeque};

use portcullis_core::gate::{Attached, Effects, Identity, Request};
use portcullis_core::verdict::{Code, Freshness, Verdict};
use portcullis_core::wire::edge::control_message::Message as Control;
use portcullis_core::wire::edge::edge_message::Message as Edge;
use portcullis_core::wire::edge::{ControlMessage, EdgeMessage};
use portcullis_core::{Cutoff, Gate, Policy, Version};
use prost::Message as _;

use super::input::Input;
use super::plane::{Bearer, Past, Plane, Who};

/// How long a request is held when nothing else is configured, milliseconds.
const HOLD: u64 = 5_000;
const HEARTBEAT: u64 = 1_000;

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Somebody is revoked.
    Revoke(Who, Cutoff),
    /// A revocation is taken back.
    Undo(Who),
    /// The next message of the control plane comes, or does not.
    Deliver(Fate),
    /// Milliseconds pass.
    Tick(u64),
    /// A request comes; its stream stays open.
    Request(Bearer),
    /// One of the open streams ends.
    Leave(u8),
    /// The stream to the control plane breaks.
    Break,
    /// How the control plane cuts what it sends into messages.
    PerMessage(u8),
}

/// What the way does to a message.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// Nothing.
    Arrives,
    /// It is lost.
    Lost,
    /// It comes twice.
    Twice,
    /// It comes after the next one.
    Swapped,
    /// Only its first bytes come.
    Truncated(u16),
    /// One of its bytes is another.
    Garbled(u16, u8),
}

/// The steps that the bytes stand for.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut world = World::new();
    while !input.is_empty() {
        let step = step(&mut input);
        world.step(step);
    }
    world.arrive();
}

/// Plays the steps, then lets the way be good again.
pub fn play(steps: &[Step]) {
    let mut world = World::new();
    steps.iter().for_each(|step| world.step(*step));
    world.arrive();
}

fn step(input: &mut Input<'_>) -> Step {
    let kind = input.byte();
    let who =
        |number: u8| if number & 1 == 0 { Who::Session(number / 2 % 16) } else { Who::User(number / 2 % 4) };
    match kind % 16 {
        0 | 1 => Step::Revoke(who(input.byte()), cutoff(input.byte())),
        2 => Step::Undo(who(input.byte())),
        3 => Step::Tick(u64::from(input.byte()) * 100),
        4 => Step::Deliver(Fate::Lost),
        5 => Step::Deliver(Fate::Twice),
        6 => Step::Deliver(Fate::Swapped),
        7 => Step::Deliver(Fate::Truncated(u16::from(input.byte()))),
        8 => Step::Deliver(Fate::Garbled(u16::from(input.byte()), input.byte())),
        9 | 10 => {
            let time = input.byte();
            let issued_at = (time & 8 == 0).then_some(u64::from(time % 8));
            Step::Request(Bearer { session: input.byte() % 16, issued_at })
        }
        11 => Step::Leave(input.byte()),
        12 => Step::Break,
        13 => Step::PerMessage(input.byte() % 4),
        _ => Step::Deliver(Fate::Arrives),
    }
}

/// Every other one spares tokens that are new enough.
fn cutoff(number: u8) -> Cutoff {
    if number & 1 == 0 { Cutoff::Always } else { Cutoff::At(u64::from(number / 2 % 8)) }
}

struct World {
    plane: Plane,
    gate: Gate,
    /// Messages on their way; `None` while there is no stream.
    way: Option<VecDeque<Control>>,
    per_message: usize,
    now: u64,
    spoke_at: u64,
    last_stream: u32,
    open: BTreeMap<u32, (Bearer, Attached)>,
    held: BTreeMap<u32, (Bearer, u64)>,
    /// The latest version that what is enforced was in force at.
    at: Version,
    /// A byte was changed on the way, as only somebody who breaks TLS can: versions may be anything then.
    garbled: bool,
}

impl World {
    fn new() -> Self {
        let policy = Policy::parse(br#"{"control_plane":{"cluster":"c"}}"#);
        let policy = policy.unwrap_or_else(|error| panic!("{error}"));
        Self {
            plane: Plane::new(),
            gate: Gate::new(policy, Identity::default(), [7; 16], 7, 0),
            way: None,
            per_message: 1,
            now: 0,
            spoke_at: 0,
            last_stream: 0,
            open: BTreeMap::new(),
            held: BTreeMap::new(),
            at: 0,
            garbled: false,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Revoke(who, cutoff) => {
                let delta = self.plane.revoke(who, cutoff);
                self.say(Some(delta));
            }
            Step::Undo(who) => {
                let delta = self.plane.undo(who);
                self.say(delta);
            }
            Step::Deliver(fate) => self.deliver(fate),
            Step::Tick(millis) => self.tick(millis),
            Step::Request(bearer) => self.request(bearer),
            Step::Leave(number) => self.leave(number),
            Step::Break => {
                if self.way.take().is_some() {
                    self.gate.closed();
                }
            }
            Step::PerMessage(count) => self.per_message = usize::from(count),
        }
    }

    fn say(&mut self, messages: impl IntoIterator<Item = Control>) {
        if let Some(way) = &mut self.way {
            way.extend(messages);
        }
    }

    fn tick(&mut self, millis: u64) {
        self.now += millis;
        if self.now >= self.spoke_at + HEARTBEAT {
            self.spoke_at = self.now;
            self.say(Some(self.plane.heartbeat()));
        }
        let effects = self.gate.tick(self.now);
        self.perform(effects);
    }

    fn deliver(&mut self, fate: Fate) {
        let Some(way) = &mut self.way else { return };
        let Some(message) = way.pop_front() else { return };
        let mut messages = vec![message];
        match fate {
            Fate::Lost => messages.clear(),
            Fate::Twice => messages.extend(messages.clone()),
            Fate::Swapped => messages.splice(..0, way.pop_front()).for_each(drop),
            Fate::Arrives | Fate::Truncated(_) | Fate::Garbled(..) => {}
        }
        for message in messages {
            // The digest speaks for the entries; for the rest of a message TLS does.
            let vouched = match &message {
                Control::Header(_) => false,
                Control::Delta(delta) => delta.shapes.is_empty(),
                Control::Chunk(_) | Control::Heartbeat(_) => true,
            };
            let mut bytes = ControlMessage { message: Some(message) }.encode_to_vec();
            match fate {
                Fate::Truncated(at) => bytes.truncate(usize::from(at)),
                Fate::Garbled(at, flip) if vouched => {
                    self.garbled = true;
                    bytes.get_mut(usize::from(at)).into_iter().for_each(|byte| *byte ^= flip);
                }
                _ => {}
            }
            if self.way.is_some() {
                let effects = self.gate.receive(&bytes, 0);
                self.perform(effects);
            }
        }
    }

    fn perform(&mut self, effects: Effects) {
        if effects.disconnect {
            self.way = None;
        }
        self.locate();
        for (stream, code) in effects.cut {
            let (bearer, attached) =
                self.open.remove(&stream).unwrap_or_else(|| panic!("cuts a stream that is none"));
            let kind = self.enforced().rejects(bearer);
            assert_eq!(kind.map(Code::Revoked), Some(code), "cuts {bearer:?} for another reason");
            self.gate.leave(stream, &attached);
        }
        for bearer in self.open.values().map(|(bearer, _)| *bearer) {
            assert_eq!(self.enforced().rejects(bearer), None, "an open stream of {bearer:?} is not cut");
        }
        for stream in effects.retry {
            let (bearer, _) =
                self.held.get(&stream).unwrap_or_else(|| panic!("releases a stream that is not held"));
            self.decide(stream, *bearer);
        }
        if self.gate.store().is_some() {
            assert!(self.held.is_empty(), "a request is held although there is a set");
        }
        self.listen(&effects.send);
        if effects.connect {
            assert!(self.way.is_none(), "a second stream");
            self.way = Some(VecDeque::new());
            let effects = self.gate.opened();
            self.listen(&effects.send);
        }
    }

    fn listen(&mut self, messages: &[Vec<u8>]) {
        for message in messages {
            let message = EdgeMessage::decode(message.as_slice()).ok().and_then(|message| message.message);
            let position = match message.unwrap_or_else(|| panic!("what the gate says cannot be read")) {
                Edge::Hello(hello) => hello.position.map(|position| position.version),
                Edge::SnapshotRequest(_) => None,
                Edge::Receipt(_) => continue,
            };
            // What is on its way already comes before.
            self.say(self.plane.answer(position, self.per_message));
        }
    }

    /// What the gate enforces was in force at a version, and at no older one than before.
    fn locate(&mut self) {
        let Some(store) = self.gate.store() else { return };
        let digest = store.set.digest();
        let is_it = |(_, past): &(usize, &Past)| past.digest == digest;
        let mut past = self.plane.past().iter().enumerate();
        let found = if self.garbled {
            past.find(is_it)
        } else {
            past.find(|it| it.0 as Version >= self.at && is_it(it))
        };
        let (at, _) = found.unwrap_or_else(|| panic!("a set that never was, or is over"));
        self.at = at as Version;
    }

    fn enforced(&self) -> &Past {
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        self.plane.past().get(at).unwrap_or_else(|| panic!("a version that never was"))
    }

    fn request(&mut self, bearer: Bearer) {
        self.last_stream += 1;
        self.decide(self.last_stream, bearer);
    }

    fn decide(&mut self, stream: u32, bearer: Bearer) {
        let raw = bearer.raw();
        let mut request = Request::new(stream);
        self.gate.present(&mut request, Ok(Some(raw.as_bytes().into())));
        let (verdict, attached) = self.gate.decide(request);
        assert_eq!(self.gate.asks(), matches!(verdict, Verdict::Reject(Code::Revoked(_))), "{bearer:?}");
        self.gate.tried(Some(raw.as_bytes()), self.now);
        let until = self.held.get(&stream).map_or(self.now + HOLD, |(_, until)| *until);
        let expect = match (self.gate.freshness(), self.enforced().rejects(bearer)) {
            (Freshness::NeverSynced, _) if self.now < until => Verdict::Hold,
            (Freshness::NeverSynced, _) => Verdict::Reject(Code::NotSynced),
            (_, Some(kind)) => Verdict::Reject(Code::Revoked(kind)),
            (Freshness::Stale, None) => Verdict::Pass(Some(Code::Stale)),
            (Freshness::Current, None) => Verdict::Pass(None),
        };
        assert_eq!(verdict, expect, "{bearer:?} at version {}", self.at);
        self.held.remove(&stream);
        match verdict {
            Verdict::Hold => drop(self.held.insert(stream, (bearer, until))),
            Verdict::Pass(_) => drop(self.open.insert(stream, (bearer, attached))),
            _ => {}
        }
    }

    fn leave(&mut self, number: u8) {
        let Some(stream) = self.open.keys().chain(self.held.keys()).nth(usize::from(number) % 8).copied()
        else {
            return;
        };
        let attached = self.open.remove(&stream).map(|(_, attached)| attached).unwrap_or_default();
        self.held.remove(&stream);
        self.gate.leave(stream, &attached);
    }

    /// The way is good again: a minute is enough, back-off included.
    fn arrive(&mut self) {
        for _ in 0..1_200 {
            while self.way.as_ref().is_some_and(|way| !way.is_empty()) {
                self.deliver(Fate::Arrives);
            }
            if self.has_arrived() {
                return;
            }
            self.tick(50);
        }
        let version = self.gate.store().map(|store| store.version);
        panic!("not at version {} after a minute, but at {version:?}", self.plane.version());
    }

    fn has_arrived(&self) -> bool {
        let store = self.gate.store();
        store.is_some_and(|store| {
            (store.version, store.set.digest()) == (self.plane.version(), self.plane.now().digest)
        })
    }
}
