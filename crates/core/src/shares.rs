//! Gauges that are sums over the workers of one Envoy.
//!
//! The host has one gauge for all workers, and each can only add to it. A worker that traps takes nothing back, so what
//! each has added stands in a table that all of them share: whoever looks at it next takes back for those that have
//! said nothing for a while. The table also has what it has brought into the gauges, so that its next holder adds the
//! difference.

use alloc::vec::Vec;

/// What one worker has in each gauge, or all of them together.
pub type Shares = [u32; 4];

/// A worker that has said nothing for so long is gone, in seconds: three times as long as each takes at most.
pub const GONE_AFTER: u64 = 15;
/// A worker says at least this often that it is there, in seconds.
pub const REFRESH: u64 = 5;

/// Most workers; those beyond are not counted.
const MAX_WORKERS: usize = 1_024;
const TOTALS: usize = 16;
const ROW: usize = 8 + 8 + TOTALS;

/// A step of the table: what it is then, and what that makes of the gauges.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The table, as it is to be stored if nobody has changed it meanwhile.
    pub table: Vec<u8>,
    /// What to add to each gauge once it is.
    pub add: [i64; 4],
}

/// What becomes of a table when a worker says what it has, at a Unix time in seconds; `None`: that it ends. What is no
/// table is an empty one.
#[must_use]
pub fn step(table: &[u8], worker: u64, shares: Option<Shares>, now: u64) -> Step {
    let (before, rows) = match table.split_at_checked(TOTALS) {
        Some((totals, rows)) if rows.len() % ROW == 0 => (numbers(totals), rows),
        _ => (Shares::default(), &[][..]),
    };
    let mut next = Vec::with_capacity(table.len() + ROW);
    next.extend_from_slice(&[0; TOTALS]);
    let mut after = Shares::default();
    let mut keep = |row: &[u8], shares: Shares| {
        next.extend_from_slice(row);
        for (sum, share) in after.iter_mut().zip(shares) {
            *sum = sum.saturating_add(share);
        }
    };
    let mut others = 0;
    for row in rows.chunks_exact(ROW) {
        let seen = number(row, 8);
        // A clock that was set back makes nobody stay for ever.
        if number(row, 0) != worker && now.abs_diff(seen) <= GONE_AFTER && others < MAX_WORKERS {
            keep(row, numbers(row.get(16..).unwrap_or_default()));
            others += 1;
        }
    }
    if let Some(shares) = shares.filter(|_| others < MAX_WORKERS) {
        let mut row = Vec::with_capacity(ROW);
        row.extend_from_slice(&worker.to_le_bytes());
        row.extend_from_slice(&now.to_le_bytes());
        shares.iter().for_each(|share| row.extend_from_slice(&share.to_le_bytes()));
        keep(&row, shares);
    }
    for (place, total) in next.chunks_exact_mut(4).zip(after) {
        place.copy_from_slice(&total.to_le_bytes());
    }
    let mut add = [0; 4];
    for (add, (after, before)) in add.iter_mut().zip(after.into_iter().zip(before)) {
        *add = i64::from(after) - i64::from(before);
    }
    Step { table: next, add }
}

fn number(row: &[u8], at: usize) -> u64 {
    row.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn numbers(bytes: &[u8]) -> Shares {
    let mut numbers = Shares::default();
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
        *number = bytes.try_into().map_or(0, u32::from_le_bytes);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gauges after each worker has said what it has, at its time.
    fn gauges(said: &[(u64, Option<Shares>, u64)]) -> [i64; 4] {
        let (mut table, mut gauges) = (Vec::new(), [0; 4]);
        for (worker, shares, now) in said {
            let step = step(&table, *worker, *shares, *now);
            table = step.table;
            for (gauge, add) in gauges.iter_mut().zip(step.add) {
                *gauge += add;
            }
        }
        gauges
    }

    #[test]
    fn gauges_are_the_sums_of_who_is_there() {
        let check =
            |said: &[(u64, Option<Shares>, u64)], expect| assert_eq!(gauges(said), expect, "{said:?}");
        check(&[(1, Some([1, 0, 0, 3]), 100)], [1, 0, 0, 3]);
        check(&[(1, Some([1, 0, 0, 3]), 100), (2, Some([1, 1, 0, 0]), 101)], [2, 1, 0, 3]);
        check(&[(1, Some([1, 0, 0, 3]), 100), (1, Some([0, 0, 0, 0]), 101)], [0; 4]);
        check(&[(1, Some([1, 1, 1, 1]), 100), (1, None, 100)], [0; 4]);
        // Worker 1 has trapped: worker 2 takes back for it once it has been silent for long enough, and not before.
        check(&[(1, Some([1, 0, 0, 7]), 100), (2, Some([0; 4]), 115)], [1, 0, 0, 7]);
        check(&[(1, Some([1, 0, 0, 7]), 100), (2, Some([0; 4]), 116)], [0; 4]);
        // Clocks that go back do not keep it either.
        check(&[(1, Some([1, 0, 0, 7]), 1_000), (2, Some([0; 4]), 100)], [0; 4]);
    }

    #[test]
    fn what_is_no_table_is_an_empty_one() {
        for table in [&b""[..], b"x", &[7; TOTALS + 1], &[7; ROW]] {
            let next = step(table, 1, Some([1; 4]), 9);
            assert_eq!((next.add, next.table.len()), ([1; 4], TOTALS + ROW), "{table:?}");
        }
    }

    #[test]
    fn a_table_has_an_end() {
        let mut table = Vec::new();
        for worker in 0..2 * MAX_WORKERS as u64 {
            table = step(&table, worker, Some([1; 4]), 9).table;
        }
        assert_eq!(table.len(), TOTALS + MAX_WORKERS * ROW);
    }
}
