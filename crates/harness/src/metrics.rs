//! Counters, gauges and histograms: process-wide by name, addressed by ids that each VM hands out.

use std::collections::{BTreeMap, HashMap};

use crate::status::Status;

/// What a metric is, in the ABI's numbering; the low bits of an id tell it again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

/// The values, shared by all VMs: one name is one metric per kind.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    numbers: BTreeMap<(String, Kind), u64>,
    histograms: BTreeMap<String, Vec<u64>>,
}

impl Metrics {
    /// The value of the counter, else of the gauge, of this name.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let of = |kind| self.numbers.get(&(name.to_owned(), kind)).copied();
        of(Kind::Counter).or_else(|| of(Kind::Gauge))
    }

    pub(crate) fn histogram(&self, name: &str) -> Option<&[u64]> {
        self.histograms.get(name).map(Vec::as_slice)
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = (&str, u64)> {
        self.numbers.iter().map(|((name, _), value)| (name.as_str(), *value))
    }

    /// Adds one to a counter of Envoy's own.
    pub(crate) fn count(&mut self, name: &str) {
        *self.numbers.entry((name.to_owned(), Kind::Counter)).or_default() += 1;
    }

    fn define(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::Histogram => drop(self.histograms.entry(name.to_owned()).or_default()),
            _ => drop(self.numbers.entry((name.to_owned(), kind)).or_default()),
        }
    }

    fn value(&mut self, name: &str, kind: Kind) -> Result<&mut u64, Status> {
        self.numbers.get_mut(&(name.to_owned(), kind)).ok_or(Status::NotFound)
    }
}

/// The ids that one VM has defined.
#[derive(Debug, Default)]
pub(crate) struct MetricIds {
    names: HashMap<u32, String>,
    defined: [u32; 3],
}

impl MetricIds {
    pub(crate) fn define(&mut self, metrics: &mut Metrics, kind: u32, name: &str) -> Result<u32, Status> {
        let kind = kind_of(kind).ok_or(Status::BadArgument)?;
        let defined = self.defined.get_mut(kind as usize).ok_or(Status::BadArgument)?;
        *defined += 1;
        let id = *defined << 2 | kind as u32;
        self.names.insert(id, name.to_owned());
        metrics.define(kind, name);
        Ok(id)
    }

    pub(crate) fn increment(&self, metrics: &mut Metrics, id: u32, offset: i64) -> Result<(), Status> {
        match kind_of(id & 3) {
            Some(Kind::Counter) => {
                let value = metrics.value(self.name(id)?, Kind::Counter)?;
                let offset = u64::try_from(offset).ok().filter(|offset| *offset > 0);
                *value = value.wrapping_add(offset.ok_or(Status::BadArgument)?);
            }
            Some(Kind::Gauge) => {
                let value = metrics.value(self.name(id)?, Kind::Gauge)?;
                *value = value.wrapping_add_signed(offset);
            }
            _ => return Err(Status::BadArgument),
        }
        Ok(())
    }

    /// Sets a gauge, adds to a counter, records into a histogram.
    pub(crate) fn record(&self, metrics: &mut Metrics, id: u32, value: u64) -> Result<(), Status> {
        let name = self.name(id)?;
        match kind_of(id & 3).ok_or(Status::NotFound)? {
            Kind::Counter => {
                let total = metrics.value(name, Kind::Counter)?;
                *total = total.wrapping_add(value);
            }
            Kind::Gauge => *metrics.value(name, Kind::Gauge)? = value,
            Kind::Histogram => metrics.histograms.entry(name.to_owned()).or_default().push(value),
        }
        Ok(())
    }

    pub(crate) fn get(&self, metrics: &mut Metrics, id: u32) -> Result<u64, Status> {
        match kind_of(id & 3) {
            Some(kind @ (Kind::Counter | Kind::Gauge)) => metrics.value(self.name(id)?, kind).copied(),
            _ => Err(Status::BadArgument),
        }
    }

    pub(crate) fn name(&self, id: u32) -> Result<&str, Status> {
        self.names.get(&id).map(String::as_str).ok_or(Status::NotFound)
    }
}

fn kind_of(kind: u32) -> Option<Kind> {
    [Kind::Counter, Kind::Gauge, Kind::Histogram].into_iter().find(|known| *known as u32 == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_only_grow_and_are_shared_by_name() {
        let (mut metrics, mut one, mut two) =
            (Metrics::default(), MetricIds::default(), MetricIds::default());
        let a = one.define(&mut metrics, 0, "hits").unwrap();
        let b = two.define(&mut metrics, 0, "hits").unwrap();
        assert_eq!(one.increment(&mut metrics, a, 2), Ok(()));
        assert_eq!(two.record(&mut metrics, b, 3), Ok(()));
        assert_eq!(metrics.number("hits"), Some(5));
        assert_eq!(one.increment(&mut metrics, a, 0), Err(Status::BadArgument));
        assert_eq!(one.increment(&mut metrics, 40, 1), Err(Status::NotFound));
    }

    #[test]
    fn a_gauge_is_set_or_moved_both_ways() {
        let (mut metrics, mut ids) = (Metrics::default(), MetricIds::default());
        let id = ids.define(&mut metrics, 1, "open").unwrap();
        assert_eq!(ids.record(&mut metrics, id, 10), Ok(()));
        assert_eq!(ids.increment(&mut metrics, id, -3), Ok(()));
        assert_eq!(ids.get(&mut metrics, id), Ok(7));
    }

    #[test]
    fn a_histogram_cannot_be_read_back_by_the_filter() {
        let (mut metrics, mut ids) = (Metrics::default(), MetricIds::default());
        let id = ids.define(&mut metrics, 2, "ms").unwrap();
        assert_eq!(ids.record(&mut metrics, id, 4), Ok(()));
        assert_eq!(ids.get(&mut metrics, id), Err(Status::BadArgument));
        assert_eq!(ids.increment(&mut metrics, id, 1), Err(Status::BadArgument));
        assert_eq!(metrics.histogram("ms"), Some([4].as_slice()));
        assert_eq!(ids.define(&mut metrics, 3, "x"), Err(Status::BadArgument));
    }
}
