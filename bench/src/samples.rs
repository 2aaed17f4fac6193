//! Measured values and what is said of them.

/// Values of one quantity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    values: Vec<u64>,
}

impl Samples {
    /// Adds one value.
    pub(crate) fn add(&mut self, value: u64) {
        self.values.push(value);
    }

    /// The value that `share` (0 to 1) of all values do not exceed; 0 when there are none.
    pub(crate) fn quantile(&mut self, share: f64) -> u64 {
        if self.values.is_empty() {
            return 0;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length lies within the length")]
        let rank = (share * (self.values.len() - 1) as f64).round() as usize;
        *self.values.select_nth_unstable(rank).1
    }
}

/// The middle of `values`, the mean of the two middle ones where their number is even; `None` when there are none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests;
