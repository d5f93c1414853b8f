//! The seam between finding energy and naming it: a region of excess energy goes to the
//! classifiers together with its samples, and comes back as proposals.

use cellwarden_types::{Detail, Evidence, Kind, Standard};
use num_complex::Complex32;

/// Converted samples around a candidate, at the stream's own rate, full scale = 1.0.
#[derive(Clone, Copy, Debug)]
pub struct Snippet<'a> {
    /// `iq[0]` is sample `start` of the recording.
    pub iq: &'a [Complex32],
    /// Index of the first sample in the recording.
    pub start: u64,
    /// Complex samples per second.
    pub rate_hz: f64,
    /// What the radio was tuned to: 0 Hz of `iq`, absolute.
    pub center_hz: f64,
}

impl<'a> Snippet<'a> {
    /// The part that lies around a region, `margin` samples on both sides where there are so many.
    pub fn around(&self, region: &Region, margin: u64) -> Self {
        let from = region.start.saturating_sub(margin).max(self.start) - self.start;
        let to = (region.start + region.count + margin).saturating_sub(self.start).min(self.iq.len() as u64);
        let from = from.min(to);
        Self { iq: &self.iq[from as usize..to as usize], start: self.start + from, ..*self }
    }
}

/// The noise floor over frequency: power density per bin, lowest frequency first.
#[derive(Clone, Debug)]
pub struct NoiseFloor {
    /// Absolute frequency of the middle of the watched band.
    pub center_hz: f64,
    /// Complex samples per second.
    pub rate_hz: f64,
    /// Noise power of each bin over full scale, divided by the bin's width: 1/Hz.
    pub density: Vec<f32>,
}

impl NoiseFloor {
    /// The bin that holds an absolute frequency, the outermost one beyond the band: bin k covers k-1/2 .. k+1/2.
    pub fn bin(&self, hz: f64) -> usize {
        let bins = self.density.len() as f64;
        let at = (hz - self.center_hz) / (self.rate_hz / bins) + bins / 2.0;
        (at + 0.5).floor().clamp(0.0, bins - 1.0) as usize
    }

    /// Bands, absolute, of the bins between two frequencies in which a carrier is always on.
    pub fn carriers(&self, low_hz: f64, high_hz: f64) -> impl Iterator<Item = (f64, f64)> + '_ {
        let bin_hz = self.rate_hz / self.density.len() as f64;
        let bins = (self.bin(low_hz)..=self.bin(high_hz)).filter(|&bin| is_carrier(&self.density, bin));
        bins.map(move |bin| {
            let middle_hz = self.center_hz + (bin as f64 - self.density.len() as f64 / 2.0) * bin_hz;
            (middle_hz - bin_hz / 2.0, middle_hz + bin_hz / 2.0)
        })
    }

    /// Noise power in a hertz between two absolute frequencies, carriers left out.
    pub fn quiet_density(&self, low_hz: f64, high_hz: f64) -> f64 {
        let bins = (self.bin(low_hz)..=self.bin(high_hz)).filter(|&bin| !is_carrier(&self.density, bin));
        let (sum, count) = bins.fold((0.0, 0), |(sum, count), bin| (sum + f64::from(self.density[bin]), count + 1));
        if count > 0 { sum / f64::from(count) } else { self.power(low_hz, high_hz) / (high_hz - low_hz) }
    }

    /// Noise power between two absolute frequencies, over full scale (linear).
    pub fn power(&self, low_hz: f64, high_hz: f64) -> f64 {
        let first = self.bin(low_hz);
        let bins = &self.density[first..=self.bin(high_hz).max(first)];
        let mean = bins.iter().map(|&d| f64::from(d)).sum::<f64>() / bins.len() as f64;
        mean * (high_hz - low_hz)
    }
}

/// Whether a bin of the noise floor stands out of those around it, as a carrier that is always on does: the receiver's own DC offset,
/// a spur. It says nothing of what else lies there.
pub fn is_carrier(density: &[f32], bin: usize) -> bool {
    /// 9 dB; so far on both sides a carrier's window does not reach.
    const OUT: f32 = 8.0;
    const BESIDE: (usize, usize) = (4, 8);
    let n = density.len();
    let mean = |bins: std::ops::Range<usize>| {
        bins.len().max(1) as f32 * OUT.recip() * density[bin] > density[bins].iter().sum()
    };
    mean(bin.saturating_sub(BESIDE.1)..bin.saturating_sub(BESIDE.0 - 1))
        && mean((bin + BESIDE.0).min(n)..(bin + BESIDE.1 + 1).min(n))
}

/// A stretch of time and frequency that stands out of the noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// First sample, of the recording.
    pub start: u64,
    /// Length in samples.
    pub count: u64,
    /// Lower edge, absolute, in hertz.
    pub low_hz: f64,
    /// Upper edge, absolute, in hertz.
    pub high_hz: f64,
    /// Mean power in the region, noise taken off, over full scale (linear).
    pub power: f64,
    /// Mean power over noise in the region, in dB.
    pub snr_db: f64,
}

/// What a classifier says about a region.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Which standard.
    pub standard: Standard,
    /// Which kind of emission.
    pub kind: Kind,
    /// First sample, of the recording, with its fraction.
    pub start: f64,
    /// Length in samples.
    pub count: f64,
    /// Lower edge of the occupied band, absolute, in hertz.
    pub low_hz: f64,
    /// Upper edge, likewise.
    pub high_hz: f64,
    /// Mean power over `start..start + count` in the band, noise taken off, linear over full scale.
    pub power: f64,
    /// Channel number, where the raster gives one.
    pub channel: Option<u32>,
    /// Offset from the channel's nominal frequency, in hertz.
    pub carrier_offset_hz: Option<f64>,
    /// Probability that `standard` is right, given that a phone sent it.
    pub standard_confidence: f64,
    /// Of a long preamble: a sample of the recording, with its fraction, at which its sequence begins anew, as it does each
    /// 0.8 ms. It holds both the cyclic shift and the time of arrival, for the band's middle as it is given here.
    pub sequence_start: Option<f64>,
    /// What was measured; its evidence decides the confidence.
    pub detail: Detail,
}

impl Proposal {
    /// Sum of the evidence: natural log-likelihood ratio of phone against no phone.
    pub fn llr(&self) -> f64 {
        self.detail.evidence.iter().map(|e: &Evidence| e.llr).sum()
    }
}

/// One standard's judgement of a region; one standard a file.
pub trait Classifier: Send {
    /// Judges `region`. `snippet` holds the region and, where the recording has them, at least
    /// 300 µs before and after it. Adds what is proven to `out`: nothing if the region is not of
    /// this standard, several if it holds several emissions.
    fn classify(&mut self, region: &Region, snippet: &Snippet<'_>, floor: &NoiseFloor, out: &mut Vec<Proposal>);
}
