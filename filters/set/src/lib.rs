//! Measures the set where it lives, in the VM of an Envoy's worker, for `cargo xtask bench set`.
//!
//! Its configuration is the number of entries. A request for `/load` takes a snapshot of so many in as an edge does,
//! one for `/look` looks keys up; each is answered with what it took, as JSON.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;
use std::time::SystemTime;

use portcullis_core::set::{PAGES, Page};
use portcullis_core::sync::Sync;
use portcullis_core::wire::edge::control_message::Message;
use portcullis_core::wire::edge::{ControlMessage, Header, Heartbeat, Pages, SnapshotChunk, SnapshotInfo};
use portcullis_core::{Key, RevocationSet};
use prost::Message as _;
use proxy_wasm::hostcalls::get_current_time;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

mod entry {
    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::<super::Root>::default());
    }}
}

/// Entries of a chunk, as the control plane makes them.
const PER_CHUNK: usize = 5_000;
/// Look-ups of each kind in one measurement.
const LOOKS: u64 = 1_000_000;

#[derive(Default)]
struct Root {
    entries: u64,
    bench: Rc<RefCell<Bench>>,
}

/// The snapshot's messages, made by the first request, and the edge's end of the protocol that has taken them in.
#[derive(Default)]
struct Bench {
    messages: Vec<Vec<u8>>,
    sync: Sync,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        match String::from_utf8_lossy(&text).parse() {
            Ok(entries) => {
                self.entries = entries;
                true
            }
            Err(_) => false,
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http { entries: self.entries, bench: Rc::clone(&self.bench) }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Http {
    entries: u64,
    bench: Rc<RefCell<Bench>>,
}

impl Context for Http {}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let path = self.get_http_request_header(":path").unwrap_or_default();
        let mut bench = self.bench.borrow_mut();
        let answer = match path.as_str() {
            "/load" => bench.load(self.entries),
            "/look" => bench.look(self.entries),
            _ => Err(format!("{path} is neither /load nor /look")),
        };
        match answer {
            Ok(json) => self.send_http_response(200, Vec::new(), Some(json.as_bytes())),
            Err(error) => self.send_http_response(500, Vec::new(), Some(error.as_bytes())),
        }
        Action::Pause
    }
}

impl Bench {
    /// Takes the snapshot in, once more: how long that took altogether, and the longest of its messages.
    fn load(&mut self, entries: u64) -> Result<String, String> {
        if self.messages.is_empty() {
            self.messages = messages(entries)?;
        }
        self.sync = Sync::default();
        let (mut total, mut longest) = (0, 0);
        for message in &self.messages {
            let start = nanoseconds()?;
            self.sync.receive(message).map_err(|error| error.to_string())?;
            let took = nanoseconds()?.saturating_sub(start);
            total += took;
            longest = longest.max(took);
        }
        let held = self.sync.store().map_or(0, |store| store.set.len());
        Ok(format!("{{\"entries\":{held},\"load_ns\":{total},\"longest_ns\":{longest}}}"))
    }

    /// Looks up keys that are there and keys that are not, in random order, less what making the keys takes.
    fn look(&self, entries: u64) -> Result<String, String> {
        let set = &self.sync.store().ok_or("nothing is loaded")?.set;
        let time = |first: u64, found: &dyn Fn(Key) -> bool| {
            let start = nanoseconds()?;
            let mut hits = 0_u64;
            for look in 0..LOOKS {
                // A random one of `entries` keys, from the `first` on.
                let at = (u128::from(mix(look)) * u128::from(entries)) >> 64;
                let key = key(first + at as u64);
                hits += u64::from(found(black_box(key)));
            }
            Ok::<_, String>((nanoseconds()?.saturating_sub(start), hits))
        };
        let (blank, _) = time(0, &|_| false)?;
        let (hit, hits) = time(0, &|key| set.get(key).is_some())?;
        let (miss, false_hits) = time(entries, &|key| set.get(key).is_some())?;
        Ok(format!(
            "{{\"looks\":{LOOKS},\"blank_ns\":{blank},\"hit_ns\":{hit},\"miss_ns\":{miss},\"hits\":{hits},\
             \"false_hits\":{false_hits}}}"
        ))
    }
}

fn nanoseconds() -> Result<u128, String> {
    let now = get_current_time().map_err(|status| format!("no time: {status:?}"))?;
    let since = now.duration_since(SystemTime::UNIX_EPOCH).map_err(|error| error.to_string())?;
    Ok(since.as_nanos())
}

/// A snapshot of the first so many keys, none of them with a cut-off, as sessions are.
fn messages(entries: u64) -> Result<Vec<Vec<u8>>, String> {
    let set = set(entries)?;
    let (digest, version) = (Vec::from(set.digest()), 1);
    let info = SnapshotInfo { version, entries: set.len() as u64, digest: digest.clone(), current: version };
    let header = Header {
        store_id: vec![1; 16],
        hash_key: vec![2; 16],
        shapes: Vec::new(),
        heartbeat_ms: 5_000,
        snapshot: Some(info),
    };
    let pages = Pages::of(&set, PER_CHUNK);
    let last = pages.len().saturating_sub(1);
    drop(set);
    let chunks = pages.into_iter().enumerate().map(|(at, pages)| {
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        Message::Chunk(SnapshotChunk { index, pages: Some(pages), last: at == last })
    });
    let heartbeat = Message::Heartbeat(Heartbeat { version, digest });
    let all = std::iter::once(Message::Header(header)).chain(chunks).chain([heartbeat]);
    Ok(all.map(|message| ControlMessage { message: Some(message) }.encode_to_vec()).collect())
}

/// The first so many keys, page by page: inserting them one by one would take minutes.
fn set(entries: u64) -> Result<RevocationSet, String> {
    let mut pages = vec![Vec::new(); usize::from(PAGES)];
    for number in 0..entries {
        let [low, high, rest @ ..] = key(number).to_bytes();
        if let Some(page) = pages.get_mut(usize::from(u16::from_le_bytes([low, high]))) {
            page.push(rest);
        }
    }
    let mut set = RevocationSet::default();
    for (number, mut always) in (0..).zip(pages) {
        always.sort_unstable_by_key(|[high @ .., low]| (u64::from_le_bytes(*high), *low));
        let page = Page { number, always: &always, timed: &[] };
        set.fill(page).map_err(|error| format!("page {number}: {error:?}"))?;
    }
    Ok(set)
}

/// The key of that number: as random as the hashes that keys are.
fn key(number: u64) -> Key {
    let (one, other) = (mix(number), mix(!number));
    let ([a, b, c, d, e, f, g, h], [i, j, k, ..]) = (one.to_le_bytes(), other.to_le_bytes());
    Key::from_bytes([a, b, c, d, e, f, g, h, i, j, k])
}

/// The output function of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators").
fn mix(number: u64) -> u64 {
    let mut word = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
