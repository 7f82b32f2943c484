//! What several runs say together.

/// One figure of several runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// The median.
    pub(crate) value: f64,
    /// The largest less the smallest.
    pub(crate) spread: f64,
    /// How many.
    pub(crate) runs: usize,
}

/// The median of the runs and their spread; `None` without a run, or if one of them is no number.
pub(crate) fn summary(runs: &[f64]) -> Option<Summary> {
    if runs.iter().any(|run| !run.is_finite()) {
        return None;
    }
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (first, last) = (sorted.first()?, sorted.last()?);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some(Summary { value: f64::midpoint(*lower, *upper), spread: last - first, runs: runs.len() })
}

/// The quotient of each run of one thing and the run of the other in the same round.
pub(crate) fn ratios(over: &[f64], under: &[f64]) -> Vec<f64> {
    over.iter().zip(under).map(|(over, under)| over / under).collect()
}

/// The smallest value that `share` of all values do not exceed (nearest rank); `None` without a value.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a count of measurements")]
    let rank = (share * sorted.len() as f64).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and the length")]
    let index = (rank.max(1.0) as usize).min(sorted.len());
    sorted.get(index.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        let check = |runs: &[f64], value, spread| {
            assert_eq!(summary(runs), Some(Summary { value, spread, runs: runs.len() }), "{runs:?}");
        };
        check(&[3.0], 3.0, 0.0);
        check(&[5.0, 1.0, 2.0], 2.0, 4.0);
        check(&[4.0, 1.0, 2.0, 3.0], 2.5, 3.0);
    }

    #[test]
    fn without_a_run_there_is_no_figure() {
        assert_eq!(summary(&[]), None);
        assert_eq!(summary(&[1.0, f64::NAN]), None);
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine was half as fast in the second round, for both.
        assert_eq!(ratios(&[90.0, 45.0], &[100.0, 50.0]), [0.9, 0.9]);
    }

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        let check = |share, expect| assert_eq!(quantile(&values, share), Some(expect), "{share}");
        check(0.5, 500.0);
        check(0.99, 990.0);
        check(0.999, 999.0);
        check(1.0, 1000.0);
        assert_eq!(quantile(&[7.0, 9.0], 0.99), Some(9.0));
    }
}
