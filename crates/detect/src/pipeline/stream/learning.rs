//! What a found preamble teaches, and what was taught before says of it.

use super::Stream;
use crate::candidate::Proposal;
use crate::carrier::HeardPreamble;
use crate::classify::lte::prach::timing::start_sigma_s;
use crate::swap::SwapTest;
use cellwarden_standards::lte::PRACH_FORMATS;
use cellwarden_types::Standard;

/// Evidence of a preamble from which is learned.
const LEARNED_LLR: f64 = 2.0;

impl Stream {
    /// What a proposal says of the stream, and the stream of it.
    pub(super) fn learn(&mut self, found: &mut Proposal, swapped: &SwapTest) {
        swapped.doubt(found);
        if swapped.takes(found.start.max(0.0) as u64, found.count as u64) {
            self.hear(found);
        }
    }

    /// Learns from a preamble, and takes what was learned before to its start.
    fn hear(&mut self, found: &mut Proposal) {
        let (Some(root), Some(format)) = (found.detail.root, found.detail.format) else { return };
        if found.standard != Standard::Lte || found.llr() < LEARNED_LLR {
            return;
        }
        let noise = self.noise.power(found.low_hz, found.high_hz).max(f64::MIN_POSITIVE);
        let (start_s, sigma_s) = (self.seconds_at(found.start), start_sigma_s(found.power / noise));
        let center_hz = (found.low_hz + found.high_hz) / 2.0;
        let believed = self.carriers.hear(&HeardPreamble { start_s, sigma_s, center_hz, root, format });
        found.start += (believed.start_s - start_s) * self.rate.0;
        if believed.format != format {
            found.detail.format = Some(believed.format);
            found.count = PRACH_FORMATS[usize::from(believed.format)].seconds() * self.rate.0;
        }
    }
}
