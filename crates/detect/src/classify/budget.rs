//! How often something that costs much may be tried in vain.

/// So many tries in vain in a second of the stream, and some that were saved. What it leaves out is counted.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    per_s: f64,
    most: f64,
    left: f64,
    at_s: f64,
    skipped: u64,
}

impl Budget {
    /// With `most` saved already.
    pub fn new(per_s: f64, most: f64) -> Self {
        Self { per_s, most, left: most, at_s: f64::NEG_INFINITY, skipped: 0 }
    }

    /// Whether something may be tried at `at_s` of the stream; places come about in order.
    pub fn allows(&mut self, at_s: f64) -> bool {
        if at_s > self.at_s {
            let passed = if self.at_s.is_finite() { at_s - self.at_s } else { 0.0 };
            self.left = (self.left + passed * self.per_s).min(self.most);
            self.at_s = at_s;
        }
        let allows = self.left >= 1.0;
        self.skipped += u64::from(!allows);
        allows
    }

    /// It was in vain, and cost so many tries.
    pub fn spend(&mut self, tries: f64) {
        self.left -= tries;
    }

    /// Places that were left out.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_vain_is_limited_and_what_is_left_out_counted() {
        let mut budget = Budget::new(10.0, 5.0);
        let mut tried = 0;
        for i in 0..1000 {
            if budget.allows(f64::from(i) * 2e-3) {
                tried += 1;
                budget.spend(1.0);
            }
        }
        assert!((24..=26).contains(&tried), "{tried}");
        assert_eq!(budget.skipped(), 1000 - tried);
    }
}
