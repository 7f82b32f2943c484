//! Counting verdicts between two flushes, so that a request makes no host call for metrics.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::verdict::{Code, Verdict};
use crate::wire::edge::Rejections;

const CODES: usize = Code::ALL.len();

/// Outcomes of `portcullis_requests_total`, in the order of the counters.
pub const OUTCOMES: [&str; 4] = ["passed", "rejected", "observed", "marked"];
/// The code of a request that nothing was held against.
pub const NO_CODE: &str = "none";

/// Counts since the last flush.
#[derive(Debug, Default)]
pub struct Tally {
    clear: u64,
    uncovered: u64,
    crowded_out: u64,
    // By outcome, then code.
    counts: [[u64; CODES]; 4],
    // Rejections that no receipt has told yet, by whether they passed, then code.
    untold: [[u64; CODES]; 2],
}

impl Tally {
    pub(crate) fn decided(&mut self, verdict: Verdict) {
        let (outcome, code) = match verdict {
            Verdict::Hold => return,
            Verdict::Pass(None) => {
                self.clear += 1;
                return;
            }
            Verdict::Pass(Some(code)) => (0, code),
            Verdict::Reject(code) => (1, code),
            Verdict::Observe(code) => (2, code),
            Verdict::Mark(code) => (3, code),
        };
        add(&mut self.counts, outcome, code);
        if outcome > 0 {
            add(&mut self.untold, usize::from(outcome > 1), code);
        }
    }

    pub(crate) fn not_covered(&mut self) {
        self.uncovered += 1;
    }

    /// What was counted, and zero again: outcome, code, count.
    pub(crate) fn take(&mut self) -> Vec<(&'static str, &'static str, u64)> {
        let clear = (OUTCOMES[0], NO_CODE, core::mem::take(&mut self.clear));
        let counts = core::mem::take(&mut self.counts);
        let coded = OUTCOMES.into_iter().zip(counts).flat_map(|(outcome, by_code)| {
            Code::ALL.into_iter().zip(by_code).map(move |(code, count)| (outcome, code.name(), count))
        });
        [clear].into_iter().chain(coded).filter(|(_, _, count)| *count > 0).collect()
    }

    pub(crate) fn take_not_covered(&mut self) -> u64 {
        core::mem::take(&mut self.uncovered)
    }

    pub(crate) fn crowded_out(&mut self) {
        self.crowded_out += 1;
    }

    pub(crate) fn take_crowded_out(&mut self) -> u64 {
        core::mem::take(&mut self.crowded_out)
    }

    pub(crate) fn has_rejections(&self) -> bool {
        self.untold.iter().flatten().any(|count| *count > 0)
    }

    pub(crate) fn take_rejections(&mut self) -> Vec<Rejections> {
        let untold = core::mem::take(&mut self.untold);
        let by_code = [false, true].into_iter().zip(untold).flat_map(|(passed, by_code)| {
            let rejections =
                move |(code, count): (Code, u64)| Rejections { code: code.name().to_string(), count, passed };
            Code::ALL.into_iter().zip(by_code).map(rejections)
        });
        by_code.filter(|rejections| rejections.count > 0).collect()
    }
}

fn add<const N: usize>(counts: &mut [[u64; CODES]; N], row: usize, code: Code) {
    if let Some(count) = counts.get_mut(row).and_then(|by_code| by_code.get_mut(code.index())) {
        *count += 1;
    }
}
