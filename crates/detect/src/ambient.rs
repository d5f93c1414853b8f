//! What is always in the air: the floor as one number, and the carriers that stand out of it.

use crate::pipeline::Tiles;
use cellwarden_types::{AmbientCarrier, db};

/// A receiver's filter falls off at both ends: so much of the bins counts.
const USED: f64 = 0.8;
/// A bin of a carrier stands so far above the median: 6 dB. The floor's own spread from bin to bin is below 1 dB.
const STANDS_OUT: f32 = 4.0;
/// A bin on each side belongs to a carrier as well: the Hann window spreads a tone over three.
const MARGIN: usize = 1;

/// Median noise density over the middle of the band, in dBFS/Hz: carriers that fill less than half of it do not move it.
///
/// Not a number where there is no floor.
pub fn floor_dbfs_per_hz(tiles: &Tiles) -> f64 {
    median(tiles).map_or(f64::NAN, |m| db(f64::from(m)))
}

/// Carriers that are in the air all the time, the strongest first, `most` of them. What stands in the middle of the band is the
/// receiver's own offset and is left out.
pub fn carriers(tiles: &Tiles, most: usize) -> Vec<AmbientCarrier> {
    let Some(median) = median(tiles) else { return Vec::new() };
    let (bins, n) = (used(tiles.floor.len()), tiles.floor.len());
    let mut found = Vec::new();
    let mut bin = bins.start;
    while bin < bins.end {
        if tiles.floor[bin] < STANDS_OUT * median {
            bin += 1;
            continue;
        }
        let end = (bin..bins.end).find(|&b| tiles.floor[b] < STANDS_OUT * median).unwrap_or(bins.end);
        let (low, high) = (bin.saturating_sub(MARGIN), (end + MARGIN).min(n));
        if !(low..high).contains(&(n / 2)) {
            let power: f64 = tiles.floor[low..high].iter().map(|&p| f64::from(p)).sum::<f64>() * tiles.bin_hz;
            // `center` is the middle of bin n / 2.
            let middle = (low + high - 1) as f64 / 2.0 - (n / 2) as f64;
            found.push(AmbientCarrier {
                center_hz: tiles.center.0 + middle * tiles.bin_hz,
                width_hz: (high - low) as f64 * tiles.bin_hz,
                level_dbfs: db(power),
            });
        }
        bin = end;
    }
    found.sort_by(|a, b| b.level_dbfs.total_cmp(&a.level_dbfs));
    found.truncate(most);
    found
}

fn used(bins: usize) -> std::ops::Range<usize> {
    let beside = (bins as f64 * (1.0 - USED) / 2.0) as usize;
    beside..bins - beside
}

fn median(tiles: &Tiles) -> Option<f32> {
    let mut floor = tiles.floor[used(tiles.floor.len())].to_vec();
    let middle = floor.len().checked_sub(1)? / 2;
    Some(*floor.select_nth_unstable_by(middle, f32::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellwarden_types::Hertz;

    fn tiles(floor: Vec<f32>) -> Tiles {
        Tiles { center: Hertz(9e8), rate: Hertz(1e6), bin_hz: 1e4, row_s: 1e-3, floor, rows: Vec::new() }
    }

    #[test]
    fn carriers_stand_out_of_a_floor_that_they_do_not_move() {
        let mut floor = vec![1e-15; 100];
        floor[20..23].copy_from_slice(&[1e-12, 4e-12, 1e-12]);
        floor[70..85].fill(1e-13);
        floor[50] = 1e-9; // the receiver's own
        floor[2] = 1e-9; // outside of its filter
        let tiles = tiles(floor);
        assert!((floor_dbfs_per_hz(&tiles) + 150.0).abs() < 1e-3);
        let found = carriers(&tiles, 32);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!((found[0].center_hz - (9e8 - 29e4)).abs() < 1.0 && (found[0].width_hz - 5e4).abs() < 1.0, "{found:?}");
        assert!((found[0].level_dbfs - db(6e-8)).abs() < 0.1, "{found:?}");
        assert!((found[1].level_dbfs - db(1.5e-8)).abs() < 0.1, "{found:?}");
        assert_eq!(carriers(&tiles, 1), found[..1]);
    }

    #[test]
    fn no_floor_has_no_carriers() {
        assert!(floor_dbfs_per_hz(&tiles(Vec::new())).is_nan());
        assert_eq!(carriers(&tiles(Vec::new()), 32), []);
    }
}
