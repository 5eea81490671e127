//! Figures as they are read, and what is reported of them.

use std::collections::BTreeMap;

/// The readings of one measure at one number of clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Series(Vec<f64>);

/// What is reported of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
}

impl Series {
    /// The smallest value that so many hundredths of the readings do not exceed (nearest rank).
    ///
    /// # Panics
    /// Without a reading.
    pub(super) fn percentile(&self, hundredths: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
        *sorted.get(rank - 1).expect("a series has at least one reading")
    }

    pub(super) fn spread(&self) -> Spread {
        Spread { min: self.percentile(0), median: self.percentile(50), max: self.percentile(100) }
    }

    /// Reading by reading: both were taken in the same round.
    fn over(&self, other: &Series) -> Series {
        self.0.iter().zip(&other.0).map(|(own, others)| own / others).collect()
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(readings: I) -> Self {
        Series(readings.into_iter().collect())
    }
}

/// Every series of a run, by key and number of clients.
#[derive(Default)]
pub(super) struct Readings(BTreeMap<(&'static str, usize), Series>);

impl Readings {
    pub(super) fn push(&mut self, key: &'static str, clients: usize, reading: f64) {
        self.0.entry((key, clients)).or_default().0.push(reading);
    }

    /// # Panics
    /// When it was not taken.
    pub(super) fn of(&self, key: &'static str, clients: usize) -> &Series {
        self.0.get(&(key, clients)).unwrap_or_else(|| panic!("{key} was not taken at {clients}"))
    }

    /// How one measure stands to another, round by round.
    pub(super) fn ratio(&self, own: (&'static str, usize), other: (&'static str, usize)) -> Spread {
        self.of(own.0, own.1).over(self.of(other.0, other.1)).spread()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_readings() {
        let series: Series = (1..=100).rev().map(f64::from).collect();
        assert_eq!([0, 50, 99, 100].map(|q| series.percentile(q)), [1.0, 50.0, 99.0, 100.0]);
        assert_eq!(Series(vec![3.0, 1.0, 2.0]).spread(), Spread { min: 1.0, median: 2.0, max: 3.0 });
    }
}
