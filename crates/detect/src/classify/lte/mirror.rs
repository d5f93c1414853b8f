//! Whether a control channel's other slot is where it belongs: mirrored about the carrier's centre.
//!
//! A PUCCH of one block and slot has its subframe's other slot on the block that lies mirrored about the carrier's
//! centre, and nothing there in its own (TS 36.211 5.4.3). Where the centre is known, the energy of that block in both
//! slots is asked how much likelier it is with a PUCCH than without: a Bayes factor. Without one there is noise, or
//! somebody else's emission of any level; that it fills that block in the one slot and not in the other is rare, but it
//! is what bounds the factor.

use super::on_grid::OnGrid;
use super::shared::SharedChannelClassifier;
use crate::candidate::{NoiseFloor, Snippet};
use cellwarden_standards::lte::{RB_HZ, SLOT_S};
use cellwarden_types::Kind;

/// What the evidence is called.
pub const MIRROR_HOP: &str = "mirror_hop";
/// Share of blocks and subframes that hold somebody else's emission, and of those the share that is one slot's alone. Of
/// a hundred bursts that are no PUCCH two seem to have another slot.
const IN_USE: f64 = 0.1;
const ONE_SLOT: f64 = 0.2;
/// Logarithms of the levels over the noise that such an emission may have, each as likely: -10 to 30 dB.
const OTHERS_LN: (i32, i32) = (-5, 14);
/// Both sides of a carrier fade for themselves: the logarithm of the ratio of two Rayleigh powers, to 13 dB.
const FADES_LN: (i32, i32) = (-6, 6);
const STEP_LN: f64 = 0.5;
/// Independent values in a block and a slot, fewer by what filters and the floor's own error take.
const VALUES: f64 = 0.8 * SLOT_S * RB_HZ;
/// What an emission leaves in a block that is not next to it, as a share.
const LEAKAGE: f64 = 2e-3;
/// Blocks nearer to each other than this are not told apart.
const APART_HZ: f64 = 2.0 * RB_HZ;
/// No factor is greater than this or less, as a natural logarithm, whatever the levels are.
pub const MOST_LN: f64 = 4.5;

impl SharedChannelClassifier {
    /// Natural logarithm of the Bayes factor for a PUCCH that `found`'s mirrored block is, about `center_hz`; none where
    /// that block is not heard, or nothing can be told.
    pub fn ln_mirror(
        &mut self,
        found: &OnGrid,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        center_hz: f64,
    ) -> Option<f64> {
        let p = &found.proposal;
        let own_hz = (p.low_hz + p.high_hz) / 2.0;
        let mirrored_hz = 2.0 * center_hz - own_hz;
        let is_heard = (mirrored_hz - snippet.center_hz).abs() + RB_HZ / 2.0 < 0.47 * snippet.rate_hz;
        if p.kind != Kind::Pucch || (mirrored_hz - own_hz).abs() < APART_HZ || !is_heard {
            return None;
        }
        let other_start = p.start + if found.is_second_slot { -p.count } else { p.count };
        let noise = band_of(mirrored_hz, |low, high| floor.power(low, high)).max(f64::MIN_POSITIVE);
        let own = self.block_power(own_hz, p.start, p.count, snippet)? - band_of(own_hz, |l, h| floor.power(l, h));
        let beside = self.block_power(mirrored_hz, p.start, p.count, snippet)? / noise;
        let other = self.block_power(mirrored_hz, other_start, p.count, snippet)? / noise;
        Some(ln_factor(own.max(0.0) / noise, beside, other))
    }

    /// Mean power in the block around a frequency, from the sample `start` of the recording on; none where not all of
    /// that is there.
    fn block_power(&mut self, middle_hz: f64, start: f64, count: f64, snippet: &Snippet<'_>) -> Option<f64> {
        let from = usize::try_from(start.round() as i64 - snippet.start as i64).ok()?;
        let iq = snippet.iq.get(from..from + count.round() as usize)?;
        let own = Snippet { iq, start: snippet.start + from as u64, ..*snippet };
        let channelizer = self.channelizer(SLOT_S, RB_HZ)?;
        let (channelizer, buffers) = (&self.channelizers[channelizer].2, &mut self.buffers);
        let loaded = channelizer.load(buffers, &own, own.start as i64);
        let energy = band_of(middle_hz - snippet.center_hz, |low, high| loaded.energy(low, high));
        Some(energy / iq.len() as f64)
    }
}

fn band_of(middle_hz: f64, power: impl Fn(f64, f64) -> f64) -> f64 {
    power(middle_hz - RB_HZ / 2.0, middle_hz + RB_HZ / 2.0)
}

/// Of a burst `own` times as strong as the noise: the mirrored block's power over the noise's mean, in the burst's slot
/// and in the other one.
fn ln_factor(own: f64, beside: f64, other: f64) -> f64 {
    let noise = 1.0 + LEAKAGE * own;
    // Likelihood of a power, where this much is expected: a mean of exponential values.
    let ln = |power: f64, expected: f64| -VALUES * (expected.ln() + power / expected);
    let steps = |(from, to): (i32, i32)| (from..=to).map(|i| f64::from(i) * STEP_LN);
    let any = |power: f64| ln_mean(steps(OTHERS_LN).map(|level| (0.0, ln(power, noise + level.exp()))));
    let faded = steps(FADES_LN).map(|x| (-x.abs() - 2.0 * (-x.abs()).exp().ln_1p(), ln(other, noise + own * x.exp())));
    let (noise_beside, any_beside, any_other) = (ln(beside, noise), any(beside), any(other));
    let mix = |share: f64, a: f64, b: f64| {
        let most = a.max(b);
        most + ((1.0 - share) * (a - most).exp() + share * (b - most).exp()).ln()
    };
    let with = ln_mean(faded) + mix(IN_USE * ONE_SLOT, noise_beside, any_beside);
    let others = any_other + mix(ONE_SLOT, any_beside, noise_beside);
    let without = mix(IN_USE, ln(other, noise) + noise_beside, others);
    (with - without).clamp(-MOST_LN, MOST_LN)
}

/// Logarithm of the weighted mean of what has these logarithms of weight and value.
fn ln_mean(values: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let most = values.clone().map(|(_, ln)| ln).fold(f64::NEG_INFINITY, f64::max);
    let sum = values.fold((0.0, 0.0), |(w, s), (weight, ln)| (w + weight.exp(), s + (weight + ln - most).exp()));
    most + (sum.1 / sum.0).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrored_slot_speaks_for_it_and_its_absence_against() {
        for snr_db in [0.0, 3.0, 10.0, 30.0] {
            let own = 10f64.powf(snr_db / 10.0);
            // Alike, and weaker by 6 dB.
            assert!(ln_factor(own, 1.0, 1.0 + own) > 3.0, "{snr_db}");
            // Nothing there; there all the time; noise that is a little more than its floor.
            assert!(ln_factor(own, 1.0, 1.0) < -0.5, "{snr_db}: {}", ln_factor(own, 1.0, 1.0));
            assert!(ln_factor(own, 1.0 + own, 1.0 + own) < 1.0, "{snr_db}: {}", ln_factor(own, 1.0 + own, 1.0 + own));
            assert!(ln_factor(own, 1.1, 1.1) < 0.0, "{snr_db}: {}", ln_factor(own, 1.1, 1.1));
        }
        assert!(ln_factor(4.0, 1.0, 2.0) > 2.0, "6 dB weaker: {}", ln_factor(4.0, 1.0, 2.0));
        // What is far stronger is another's rather.
        assert!(ln_factor(1.0, 1.0, 1000.0) < ln_factor(1.0, 1.0, 2.0) - 2.0);
    }

    /// Of bursts that are no PUCCH, a factor of n or more comes in one case of n at the most: noise, and others' subframes.
    #[test]
    fn chance_gives_no_more_than_the_factor_says() {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let trials = 20_000;
        let mut factors: Vec<f64> = Vec::new();
        for _ in 0..trials {
            let mut value = |expected: f64| {
                let n = VALUES.round() as usize;
                expected * (0..n).map(|_| -(1.0 - rng.random::<f64>()).ln()).sum::<f64>() / n as f64
            };
            let (noise, level) = ((value(1.0), value(1.0)), value(1.0) * 4.0);
            factors.push(ln_factor(level, noise.0, noise.1));
        }
        for ln in [1.0, 2.0, 3.0] {
            let share = factors.iter().filter(|f| **f > ln).count() as f64 / f64::from(trials);
            assert!(share < (-ln).exp(), "{ln}: {share}");
        }
    }
}
