//! What revoked tokens have asked for, as edges tell it: checked, joined to the revocations, and summed until it is
//! taken.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_core::key::KEY_BYTES;
use portcullis_core::wire::edge;
use portcullis_core::{Key, Version};
use tonic::Status;

use crate::clock::UnixMillis;
use crate::log::Tried;

/// Most rows of a receipt: four times what a filter keeps.
const MAX_RECEIPT_ROWS: usize = 256;
/// Longest path, in bytes: more than twice what a filter tells.
const MAX_PATH_BYTES: usize = 256;
/// Most requests that one row may be; more is no count.
const MAX_COUNT: u64 = u32::MAX as u64;
/// Most sums between two takings.
const MAX_SUMS: usize = 4_096;

/// Requests that one edge says that a key stood against.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Row {
    pub(super) key: Key,
    path: String,
    count: u64,
    passed: bool,
    first_ms_ago: u64,
    last_ms_ago: u64,
}

impl Row {
    /// Reads the rows of a receipt.
    ///
    /// # Errors
    /// When one makes no sense, or there are more than any filter keeps.
    pub(super) fn read(rows: Vec<edge::Tried>) -> Result<Vec<Self>, Status> {
        if rows.len() > MAX_RECEIPT_ROWS {
            return Err(Status::invalid_argument(format!("tried has at most {MAX_RECEIPT_ROWS} rows")));
        }
        rows.into_iter().map(Self::read_one).collect()
    }

    fn read_one(row: edge::Tried) -> Result<Self, Status> {
        let edge::Tried { key, path, count, passed, first_ms_ago, last_ms_ago } = row;
        let key = <[u8; KEY_BYTES]>::try_from(key)
            .map_err(|_| Status::invalid_argument("tried.key has 11 bytes"))?;
        // Shown to operators.
        let path = String::from_utf8(path).ok();
        let path = path
            .filter(|path| path.len() <= MAX_PATH_BYTES && path.bytes().all(|byte| byte.is_ascii_graphic()));
        let path = path.ok_or_else(|| {
            Status::invalid_argument(format!("tried.path has at most {MAX_PATH_BYTES} printable characters"))
        })?;
        if !(1..=MAX_COUNT).contains(&count) || first_ms_ago < last_ms_ago {
            return Err(Status::invalid_argument("tried counts something, the first not after the last"));
        }
        Ok(Self { key: Key::from_bytes(key), path, count, passed, first_ms_ago, last_ms_ago })
    }
}

/// The sums since they were last taken.
#[derive(Debug, Default)]
pub struct Tries(Mutex<BTreeMap<Place, Sum>>);

/// Revocation, node, path.
type Place = (Version, String, String);

#[derive(Clone, Copy, Debug)]
struct Sum {
    count: u64,
    passed: u64,
    first_ms: UnixMillis,
    last_ms: UnixMillis,
}

impl Tries {
    /// Adds rows of an edge, each with the revocation that it is about. Returns the requests that none of them names,
    /// or that there was no room for.
    pub(super) fn add(
        &self,
        node: &str,
        rows: impl IntoIterator<Item = (Row, Option<Version>)>,
        now_ms: UnixMillis,
    ) -> u64 {
        let mut sums = self.lock();
        let mut left_out = 0_u64;
        for (row, revocation) in rows {
            let added = revocation.is_some_and(|revocation| {
                let ago = |ms| now_ms.saturating_sub(ms);
                let sum = Sum {
                    count: row.count,
                    passed: if row.passed { row.count } else { 0 },
                    first_ms: ago(row.first_ms_ago),
                    last_ms: ago(row.last_ms_ago),
                };
                add(&mut sums, (revocation, node.to_owned(), row.path.clone()), sum)
            });
            if !added {
                left_out = left_out.saturating_add(row.count);
            }
        }
        left_out
    }

    /// The sums, which begin anew.
    pub fn take(&self) -> Vec<Tried> {
        let sums = std::mem::take(&mut *self.lock());
        let tried = |((revocation, node, path), sum): (Place, Sum)| {
            let Sum { count, passed, first_ms, last_ms } = sum;
            Tried { revocation, node, path, count, passed, first_ms, last_ms }
        };
        sums.into_iter().map(tried).collect()
    }

    // Nothing that can fail half-way happens under the lock.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, Sum>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(sums: &mut BTreeMap<Place, Sum>, place: Place, sum: Sum) -> bool {
    if let Some(there) = sums.get_mut(&place) {
        there.count = there.count.saturating_add(sum.count);
        there.passed = there.passed.saturating_add(sum.passed);
        there.first_ms = there.first_ms.min(sum.first_ms);
        there.last_ms = there.last_ms.max(sum.last_ms);
    } else if sums.len() < MAX_SUMS {
        sums.insert(place, sum);
    } else {
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, count: u64) -> edge::Tried {
        edge::Tried {
            key: vec![1; KEY_BYTES],
            path: path.into(),
            count,
            passed: false,
            first_ms_ago: 900,
            last_ms_ago: 100,
        }
    }

    fn rows(rows: Vec<edge::Tried>) -> Vec<(Row, Option<Version>)> {
        Row::read(rows).unwrap().into_iter().map(|row| (row, Some(7))).collect()
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(Row::read(vec![row("/a", 1), row("", MAX_COUNT)]).is_ok());
        for wrong in [
            edge::Tried { key: vec![1; 16], ..row("/", 1) },
            row("/", 0),
            row("/", MAX_COUNT + 1),
            row(&"x".repeat(MAX_PATH_BYTES + 1), 1),
            row("/a\nb", 1),
            row("/\u{202e}", 1),
            edge::Tried { last_ms_ago: 901, ..row("/", 1) },
        ] {
            assert_eq!(
                Row::read(vec![wrong.clone()]).unwrap_err().code(),
                tonic::Code::InvalidArgument,
                "{wrong:?}"
            );
        }
        assert!(Row::read(vec![row("/", 1); MAX_RECEIPT_ROWS + 1]).is_err());
    }

    #[test]
    fn what_is_the_same_is_summed_in_the_control_planes_time() {
        let tries = Tries::default();
        let passed = edge::Tried { passed: true, first_ms_ago: 50, last_ms_ago: 0, ..row("/a", 3) };
        assert_eq!(tries.add("e1", rows(vec![row("/a", 2), passed, row("/b", 1)]), 10_000), 0);
        let tried = tries.take();
        assert_eq!(tried.len(), 2);
        let (a, b) = (&tried[0], &tried[1]);
        assert_eq!(
            (a.revocation, a.node.as_str(), a.path.as_str(), a.count, a.passed),
            (7, "e1", "/a", 5, 3)
        );
        assert_eq!((a.first_ms, a.last_ms, b.first_ms, b.last_ms), (9_100, 10_000, 9_100, 9_900));
        assert!(tries.take().is_empty());
    }

    #[test]
    fn what_no_revocation_names_and_what_is_too_much_is_counted() {
        let tries = Tries::default();
        let unknown = Row::read(vec![row("/", 5)]).unwrap().into_iter().map(|row| (row, None));
        assert_eq!(tries.add("e1", unknown, 0), 5);
        for n in 0..MAX_SUMS {
            assert_eq!(tries.add(&n.to_string(), rows(vec![row("/", 1)]), 0), 0);
        }
        assert_eq!(tries.add("another", rows(vec![row("/", 2)]), 0), 2);
        assert_eq!(tries.add("7", rows(vec![row("/", 2)]), 0), 0);
        assert_eq!(tries.take().len(), MAX_SUMS);
    }
}
