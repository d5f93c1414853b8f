//! How far chance goes: values of noise that are independent, and the tail of their mean.

use std::f64::consts::TAU;

/// Correlation of the powers of noise in Hann frames that overlap by half: by frames apart, by bins apart.
pub(crate) fn correlation() -> [[f64; 4]; 2] {
    const N: usize = 64;
    let window = |i: usize| 0.5 - 0.5 * (TAU * i as f64 / N as f64).cos();
    let energy: f64 = (0..N).map(|i| window(i).powi(2)).sum();
    let of = |frames: usize, bins: usize| {
        let products = (0..N - frames * N / 2).map(|i| (i, window(i) * window(i + frames * N / 2)));
        let turned = products.map(|(i, w)| (w, TAU * (bins * i) as f64 / N as f64));
        let (re, im) = turned.fold((0.0, 0.0), |(re, im), (w, a)| (re + w * a.cos(), im + w * a.sin()));
        (re * re + im * im) / (energy * energy)
    };
    [[of(0, 0), of(0, 1), of(0, 2), of(0, 3)], [of(1, 0), of(1, 1), of(1, 2), of(1, 3)]]
}

/// The sum of correlations over both signs of both distances, each weighed.
fn both_sides(correlation: &[[f64; 4]; 2], weight: impl Fn(usize, usize) -> f64) -> f64 {
    let sides = |distance: usize| if distance == 0 { 1.0 } else { 2.0 };
    let terms = correlation.iter().enumerate().flat_map(|(t, row)| row.iter().enumerate().map(move |(f, c)| (t, f, c)));
    terms.map(|(t, f, c)| sides(t) * sides(f) * weight(t, f) * c).sum()
}

/// Independent values for each of many cells.
pub(crate) fn independent_cell(correlation: &[[f64; 4]; 2]) -> f64 {
    1.0 / both_sides(correlation, |_, _| 1.0)
}

/// Independent values of a bin in a step of so many frames.
pub(crate) fn independent_step(frames: usize) -> f32 {
    frames as f32 * independent_cell(&correlation()) as f32
}

/// Independent values in so many frames and bins.
pub(crate) fn independent(correlation: &[[f64; 4]; 2], frames: usize, bins: usize) -> f64 {
    let left = |distance: usize, of: usize| (1.0 - distance as f64 / of as f64).max(0.0);
    (frames * bins) as f64 / both_sides(correlation, |t, f| left(t, frames) * left(f, bins))
}

/// The excess that the mean of `values` exponential values of mean 1 passes with the chance `chance`.
///
/// The tail of the gamma distribution by Lugannani and Rice (1980), whose error is below 1 % from 10 values on.
pub(crate) fn excess_at(values: f64, chance: f64) -> f64 {
    let tail = |excess: f64| {
        let w = (2.0 * values * (excess - excess.ln_1p())).sqrt();
        let density = (-w * w / 2.0).exp() / TAU.sqrt();
        let normal = density / (1..=40).rev().fold(w, |below, k| w + f64::from(k) / below);
        normal + density * (1.0 / (values.sqrt() * excess) - 1.0 / w)
    };
    let (mut low, mut high) = (2.0 / values.sqrt(), 40.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if tail(middle) > chance {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_quantiles_of_the_gamma_distribution() {
        // Chi-square with 20 and 200 degrees of freedom at 1e-3: 45.315 and 267.541 (tables); one value is exponential.
        for (values, chance, ratio) in [(10.0, 1e-3, 2.265_7), (100.0, 1e-3, 1.337_7), (1.0, 1e-9, 20.723)] {
            let excess = excess_at(values, chance);
            assert!((excess + 1.0 - ratio).abs() < 2e-3 * ratio, "{values}: {excess}");
        }
    }

    #[test]
    fn half_overlapping_hann_frames_hold_nearly_their_time_times_bandwidth() {
        // 40 frames by 100 bins: 40 hops of half a frame, 100 bins of one over a frame. Edges hold a little more.
        let values = independent(&correlation(), 40, 100);
        assert!((1900.0..2050.0).contains(&values), "{values}");
        let deviation = |values: f64| (1.0 / values).sqrt();
        assert!(deviation(independent(&correlation(), 1, 1)) == 1.0);
    }
}
