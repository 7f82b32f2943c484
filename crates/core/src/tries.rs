//! What revoked tokens have asked for, until the control plane is told: counted by the key that stood against them
//! and the path, within bounds that no client moves.

use alloc::vec::Vec;

use crate::Millis;
use crate::key::Key;
use crate::wire::edge::Tried;

/// Most rows between two reports; beyond them requests are only counted.
pub const MAX_ROWS: usize = 64;
/// Most paths of one key: more are one row without a path, so that nobody takes all rows with paths of their making.
pub const MAX_PATHS: usize = 8;
/// Most keys that one request counts for.
pub const MAX_KEYS: usize = 4;
/// Longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 100;

/// The requests that no report has told yet.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// Until they are taken, with the times of the first and the last in place of their ages.
    rows: Vec<Tried>,
    more: u64,
    /// What stood against the request that was decided last.
    keys: Vec<Key>,
}

impl Tries {
    /// Something stands against the request that is being decided; [`Tries::asked`] must follow.
    pub(crate) fn begin(&mut self) {
        self.keys.clear();
    }

    /// A key that does.
    pub(crate) fn against(&mut self, key: Key) {
        if self.keys.len() < MAX_KEYS && !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }

    /// Whether there is a request of which it is not known yet what it asked for.
    pub(crate) fn is_asking(&self) -> bool {
        !self.keys.is_empty()
    }

    /// What that request asked for.
    pub(crate) fn asked(&mut self, target: Option<&[u8]>, now: Millis) {
        let path = path(target.unwrap_or_default());
        while let Some(key) = self.keys.pop() {
            self.count(&key.to_bytes(), &path, now);
        }
    }

    fn count(&mut self, key: &[u8], path: &[u8], now: Millis) {
        let (mut of_key, mut place, mut rest) = (0, None, None);
        for (index, row) in self.rows.iter().enumerate() {
            if row.key != key {
                continue;
            }
            of_key += 1;
            if row.path == path {
                place = Some(index);
            } else if row.path.is_empty() {
                rest = Some(index);
            }
        }
        let is_full = of_key >= MAX_PATHS;
        let place = if is_full { place.or(rest) } else { place };
        if let Some(row) = place.and_then(|index| self.rows.get_mut(index)) {
            row.count += 1;
            row.last_ms_ago = now;
        } else if self.rows.len() < MAX_ROWS {
            let path = if is_full { &[] } else { path };
            let (key, path) = (key.to_vec(), path.to_vec());
            self.rows.push(Tried { key, path, count: 1, passed: false, first_ms_ago: now, last_ms_ago: now });
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What was counted, and nothing again: the rows, and what had none.
    pub(crate) fn take(&mut self, passed: bool, now: Millis) -> (Vec<Tried>, u64) {
        let mut rows = core::mem::take(&mut self.rows);
        for row in &mut rows {
            row.passed = passed;
            row.first_ms_ago = now.saturating_sub(row.first_ms_ago);
            row.last_ms_ago = now.saturating_sub(row.last_ms_ago);
        }
        (rows, core::mem::take(&mut self.more))
    }
}

/// The path of a request's target. A `?` stands for a byte that no log should show: there is none in a path.
fn path(target: &[u8]) -> Vec<u8> {
    let path = target.iter().take_while(|byte| !matches!(byte, b'?' | b'#')).take(MAX_PATH_BYTES);
    path.map(|byte| if byte.is_ascii_graphic() { *byte } else { b'?' }).collect()
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;

    use super::*;

    fn key(n: u8) -> Key {
        Key::from_bytes([n, 0, n, n, n, n, n, n, n, n, n])
    }

    fn asked(tries: &mut Tries, keys: &[Key], target: &str, now: Millis) {
        tries.begin();
        keys.iter().for_each(|key| tries.against(*key));
        tries.asked(Some(target.as_bytes()), now);
    }

    /// Key, path, count, and how long ago the first and the last were.
    type Told = (u8, String, u64, u64, u64);

    /// The rows, and what had none.
    fn told(tries: &mut Tries, now: Millis) -> (Vec<Told>, u64) {
        let (rows, more) = tries.take(false, now);
        let row = |row: Tried| {
            assert_eq!((row.key.len(), row.passed), (11, false));
            (row.key[0], String::from_utf8(row.path).unwrap(), row.count, row.first_ms_ago, row.last_ms_ago)
        };
        (rows.into_iter().map(row).collect(), more)
    }

    #[test]
    fn requests_are_counted_by_key_and_path() {
        let mut tries = Tries::default();
        asked(&mut tries, &[key(1)], "/payments?card=1", 100);
        asked(&mut tries, &[key(1)], "/payments#top", 250);
        asked(&mut tries, &[key(1), key(2), key(1)], "/orders", 300);
        assert_eq!(
            told(&mut tries, 1_000),
            (
                vec![
                    (1, "/payments".into(), 2, 900, 750),
                    (2, "/orders".into(), 1, 700, 700),
                    (1, "/orders".into(), 1, 700, 700),
                ],
                0
            )
        );
        assert!(tries.is_empty());
        assert_eq!(told(&mut tries, 1_000), (vec![], 0));
    }

    #[test]
    fn one_key_cannot_take_all_rows() {
        let mut tries = Tries::default();
        (0..1_000).for_each(|n| asked(&mut tries, &[key(1)], &format!("/{n}"), 0));
        asked(&mut tries, &[key(1)], "/3", 0);
        asked(&mut tries, &[key(2)], "/", 0);
        let (rows, more) = told(&mut tries, 0);
        assert_eq!((rows.len(), more), (MAX_PATHS + 2, 0));
        assert!(
            rows.contains(&(1, String::new(), 992, 0, 0)) && rows.contains(&(1, "/3".into(), 2, 0, 0)),
            "{rows:?}"
        );
        assert!(rows.contains(&(2, "/".into(), 1, 0, 0)));
    }

    #[test]
    fn what_has_no_row_is_counted() {
        let mut tries = Tries::default();
        (0..=255).for_each(|n| asked(&mut tries, &[key(n)], "/", 0));
        let (rows, more) = told(&mut tries, 0);
        assert_eq!((rows.len(), more), (MAX_ROWS, 256 - MAX_ROWS as u64));
    }

    #[test]
    fn a_request_counts_for_few_keys() {
        let mut tries = Tries::default();
        let keys: Vec<Key> = (0..100).map(key).collect();
        asked(&mut tries, &keys, "/", 0);
        assert_eq!(told(&mut tries, 0).0.len(), MAX_KEYS);
    }

    #[test]
    fn a_path_is_short_and_printable() {
        assert_eq!(path(b"/a b\n\xff/%20?q#f"), b"/a?b??/%20");
        assert_eq!(path(&[b'x'; 500]).len(), MAX_PATH_BYTES);
        assert_eq!(path(b""), b"");
    }
}
