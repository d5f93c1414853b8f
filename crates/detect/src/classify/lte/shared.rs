//! PUSCH, PUCCH and SRS: boxes of resource blocks and slots, proven by the cyclic prefix.
//!
//! NR's look the same, with symbols of half the length in unpaired bands (TS 38.211 clauses 4.3.2 and 5.3.1); what tells them
//! apart gives the name.
//!
//! Each SC-FDMA symbol begins with a copy of its end (TS 36.211 5.6): samples 66.67 µs apart agree during the
//! prefix, seven times a slot at places that the standard fixes. The SRS fills every second subcarrier,
//! so its two halves agree up to a phase (5.5.3).

use super::reference::{self, ReferenceFit};
use super::run::RunSearch;
use crate::candidate::{Classifier, NoiseFloor, Proposal, Region, Snippet};
use crate::channelize::{ChannelBuffers, Channelizer};
use crate::classify::ltem::subframes::SubframeComparison;
use crate::classify::nr::comb;
use crate::classify::prefix::{PrefixFit, best_fit, coherence_of, filled};
use cellwarden_standards::band::{self, is_unpaired};
use cellwarden_standards::lte;
use cellwarden_standards::nr::Spacing;
use cellwarden_types::{Detail, Evidence, Kind, Standard, undb};
use num_complex::Complex32;

/// A resource block, a slot, a symbol's useful part (TS 36.211 5.2.3, 5.6).
const BLOCK_HZ: f64 = lte::RB_HZ;
const SLOT_S: f64 = lte::SLOT_S;
pub(super) const USEFUL_S: f64 = 1.0 / 15e3;
const SUBCARRIER_HZ: f64 = 15e3;
/// Share of its subcarriers that a shared channel fills, with room for fading: NB-IoT's one to six tones do not.
const LEAST_FILLED: f64 = 0.6;
/// Samples of 30.72 MHz: prefix of a slot's symbols but the first.
const PREFIX: f64 = 144.0;
const UNIT_HZ: f64 = 30.72e6;
/// Chance that noise, or anything without a prefix, passes as a burst.
const PASS: f64 = 2e-3;
/// One or two blocks, of which twelve prefixes of 180 kHz say little, pass by less where the reference signals of both slots are base
/// sequences: data of one block fits one by 0.67 once in a hundred times, reference signals at 8 dB by 0.78 ninety-nine times.
const NARROW_HZ: f64 = 2.5 * BLOCK_HZ;
const PASS_BY_REFERENCE: f64 = 0.7;
const LEAST_REFERENCE: f64 = 0.75;
const LEAST_REFERENCE_DB: f64 = 5.0;
/// And they have to be where so many emissions stand out that nothing proves, in about a second, that one of exactly a subframe is none
/// of few: a downlink that leaks in makes thousands, and has prefixes.
const LEAST_REFERENCE_OF_MANY: f64 = 0.8;
const CROWD: f64 = 400.0;
const CROWD_S: f64 = 1.0;
const EXACT_S: f64 = 40e-6;
/// And for three blocks or more: at 7 dB their prefixes agree by far better, and of a busy neighbour (ZigBee) a thousand regions
/// pass by in ten seconds.
const PASS_WIDE: f64 = 1e-5;
const WIDE_BLOCKS: u32 = 3;
/// Share of their coherence that there may be half a symbol later.
const MOST_CARRIER: f64 = 0.4;
/// Share of an allocation's symbols that hold its energy, at the least.
const LEAST_SPREAD: f64 = 0.5;
/// A burst may begin so far from where the region's edge says.
const SEARCH_S: f64 = 45e-6;
/// A slot's middle is known to this: both its edges tell.
const CONTROL_SEARCH_S: f64 = 12e-6;
/// Mean correlation of seven symbols with one base sequence: noise does not reach 0.5, a slot at 15 dB mostly 0.8.
const LEAST_SEQUENCE: f64 = 0.6;
/// Coherence of a sounding's halves: at the least, or of a wide one as a share of what the noise leaves of it.
const LEAST_COHERENCE: f64 = 0.5;
const LEAST_AGREEING: f64 = 0.6;
const LEAST_COHERENCE_WIDE: f64 = 0.2;
const WIDE_HZ: f64 = 1.9e6;
/// Share of that which may be there before and after a faint one.
const MOST_AROUND: f64 = 0.4;
/// How far a region's length may be from whole slots.
const LENGTH_SLACK_S: f64 = 75e-6;
/// What is weaker over the floor may be the floor: a downlink that is always on, breathing.
const LEAST_SNR_DB: f64 = 7.0;
/// A wide one is looked at down to here: six blocks at 3 dB and less. Its prefixes agree as its level says and no better: of what is
/// always on, they agree whatever it stands out of itself. So many deviations may be between, and its edges are less sharp.
const LEAST_WIDE_DB: f64 = 1.5;
const LEAST_WIDE_HZ: f64 = 5.5 * BLOCK_HZ;
const PASS_FAINT: f64 = 1e-8;
const MOST_BETTER: f64 = 3.0;
const FAINT_SLACK_S: f64 = 0.15e-3;
const FAINT_SEARCH_S: f64 = 0.1e-3;
const FAINT_MISFIT_HZ: f64 = 90e3;
/// It is alone: so long before and behind it there is no more than this share of its power, noise included.
const MOST_BESIDE: f64 = 0.7;
const BESIDE_S: (f64, f64) = (0.06e-3, 0.26e-3);
/// Longest region: a run of subframes with one allocation is cut into pieces of 10 ms.
const LONGEST_S: f64 = 11e-3;
const WINDOW_S: f64 = 12.8e-3;

/// Judges regions of one stream.
pub struct SharedChannelClassifier {
    /// For short and long regions, narrow and wide: (greatest length, greatest width, channelizer).
    pub(super) channelizers: Vec<(f64, f64, Channelizer)>,
    pub(super) buffers: ChannelBuffers,
    /// Running sums of what the edges of a grid are judged by.
    pub(super) sums: Vec<f64>,
    /// Whether somebody asks what the reference symbols of narrow allocations show, and what they showed.
    compares_references: bool,
    references: Vec<ReferenceFit>,
    /// Emissions that nothing proved, in about the last second, and until when they are counted.
    unproven: f64,
    unproven_until_s: f64,
    /// Tells machines, whose subframes repeat.
    pub(super) subframes: SubframeComparison,
    pub(super) run_search: RunSearch,
}

impl SharedChannelClassifier {
    /// For a stream at `rate_hz`.
    pub fn new(rate_hz: f64) -> Self {
        let mut channelizers = Vec::new();
        // No band is wider than the stream.
        let most_hz = 1.92e6 * 2f64.powf((rate_hz / 1.92e6).log2().ceil().max(0.0));
        for (length_s, window_s) in [(1.3e-3, 2.4e-3), (LONGEST_S, WINDOW_S)] {
            for (width_hz, out_rate_hz) in [(1.3e6, 1.92e6_f64), (5.4e6, 7.68e6), (20e6, 30.72e6)] {
                if width_hz < 2e6 || width_hz / 4.0 < rate_hz {
                    let c = Channelizer::new(rate_hz, window_s, out_rate_hz.min(most_hz), 100e3, 200e3);
                    channelizers.push((length_s, width_hz, c));
                }
            }
        }
        let buffers = ChannelBuffers::new(channelizers.iter().map(|(_, _, c)| c));
        let (sums, references, subframes) = (Vec::new(), Vec::new(), SubframeComparison::default());
        let run_search = RunSearch::new(channelizers.iter().map(|(_, _, c)| c));
        Self {
            channelizers,
            buffers,
            sums,
            compares_references: false,
            references,
            unproven: 0.0,
            unproven_until_s: 0.0,
            subframes,
            run_search,
        }
    }

    /// Samples are numbered anew.
    pub fn begin(&mut self) {
        self.run_search.begin();
    }

    /// Runs that were not looked at because too many were none.
    pub fn skipped(&self) -> u64 {
        self.run_search.skipped()
    }

    /// Counts emissions that nothing proved, at `at_s` of the stream.
    pub fn count_unproven(&mut self, emissions: usize, at_s: f64) {
        let left = (-(at_s - self.unproven_until_s).max(0.0) / CROWD_S).exp();
        self.unproven = self.unproven * left + emissions as f64;
        self.unproven_until_s = self.unproven_until_s.max(at_s);
    }

    /// Whether the reference symbols of what is found from now on are to be compared with their mirrors.
    pub fn compare_references(&mut self, wanted: bool) {
        self.compares_references = wanted;
    }

    /// What they showed since this was asked the last time.
    pub fn take_references(&mut self) -> impl Iterator<Item = ReferenceFit> {
        self.references.drain(..)
    }

    /// Which channelizer takes a region so long and wide, if one does.
    pub(super) fn channelizer(&self, seconds: f64, width_hz: f64) -> Option<usize> {
        self.channelizers.iter().position(|(longest, widest, _)| seconds <= *longest && width_hz <= *widest)
    }

    /// Samples of the region's band, their rate, the window's start in the recording, and the share of the band that is
    /// filled: of its parts of 15 kHz, those that hold more than 15 % of the mean.
    pub(in crate::classify) fn load(
        &mut self,
        region: &Region,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
    ) -> Option<(Vec<Complex32>, f64, f64, f64)> {
        let seconds = region.count as f64 / snippet.rate_hz;
        let width = region.high_hz - region.low_hz;
        let (_, _, channelizer) = &self.channelizers[self.channelizer(seconds, width)?];
        let lead = 0.3e-3_f64.min(0.2 * WINDOW_S);
        let start = region.start as i64 - (lead * snippet.rate_hz) as i64;
        let mut loaded = channelizer.load(&mut self.buffers, snippet, start);
        let middle = (region.low_hz + region.high_hz) / 2.0 - snippet.center_hz;
        // The receiver's own DC offset agrees with itself all the time, and may be stronger than a phone.
        for (low_hz, high_hz) in floor.carriers(region.low_hz, region.high_hz) {
            loaded.mute(low_hz - snippet.center_hz, high_hz - snippet.center_hz);
        }
        // Room beside the blocks, so that the filter does not smear the prefix.
        let y = loaded.band(middle, width / 2.0 + 60e3, width / 2.0 + 140e3).to_vec();
        let parts = ((width / SUBCARRIER_HZ).round() as usize).max(1);
        let held: Vec<f64> = (0..parts)
            .map(|i| {
                let low = region.low_hz + i as f64 * width / parts as f64;
                let high = low + width / parts as f64;
                let noise = floor.power(low, high) * loaded.samples() as f64;
                loaded.energy(low - snippet.center_hz, high - snippet.center_hz) - noise
            })
            .collect();
        let mean = held.iter().sum::<f64>() / parts as f64;
        let filled = held.iter().filter(|&&e| e > 0.15 * mean).count() as f64 / parts as f64;
        Some((y, channelizer.out_rate_hz(), start as f64, filled))
    }
}

impl Classifier for SharedChannelClassifier {
    fn classify(&mut self, region: &Region, snippet: &Snippet<'_>, floor: &NoiseFloor, out: &mut Vec<Proposal>) {
        let seconds = region.count as f64 / snippet.rate_hz;
        let width = region.high_hz - region.low_hz;
        let middle = (region.low_hz + region.high_hz) / 2.0;
        if band::lte_band(middle).is_none() || !(130e3..20.5e6).contains(&width) || seconds > LONGEST_S {
            return;
        }
        let is_clear = region.snr_db >= LEAST_SNR_DB;
        let shortest = if is_unpaired(middle) { 25e-6 } else { 45e-6 };
        if (shortest..125e-6).contains(&seconds) && width > 600e3 && (is_clear || width > WIDE_HZ) {
            out.extend(self.sounding(region, snippet, floor));
            return;
        }
        let is_wide = width > LEAST_WIDE_HZ && region.snr_db > LEAST_WIDE_DB && !is_unpaired(middle);
        let is_narrow = width < NARROW_HZ && region.snr_db > LEAST_REFERENCE_DB && !is_unpaired(middle);
        if !is_clear && !is_wide && !is_narrow {
            return;
        }
        let slack_s = if is_clear { LENGTH_SLACK_S } else { FAINT_SLACK_S };
        let slots = (seconds / SLOT_S).round();
        // Where the cell sounds, a subframe's last symbol is left out (TS 36.211 5.3.4).
        let shortened = (seconds + USEFUL_S + PREFIX / UNIT_HZ - slots.max(2.0) * SLOT_S).abs() < LENGTH_SLACK_S;
        let whole = (seconds - slots * SLOT_S).abs() < slack_s;
        if slots < 1.0 || !(whole || shortened) || !is_clear && slots != 2.0 {
            return;
        }
        out.extend(self.blocks(region, snippet, floor, slots.max(if whole { 1.0 } else { 2.0 }) as usize, !whole));
    }
}

/// The useful parts of the slots' reference symbols, of a PUSCH that begins at `start` of `y`.
fn reference_symbols(y: &[Complex32], rate: f64, start: f64, slots: usize) -> impl Iterator<Item = &[Complex32]> {
    let symbol_ts = lte::symbol_start_ts(lte::PUSCH_DMRS_SYMBOL) + lte::cp_ts(lte::PUSCH_DMRS_SYMBOL);
    let useful = (USEFUL_S * rate).round() as usize;
    (0..slots).filter_map(move |slot| {
        let at = start + (f64::from(symbol_ts) / UNIT_HZ + slot as f64 * SLOT_S) * rate;
        y.get(at.round() as usize..at.round() as usize + useful)
    })
}

/// Whether there is as much just before or behind the `seconds` from `start` of `y` on: a part of what lasts longer is no subframe.
fn goes_on(y: &[Complex32], rate: f64, (start, seconds): (f64, f64)) -> bool {
    let level = |from_s: f64, to_s: f64| {
        let at = |s: f64| ((start + s * rate).max(0.0) as usize).min(y.len());
        let part = &y[at(from_s)..at(to_s).max(at(from_s))];
        part.iter().map(|z| f64::from(z.norm_sqr())).sum::<f64>() / part.len().max(1) as f64
    };
    let most = MOST_BESIDE * level(0.0, seconds);
    level(-BESIDE_S.1, -BESIDE_S.0) > most || level(seconds + BESIDE_S.0, seconds + BESIDE_S.1) > most
}

impl SharedChannelClassifier {
    fn blocks(
        &mut self,
        region: &Region,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        slots: usize,
        shortened: bool,
    ) -> Option<Proposal> {
        let seconds = region.count as f64 / snippet.rate_hz;
        let width = region.high_hz - region.low_hz;
        let middle = (region.low_hz + region.high_hz) / 2.0;
        let (y, rate, window_start, filled) = self.load(region, snippet, floor)?;
        if filled < LEAST_FILLED {
            return None;
        }
        let is_clear = region.snr_db >= LEAST_SNR_DB;
        let is_narrow = width < NARROW_HZ;
        let (search_s, most_misfit_hz) = if is_clear { (SEARCH_S, 60e3) } else { (FAINT_SEARCH_S, FAINT_MISFIT_HZ) };
        let expected = (region.start as f64 - window_start) / snippet.rate_hz * rate;
        let spacings: &[Spacing] =
            if is_unpaired(middle) { &[Spacing::Khz30, Spacing::Khz15] } else { &[Spacing::Khz15] };
        let judged = spacings.iter().filter_map(|&spacing| {
            let symbols = slots * lte::SLOT_SYMBOLS * spacing.slots() as usize;
            let fit = best_fit(&y, rate, expected, search_s, (spacing, symbols))?;
            let block_hz = BLOCK_HZ * f64::from(spacing.slots());
            let blocks = ((width / block_hz).round() as u32).max(1);
            let snapped = f64::from(blocks) * block_hz;
            let symbols = symbols as f64 - if shortened { 1.0 } else { 0.0 };
            // Independent values in the prefixes: their time times the blocks' width, as far as it holds energy. A train of
            // equal sparks repeats some spark after any time.
            let prefix_s = PREFIX / UNIT_HZ / f64::from(spacing.slots());
            let values = (symbols * prefix_s * snapped * fit.filled).max(3.0);
            let tried = 1.0 + 2.0 * search_s * snapped;
            let chance = (tried * (1.0 - fit.coherence).powf(values - 1.0)).min(1.0);
            Some((spacing, fit, blocks, snapped, chance))
        });
        let (spacing, fit, blocks, snapped, chance) = judged.min_by(|a, b| a.4.total_cmp(&b.4))?;
        // Two emissions that run together: the stronger one has most of the energy in a part of the time.
        if fit.spread < LEAST_SPREAD {
            return None;
        }
        // A carrier in what else lasts for a subframe agrees with itself all the time.
        if blocks >= WIDE_BLOCKS && fit.beside > MOST_CARRIER * fit.coherence {
            return None;
        }
        let misfit = (width - snapped).abs();
        let box_fits = misfit < most_misfit_hz * f64::from(spacing.slots()) && (0.45e-3..11e-3).contains(&seconds);
        let is_half = spacing == Spacing::Khz30;
        let exact = slots == 2 && blocks <= 2 && !is_half && (seconds - 2.0 * SLOT_S).abs() < EXACT_S && misfit < 30e3;
        if !box_fits {
            return None;
        }
        if !is_clear && !is_narrow {
            // The coherence of so many values varies by (1 - c²) / √n.
            let snr = undb(region.snr_db);
            let share = snr / (1.0 + snr);
            let values = (slots * lte::SLOT_SYMBOLS) as f64 * PREFIX / UNIT_HZ * snapped;
            let most = share + MOST_BETTER * (1.0 - share * share) / values.sqrt();
            if fit.coherence.sqrt() > most || goes_on(&y, rate, (fit.start, seconds)) {
                return None;
            }
        }
        let pass = match blocks {
            _ if !is_clear => PASS_FAINT,
            WIDE_BLOCKS.. => PASS_WIDE,
            _ => PASS,
        };
        let may_refer = is_narrow && slots == 2 && !is_half && chance < PASS_BY_REFERENCE;
        let is_one_of_many = exact && self.unproven > CROWD;
        let least = if is_one_of_many { LEAST_REFERENCE_OF_MANY } else { LEAST_REFERENCE };
        let reference = (may_refer && (chance > pass || !is_clear || is_one_of_many))
            .then(|| {
                let symbols: Vec<&[Complex32]> = reference_symbols(&y, rate, fit.start, slots).collect();
                reference::mean_fit(&symbols, rate, blocks as usize, fit.offset_hz(Spacing::Khz15))
            })
            .flatten()
            .filter(|&r| r > least);
        if (!is_clear && is_narrow || is_one_of_many) && reference.is_none() {
            return None;
        }
        if chance > pass && reference.is_none() {
            let control = (slots == 1 && blocks == 1 && !is_half)
                .then(|| control_slot(&y, rate, expected + seconds / 2.0 * rate));
            return control.flatten().map(|(start, sequence)| Proposal {
                standard: Standard::Lte,
                kind: Kind::Pucch,
                start: window_start + start / rate * snippet.rate_hz,
                count: SLOT_S * snippet.rate_hz,
                low_hz: middle - snapped / 2.0,
                high_hz: middle + snapped / 2.0,
                power: region.power,
                channel: None,
                carrier_offset_hz: None,
                standard_confidence: 0.95,
                sequence_start: None,
                detail: Detail {
                    resource_blocks: Some(1),
                    evidence: vec![Evidence::new("base_sequence_correlation", sequence, 4.0)],
                    ..Detail::default()
                },
            });
        }
        let kind = if slots == 1 && blocks == 1 && !is_half { Kind::Pucch } else { Kind::Pusch };
        if slots == 1 && blocks > 1 && !is_half && chance > PASS * 1e-2 {
            return None;
        }
        // At 15 kHz the reference symbols tell; nothing but NR has 30.
        let comb = if is_half || slots < 2 { None } else { comb::coherence(&y, rate, fit.start, spacing, snapped) };
        let standard = if is_half || comb.is_some() { Standard::Nr } else { Standard::Lte };
        if self.compares_references && blocks <= 2 && standard == Standard::Lte {
            let offset_hz = fit.offset_hz(Spacing::Khz15);
            let fit_of = |s| reference::fit(s, rate, blocks as usize, offset_hz);
            self.references.extend(reference_symbols(&y, rate, fit.start, slots).filter_map(fit_of));
        }
        let repeats = (standard == Standard::Lte)
            .then(|| {
                let (allocation, offset_hz) = ((slots, blocks), fit.offset_hz(Spacing::Khz15));
                self.subframes.repetition(&y, rate, fit.start, allocation, offset_hz, region.snr_db)
            })
            .flatten();
        let standard = if repeats.is_some() { Standard::Ltem } else { standard };
        let prefix_llr = (-chance.max(1e-12).ln() * 0.4).min(5.0);
        let length = if shortened { seconds } else { slots as f64 * SLOT_S };
        let (low_hz, high_hz) = (middle - snapped / 2.0, middle + snapped / 2.0);
        let noise_in_box = floor.power(low_hz, high_hz);
        let mut evidence = vec![
            Evidence::new("prefix_coherence", fit.coherence, prefix_llr),
            Evidence::new("width_misfit_khz", misfit / 1e3, if misfit < 30e3 { 0.5 } else { -0.5 }),
            Evidence::new("slots", slots as f64, 0.5),
        ];
        evidence.extend(reference.map(|r| Evidence::new("base_sequence_correlation", r, 3.0)));
        evidence.extend(comb.map(|c| Evidence::new("reference_comb_coherence", c, 1.0)));
        evidence.extend(repeats);
        Some(Proposal {
            standard,
            kind,
            start: window_start + fit.start / rate * snippet.rate_hz,
            count: length * snippet.rate_hz,
            low_hz,
            high_hz,
            power: region.power.max(noise_in_box * 1e-3),
            channel: None,
            carrier_offset_hz: None,
            standard_confidence: if reference.is_some() { 0.95 } else { (1.0 - 20.0 * chance).clamp(0.6, 0.97) },
            sequence_start: None,
            detail: Detail {
                resource_blocks: Some(blocks as u16),
                spacing_hz: (standard == Standard::Nr).then(|| spacing.hz()),
                evidence,
                ..Detail::default()
            },
        })
    }

    /// A sounding symbol: its useful part is a half and, up to a phase, the same half again.
    fn sounding(&mut self, region: &Region, snippet: &Snippet<'_>, floor: &NoiseFloor) -> Option<Proposal> {
        let width = region.high_hz - region.low_hz;
        let middle = (region.low_hz + region.high_hz) / 2.0;
        let (y, rate, window_start, _) = self.load(region, snippet, floor)?;
        // In unpaired bands symbols are half as long, and NR's.
        let spacing = if is_unpaired(middle) { Spacing::Khz30 } else { Spacing::Khz15 };
        let standard = if spacing == Spacing::Khz30 { Standard::Nr } else { Standard::Lte };
        let symbol_s = (USEFUL_S + PREFIX / UNIT_HZ) / f64::from(spacing.slots());
        let half = (0.5 / spacing.hz() * rate).round() as usize;
        let expected = (region.start as f64 - window_start) / snippet.rate_hz * rate;
        let reach = 40e-6 * rate;
        let length = (symbol_s * rate) as usize - half;
        let halves = |at: usize| (&y[at..at + length], &y[at + half..at + half + length]);
        let mut best = PrefixFit { start: expected, coherence: 0.0, angle: 0.0, spread: 1.0, filled: 1.0, beside: 0.0 };
        let mut at = (expected - reach).max(0.0) as usize;
        while (at as f64) < expected + reach && at + length + half <= y.len() {
            let (coherence, _) = coherence_of(std::iter::once(halves(at)));
            if coherence > best.coherence {
                best = PrefixFit { start: at as f64, coherence, ..best };
            }
            at += 1;
        }
        // The wider it is, the less do its halves agree by chance.
        let share = 1.0 - 1.0 / (1.0 + undb(region.snr_db));
        let least = (LEAST_AGREEING * share * share).max(LEAST_COHERENCE_WIDE);
        let agreeing = if width > WIDE_HZ { least } else { LEAST_COHERENCE };
        if best.coherence < agreeing.min(LEAST_COHERENCE) {
            return None;
        }
        // A carrier agrees with itself all the time: what is faint must not do so before and after.
        let apart = 2 * (length + half);
        let around = [(best.start as usize).checked_sub(apart), Some(best.start as usize + apart)];
        let around = around.into_iter().flatten().filter(|at| at + length + half <= y.len());
        let goes_on = |at: usize| coherence_of(std::iter::once(halves(at))).0 > MOST_AROUND * best.coherence;
        if (region.snr_db < LEAST_SNR_DB || best.coherence < LEAST_COHERENCE) && around.into_iter().any(goes_on) {
            return None;
        }
        let values = length as f64 / rate * width * filled(std::iter::once(halves(best.start as usize)));
        let chance = ((1.0 + 2.0 * 40e-6 * width) * (1.0 - best.coherence).powf(values - 1.0)).min(1.0);
        if chance > PASS * 1e-2 {
            return None;
        }
        // The comb has even multiples of 4 blocks; edges are blurred by the short time.
        let block_hz = BLOCK_HZ * f64::from(spacing.slots());
        let blocks = ((width / block_hz / 4.0).round().max(1.0) * 4.0).min(272.0);
        let (low_hz, high_hz) = (middle - blocks * block_hz / 2.0, middle + blocks * block_hz / 2.0);
        Some(Proposal {
            standard,
            kind: Kind::Srs,
            start: window_start + best.start / rate * snippet.rate_hz,
            count: symbol_s * snippet.rate_hz,
            low_hz,
            high_hz,
            power: region.power.max(floor.power(low_hz, high_hz) * 1e-3),
            channel: None,
            carrier_offset_hz: None,
            standard_confidence: 0.8,
            sequence_start: None,
            detail: Detail {
                resource_blocks: Some(blocks as u16),
                spacing_hz: (standard == Standard::Nr).then(|| spacing.hz()),
                evidence: vec![Evidence::new("half_symbol_coherence", best.coherence, 2.0)],
                ..Detail::default()
            },
        })
    }
}

/// Where a slot of PUCCH format 1 begins whose middle is near `middle`, and how well its symbols fit a base sequence; none
/// where they fit none. The prefixes of so narrow a band hold six values: they alone prove nothing.
fn control_slot(y: &[Complex32], rate: f64, middle: f64) -> Option<(f64, f64)> {
    let start = middle - SLOT_S / 2.0 * rate;
    let fit = best_fit(y, rate, start, CONTROL_SEARCH_S, (Spacing::Khz15, lte::SLOT_SYMBOLS))?;
    let useful = (USEFUL_S * rate).round() as usize;
    // The second half of the prefix is the symbol's own as well: room for what the start is off.
    let symbols: Vec<&[Complex32]> = (0..7)
        .filter_map(|l| {
            let symbol_ts = f64::from(lte::symbol_start_ts(l) + lte::cp_ts(l)) - PREFIX / 2.0;
            let at = (start + symbol_ts / UNIT_HZ * rate).round() as usize;
            y.get(at..at + useful)
        })
        .collect();
    let sequence = reference::common_fit(&symbols, rate, fit.offset_hz(Spacing::Khz15));
    (symbols.len() == 7 && sequence > LEAST_SEQUENCE).then_some((start, sequence))
}
