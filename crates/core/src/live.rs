//! The tokens of this worker: those seen lately, so that a repeated one is not read again, and those with
//! open streams, so that a revocation ends exactly these.
//!
//! A token seen before costs a hash of its end, one look-up and one comparison. Idle tokens are evicted by the clock
//! algorithm within [`MAX_TOKENS`] and [`MAX_BYTES`], and for one that has come twice only: a flood of tokens that come
//! once evicts nothing. A token with an open stream stays as long as the stream, within [`MAX_OPEN_BYTES`]. Only tokens whose streams outlive a tick are indexed by key; the others, few at any moment, are
//! scanned when something changes, so that an ordinary request never pays for an index.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::hash::Hasher;

use hashbrown::hash_map::Entry;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::claims::TokenKeys;
use crate::key::{Key, KeyMap};
use crate::set::Change;
use crate::token::{MAX_TOKEN_BYTES, Malformed};
use crate::words;

mod seen;

use seen::Seen;

/// Most idle tokens that are remembered. The number of those with open streams is bounded by Envoy's own limits.
pub const MAX_TOKENS: usize = 16_384;
/// Most bytes that idle tokens may take, their keys included.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// What idle tokens may take for good: then there is room for one more, until it is known whether it has come before.
const SETTLED: Room = Room { tokens: MAX_TOKENS - 1, bytes: MAX_BYTES - MAX_TOKEN_BYTES };
/// When the tokens with open streams take more than this, only small ones are taken in: what is held then grows
/// by less for a stream than Envoy holds for it.
pub const MAX_OPEN_BYTES: usize = 64 * 1024 * 1024;
/// A token that counts as small, with its keys.
pub const SMALL_BYTES: usize = 8 * 1024;
/// What a key takes while its token is indexed.
const INDEXED_KEY_BYTES: usize = 128;
/// Bytes at a token's end that are hashed: there is its signature, or its randomness. Of tokens that end alike, the
/// latest is found again.
const HASHED_BYTES: usize = 64;

/// What idle tokens may take.
#[derive(Clone, Copy)]
struct Room {
    tokens: usize,
    bytes: usize,
}

/// A stream: the host's number of an HTTP request's context.
pub type StreamId = u32;

/// A token in the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenId(usize);

/// What [`Live::reread`] could not settle by itself.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Reread {
    /// Verified claims, which only the host can read again.
    pub verified: Vec<Verified>,
    /// Open tokens that count as malformed with the new shapes.
    pub malformed: Vec<TokenId>,
}

/// Verified claims to be read again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verified {
    /// The token that they are.
    pub token: TokenId,
    /// The stream that carries them.
    pub stream: StreamId,
    /// Their place in the policy's list of tokens.
    pub place: usize,
}

/// The tokens of one worker.
pub struct Live {
    secret: [u8; 16],
    slots: Vec<Slot>,
    free: Vec<usize>,
    by_hash: KeyMap<u128, usize>,
    by_key: KeyMap<Key, BTreeSet<usize>>,
    // Once the table is full.
    seen: Seen,
    // Slots with streams that are not indexed yet.
    young: Vec<usize>,
    hand: usize,
    // Of the idle ones alone.
    idle: usize,
    bytes: usize,
    // Of those with streams.
    open_bytes: usize,
}

struct Slot {
    source: Source,
    keys: TokenKeys,
    streams: Vec<StreamId>,
    /// Has come again since it was looked at for eviction.
    used: bool,
    place: Place,
}

enum Source {
    Vacant,
    /// A token by its bytes, kept so that it can be read again for new shapes.
    Raw {
        hash: u128,
        raw: Box<[u8]>,
    },
    /// Claims that the proxy verified, by the place in the policy's list of tokens that named them; they live
    /// with their one stream.
    Verified {
        place: usize,
    },
    /// Malformed since the shapes have changed; lives with its streams, and no request finds it.
    Orphan,
}

impl Slot {
    /// What it counts for among the idle ones.
    fn idle_count(&self) -> usize {
        usize::from(matches!(self.source, Source::Raw { .. }))
    }

    fn idle_bytes(&self) -> usize {
        match &self.source {
            Source::Raw { raw, .. } => {
                let keys = self.keys.keys.len().saturating_mul(size_of::<(Key, usize)>());
                raw.len().saturating_add(keys)
            }
            _ => 0,
        }
    }

    /// What it takes while it has streams.
    fn open_bytes(&self) -> usize {
        let raw = if let Source::Raw { raw, .. } = &self.source { raw.len() } else { 0 };
        raw.saturating_add(self.keys.keys.len().saturating_mul(INDEXED_KEY_BYTES))
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    Idle,
    Young,
    Indexed,
}

impl Live {
    /// An empty table. `secret`: random, so that nobody can aim at its buckets.
    #[must_use]
    pub fn new(secret: [u8; 16]) -> Self {
        Self {
            secret,
            slots: Vec::new(),
            free: Vec::new(),
            by_hash: KeyMap::default(),
            by_key: KeyMap::default(),
            seen: Seen::default(),
            young: Vec::new(),
            hand: 0,
            idle: 0,
            bytes: 0,
            open_bytes: 0,
        }
    }

    /// The token with these bytes; `read` is asked for its keys when it has not been seen lately.
    ///
    /// # Errors
    /// Those of `read`; such a token is not remembered.
    pub fn raw(
        &mut self,
        raw: &[u8],
        read: impl FnOnce() -> Result<TokenKeys, Malformed>,
    ) -> Result<TokenId, Malformed> {
        let hash = self.hash(raw);
        let found = self.by_hash.get(&hash).copied();
        if let Some(at) = found
            && let Some(slot) = self.slots.get_mut(at)
            && matches!(&slot.source, Source::Raw { raw: own, .. } if words::are_equal(own, raw))
        {
            slot.used = true;
            return Ok(TokenId(at));
        }
        let keys = read()?;
        if let Some(other) = found
            && self.slots.get(other).is_some_and(|slot| slot.streams.is_empty())
        {
            self.vacate(other);
        }
        let at = self.insert(Source::Raw { hash, raw: raw.into() }, keys);
        self.by_hash.insert(hash, at);
        self.count_idle(at);
        self.evict(at, Room { tokens: MAX_TOKENS, bytes: MAX_BYTES });
        Ok(TokenId(at))
    }

    /// Verified claims of one stream, by the place that named them. [`Live::attach`] must follow.
    pub fn verified(&mut self, place: usize, keys: TokenKeys) -> TokenId {
        TokenId(self.insert(Source::Verified { place }, keys))
    }

    /// Gives verified claims their keys anew.
    pub fn set_keys(&mut self, token: TokenId, keys: TokenKeys) {
        let Some(slot) = self.slots.get_mut(token.0) else { return };
        self.open_bytes = self.open_bytes.saturating_sub(slot.open_bytes());
        slot.keys = keys;
        self.open_bytes = self.open_bytes.saturating_add(slot.open_bytes());
    }

    /// What the set needs to know of a token.
    #[must_use]
    pub fn keys(&self, token: TokenId) -> Option<&TokenKeys> {
        self.slots.get(token.0).map(|slot| &slot.keys)
    }

    /// The open streams of a token.
    #[must_use]
    pub fn streams(&self, token: TokenId) -> &[StreamId] {
        self.slots.get(token.0).map_or(&[], |slot| &slot.streams)
    }

    /// A stream that carries the token is open. A token with a stream is not evicted. `false` when there is no
    /// room for it: the stream must not go on with this token.
    #[must_use]
    pub fn attach(&mut self, token: TokenId, stream: StreamId) -> bool {
        let Some(slot) = self.slots.get_mut(token.0) else { return false };
        if slot.streams.is_empty() {
            let bytes = slot.open_bytes();
            if bytes > SMALL_BYTES && self.open_bytes.saturating_add(bytes) > MAX_OPEN_BYTES {
                if !matches!(slot.source, Source::Raw { .. }) {
                    self.vacate(token.0);
                }
                return false;
            }
            self.open_bytes = self.open_bytes.saturating_add(bytes);
            self.idle = self.idle.saturating_sub(slot.idle_count());
            self.bytes = self.bytes.saturating_sub(slot.idle_bytes());
        }
        slot.streams.push(stream);
        if slot.place == Place::Idle {
            slot.place = Place::Young;
            self.young.push(token.0);
        }
        true
    }

    /// The stream has ended.
    pub fn detach(&mut self, token: TokenId, stream: StreamId) {
        let Some(slot) = self.slots.get_mut(token.0) else { return };
        // The latest streams are the likeliest to end.
        let Some(at) = slot.streams.iter().rposition(|one| *one == stream) else { return };
        slot.streams.swap_remove(at);
        if !slot.streams.is_empty() {
            return;
        }
        self.open_bytes = self.open_bytes.saturating_sub(slot.open_bytes());
        if slot.place == Place::Indexed {
            slot.place = Place::Idle;
            self.unindex(token.0);
        }
        let Some(slot) = self.slots.get_mut(token.0) else { return };
        if matches!(&slot.source, Source::Raw { hash, .. } if self.by_hash.get(hash) == Some(&token.0)) {
            self.became_idle(token.0);
        } else {
            // No request finds it any more.
            slot.source = Source::Orphan;
            self.vacate(token.0);
        }
    }

    /// The tokens with open streams that one of these changes concerns, once for each such change at most.
    #[must_use]
    pub fn touched(&self, changes: &[Change]) -> Vec<TokenId> {
        let changed: KeyMap<Key, ()> = changes.iter().map(|change| (change.key, ())).collect();
        let concerned = |at: &usize| {
            let slot = self.slots.get(*at);
            slot.is_some_and(|slot| {
                !slot.streams.is_empty() && slot.keys.keys.iter().any(|(key, _)| changed.contains_key(key))
            })
        };
        let indexed = changed.keys().filter_map(|key| self.by_key.get(key)).flatten();
        let young = self.young.iter().filter(|at| concerned(at));
        indexed.chain(young).copied().map(TokenId).collect()
    }

    /// All tokens with open streams.
    #[must_use]
    pub fn open(&self) -> Vec<TokenId> {
        let open = self.slots.iter().enumerate().filter(|(_, slot)| !slot.streams.is_empty());
        open.map(|(at, _)| TokenId(at)).collect()
    }

    /// Indexes the tokens whose streams have outlived a tick.
    pub fn tick(&mut self) {
        for at in core::mem::take(&mut self.young) {
            let Some(slot) = self.slots.get_mut(at) else { continue };
            if slot.place != Place::Young {
                continue;
            }
            if slot.streams.is_empty() {
                slot.place = Place::Idle;
                continue;
            }
            slot.place = Place::Indexed;
            for (key, _) in &slot.keys.keys {
                self.by_key.entry(*key).or_default().insert(at);
            }
        }
    }

    /// The shapes or the hash key have changed: forgets the idle tokens and reads the others again.
    pub fn reread(&mut self, mut read: impl FnMut(&[u8]) -> Result<TokenKeys, Malformed>) -> Reread {
        let mut reread = Reread::default();
        self.by_key.clear();
        self.young.clear();
        for at in 0..self.slots.len() {
            let Some(slot) = self.slots.get_mut(at) else { continue };
            let Some(stream) = slot.streams.first().copied() else {
                self.vacate(at);
                continue;
            };
            slot.place = Place::Young;
            self.young.push(at);
            match &slot.source {
                // It was read before, so only a claim with too many values can fail now.
                Source::Raw { hash, raw } => match read(raw) {
                    Ok(keys) => slot.keys = keys,
                    Err(_) => {
                        forget(&mut self.by_hash, *hash, at);
                        slot.source = Source::Orphan;
                        slot.keys.keys = Vec::new();
                        reread.malformed.push(TokenId(at));
                    }
                },
                Source::Verified { place } => {
                    // The old ones name shapes by places where others stand now.
                    slot.keys = TokenKeys::default();
                    reread.verified.push(Verified { token: TokenId(at), stream, place: *place });
                }
                Source::Vacant | Source::Orphan => {}
            }
        }
        let open = self.slots.iter().filter(|slot| !slot.streams.is_empty());
        self.open_bytes = open.map(Slot::open_bytes).fold(0, usize::saturating_add);
        reread
    }

    fn hash(&self, raw: &[u8]) -> u128 {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write(raw.last_chunk::<HASHED_BYTES>().map_or(raw, |end| end));
        hasher.finish128().as_u128()
    }

    fn insert(&mut self, source: Source, keys: TokenKeys) -> usize {
        let slot = Slot { source, keys, streams: Vec::new(), used: false, place: Place::Idle };
        if let Some(at) = self.free.pop()
            && let Some(vacant) = self.slots.get_mut(at)
        {
            *vacant = slot;
            return at;
        }
        self.slots.push(slot);
        self.slots.len().saturating_sub(1)
    }

    fn count_idle(&mut self, at: usize) {
        if let Some(slot) = self.slots.get(at) {
            self.idle = self.idle.saturating_add(slot.idle_count());
            self.bytes = self.bytes.saturating_add(slot.idle_bytes());
        }
    }

    /// A token's last stream has ended: it stays, if there is room or it has come before.
    fn became_idle(&mut self, at: usize) {
        self.count_idle(at);
        if !self.is_over(SETTLED) {
            return;
        }
        let Some(Slot { source: Source::Raw { hash, .. }, used, .. }) = self.slots.get_mut(at) else {
            return;
        };
        *used = *used || self.seen.before(*hash);
        if *used {
            self.evict(at, SETTLED);
        } else {
            self.vacate(at);
        }
    }

    fn is_over(&self, room: Room) -> bool {
        self.idle > room.tokens || self.bytes > room.bytes
    }

    /// Evicts idle tokens until there is that room, but not that one: it is about to be used, or just was.
    fn evict(&mut self, but: usize, room: Room) {
        // Two rounds: the first takes the mark away, the second finds it gone.
        let mut steps = self.slots.len().saturating_mul(2);
        while steps > 0 && self.is_over(room) {
            steps -= 1;
            self.hand = self.hand.checked_add(1).filter(|next| *next < self.slots.len()).unwrap_or_default();
            let Some(slot) = self.slots.get_mut(self.hand) else { return };
            let evictable = slot.streams.is_empty() && matches!(slot.source, Source::Raw { .. });
            if !evictable || self.hand == but {
                continue;
            }
            if slot.used {
                slot.used = false;
            } else {
                self.vacate(self.hand);
            }
        }
    }

    fn vacate(&mut self, at: usize) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        if slot.streams.is_empty() {
            self.idle = self.idle.saturating_sub(slot.idle_count());
            self.bytes = self.bytes.saturating_sub(slot.idle_bytes());
        }
        match core::mem::replace(&mut slot.source, Source::Vacant) {
            Source::Vacant => return,
            Source::Raw { hash, .. } => forget(&mut self.by_hash, hash, at),
            Source::Verified { .. } | Source::Orphan => {}
        }
        slot.keys.keys = Vec::new();
        slot.place = Place::Idle;
        self.free.push(at);
    }

    fn unindex(&mut self, at: usize) {
        let Some(slot) = self.slots.get(at) else { return };
        for (key, _) in &slot.keys.keys {
            if let Some(tokens) = self.by_key.get_mut(key) {
                tokens.remove(&at);
                if tokens.is_empty() {
                    self.by_key.remove(key);
                }
            }
        }
    }
}

/// Takes a token out of the table, if it is the one that is found there.
fn forget(by_hash: &mut KeyMap<u128, usize>, hash: u128, at: usize) {
    if let Entry::Occupied(found) = by_hash.entry(hash)
        && *found.get() == at
    {
        found.remove();
    }
}

#[cfg(test)]
mod tests;
