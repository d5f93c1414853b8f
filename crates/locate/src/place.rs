//! Where a phone is: the probability of each block and of outside, from levels over the sensors.
//!
//! Every point of a grid predicts levels by a log-distance model with walls; the phone's power is
//! not known and is averaged over; sensors that heard nothing, or too much, say so much as that.

use crate::site::{Area, Point, Site};
use cellwarden_types::{Standard, db};
use std::collections::BTreeMap;

/// Path loss exponent: 3 lies between free space (2) and obstructed buildings (4), ITU-R P.1238.
const EXPONENT: f64 = 3.0;
/// Walls beyond this many dB are passed by other ways: over roofs, through windows.
const WALLS_MOST_DB: f64 = 40.0;
/// Shadowing of a link (4 dB) and what the model leaves out (2 dB), together, in dB.
const SIGMA_DB: f64 = 4.5;
/// Lowest SNR that a sensor hears reliably, in dB.
const HEARD_SNR_DB: f64 = 8.0;
/// How often a sensor misses what it should have heard, for other reasons than level.
const MISSED: f64 = 0.03;
/// Mass of outside before anything is heard; the blocks share the rest.
const OUTSIDE_PRIOR: f64 = 0.45;
/// Of outside, the share of places that the site file does not name, when it names some.
const ELSEWHERE: f64 = 0.05;
/// Reach of unnamed places around the blocks, in metres.
const RING_M: (f64, f64) = (5.0, 80.0);
/// Grid points of one area, about; steps grow beyond.
const POINTS_MOST: f64 = 4000.0;
/// A place is named from this probability on.
const NAMED: f64 = 0.5;
/// Likewise a cell.
const CELL_NAMED: f64 = 0.6;

/// What one sensor says about an activity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// Mean level in dBFS and how many emissions it is made of.
    Level(f64, u32),
    /// At least this level in dBFS: the receiver was near full scale.
    AtLeast(f64),
    /// Nothing: below this level in dBFS, noise in the emission's width.
    Nothing(f64),
}

/// Where a phone is.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// The block's name, `outside` or `unknown`.
    pub block: String,
    /// The cell's name, where it is resolved.
    pub cell: Option<String>,
    /// Over all blocks and `outside`, rounded to 0.0001.
    pub probability: BTreeMap<String, f64>,
}

struct Spot {
    /// Index of the block; the number of blocks for outside.
    place: u16,
    /// Index of the cell, or none.
    cell: Option<u16>,
    /// Natural logarithm of the point's share of the prior.
    log_prior: f64,
}

/// A site made ready to place phones: every grid point's loss to every sensor, computed once.
pub struct Placer {
    names: Vec<String>,
    cells: Vec<String>,
    spots: Vec<Spot>,
    /// `[spots][sensors]`: loss above that of 1 m of free space, in dB.
    loss_db: Vec<f32>,
    sensors: Vec<(String, f64)>,
    calibrated: bool,
}

impl std::fmt::Debug for Placer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placer").field("names", &self.names).field("spots", &self.spots.len()).finish()
    }
}

impl Placer {
    /// Computes the grid of a site.
    pub fn new(site: &Site) -> Self {
        let mut names: Vec<String> = site.blocks.iter().map(|b| b.name.clone()).collect();
        names.push("outside".to_owned());
        let outside = site.blocks.len() as u16;
        let mut placer = Self {
            cells: site.cells.iter().map(|c| c.name.clone()).collect(),
            spots: Vec::new(),
            loss_db: Vec::new(),
            // Without a full-scale level for every sensor only differences count.
            calibrated: site.sensors.iter().all(|s| s.full_scale_dbm.is_some()),
            sensors: site.sensors.iter().map(|s| (s.name.clone(), s.full_scale_dbm.unwrap_or(0.0))).collect(),
            names,
        };
        let blocks_prior = if site.blocks.is_empty() { 0.0 } else { 1.0 - OUTSIDE_PRIOR };
        for (i, block) in site.blocks.iter().enumerate() {
            let points = grid(block, 1.0);
            placer.area(site, points, i as u16, blocks_prior / site.blocks.len() as f64);
        }
        let outside_prior = 1.0 - blocks_prior;
        let ring = ring(site);
        let named = if site.outside.is_empty() {
            0.0
        } else if ring.is_empty() {
            1.0
        } else {
            1.0 - ELSEWHERE
        };
        for area in &site.outside {
            placer.area(site, grid(area, 1.0), outside, outside_prior * named / site.outside.len() as f64);
        }
        if named < 1.0 {
            placer.area(site, ring, outside, outside_prior * (1.0 - named));
        }
        placer
    }

    fn area(&mut self, site: &Site, points: Vec<Point>, place: u16, prior: f64) {
        let log_prior = (prior / points.len().max(1) as f64).max(1e-300).ln();
        for p in points {
            let cell = site.cells.iter().position(|c| c.contains(p)).map(|i| i as u16);
            self.spots.push(Spot { place, cell, log_prior });
            for s in &site.sensors {
                let d = (p[0] - s.position[0]).hypot(p[1] - s.position[1]).max(1.0);
                let walls = site.wall_loss_db(p, s.position).min(WALLS_MOST_DB);
                self.loss_db.push((EXPONENT * db(d) + walls) as f32);
            }
        }
    }

    /// Index of the site's sensor of that name.
    pub fn sensor(&self, name: &str) -> Option<usize> {
        self.sensors.iter().position(|(n, _)| n == name)
    }

    /// Places a phone from `(sensor, reading)` pairs; `sensor` as [`sensor`](Self::sensor) gives it.
    ///
    /// Levels of LTE and NR are for 1.08 MHz of width. Without a level, the place is `unknown`.
    pub fn place(&self, standard: Standard, freq_hz: f64, readings: &[(usize, Reading)]) -> Placement {
        let free = 2.0 * db(4.0 * std::f64::consts::PI * freq_hz.max(1e6) / 299_792_458.0);
        // Handsets: GSM-900 up to 33 dBm less the antenna and power control; LTE up to 23, mostly below.
        let (mean, sigma) = match (self.calibrated, standard) {
            (false, _) => (0.0, 100.0),
            (true, Standard::Gsm) => (29.0, 4.0),
            (true, _) => (18.0, 6.0),
        };
        let n = self.sensors.len();
        let mut heard = Vec::new();
        let mut bounds = Vec::new();
        for &(s, reading) in readings {
            let Some((_, scale)) = self.sensors.get(s) else { continue };
            match reading {
                Reading::Level(level, count) => {
                    let var = SIGMA_DB * SIGMA_DB + 4.0 / f64::from(count.max(1));
                    heard.push((s, level + scale + free, var));
                }
                Reading::AtLeast(level) => bounds.push((s, level + scale + free, true)),
                Reading::Nothing(noise) => bounds.push((s, noise + HEARD_SNR_DB + scale + free, false)),
            }
        }
        if heard.is_empty() && !bounds.iter().any(|b| b.2) {
            return self.unknown();
        }
        let mut logs = Vec::with_capacity(self.spots.len());
        for (spot, loss) in self.spots.iter().zip(self.loss_db.chunks(n)) {
            // The phone's power: prior and readings are Gaussian, so is what they leave.
            let (mut weight, mut sum, mut square, mut logdet) =
                (1.0 / (sigma * sigma), mean / (sigma * sigma), mean * mean / (sigma * sigma), 2.0 * f64::ln(sigma));
            for &(s, level, var) in &heard {
                let power = level + f64::from(loss[s]);
                weight += 1.0 / var;
                sum += power / var;
                square += power * power / var;
                logdet += var.ln();
            }
            let power = sum / weight;
            let mut log = spot.log_prior - 0.5 * (square - sum * power + weight.ln() + logdet);
            let spread = (SIGMA_DB * SIGMA_DB + 1.0 / weight).sqrt();
            for &(s, level, at_least) in &bounds {
                let above = normal_cdf((power - f64::from(loss[s]) - level) / spread);
                let p = if at_least { above } else { 1.0 - above };
                log += (MISSED + (1.0 - MISSED) * p).ln();
            }
            logs.push(log);
        }
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !top.is_finite() {
            return self.unknown();
        }
        let mut mass = vec![0.0; self.names.len()];
        let mut cells = vec![0.0; self.cells.len()];
        for (spot, log) in self.spots.iter().zip(&logs) {
            let p = (log - top).exp();
            mass[usize::from(spot.place)] += p;
            if let Some(c) = spot.cell {
                cells[usize::from(c)] += p;
            }
        }
        let total: f64 = mass.iter().sum();
        let probability: BTreeMap<String, f64> =
            self.names.iter().zip(&mass).map(|(n, m)| (n.clone(), (m / total * 1e4).round() / 1e4)).collect();
        let best = mass.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let block = match best {
            Some((i, m)) if m / total >= NAMED => self.names[i].clone(),
            _ => "unknown".to_owned(),
        };
        let cell = cells
            .iter()
            .position(|m| m / total >= CELL_NAMED)
            .filter(|_| block != "outside" && block != "unknown")
            .map(|i| self.cells[i].clone());
        Placement { block, cell, probability }
    }

    fn unknown(&self) -> Placement {
        let mut total = vec![0.0; self.names.len()];
        for spot in &self.spots {
            total[usize::from(spot.place)] += spot.log_prior.exp();
        }
        let sum: f64 = total.iter().sum::<f64>().max(1e-300);
        let probability = self.names.iter().zip(&total).map(|(n, m)| (n.clone(), (m / sum * 1e4).round() / 1e4));
        Placement { block: "unknown".to_owned(), cell: None, probability: probability.collect() }
    }
}

/// What is said without a site.
pub fn nowhere() -> Placement {
    let probability = BTreeMap::from([("unknown".to_owned(), 1.0)]);
    Placement { block: "unknown".to_owned(), cell: None, probability }
}

fn grid(area: &Area, least_step: f64) -> Vec<Point> {
    let (low, high) = area.bounds();
    let (w, h) = (high[0] - low[0], high[1] - low[1]);
    let step = (w * h / POINTS_MOST).sqrt().max(least_step).min(w.min(h));
    let points = raster(low, high, step, |p| area.contains(p));
    if points.is_empty() { vec![[0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1])]] } else { points }
}

fn ring(site: &Site) -> Vec<Point> {
    let around = if site.blocks.is_empty() { &site.outside } else { &site.blocks };
    let start = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    let (low, high) = around
        .iter()
        .map(Area::bounds)
        .fold(start, |(l, h), (a, b)| ([l[0].min(a[0]), l[1].min(a[1])], [h[0].max(b[0]), h[1].max(b[1])]));
    let r = RING_M.1;
    let (low, high) = ([low[0] - r, low[1] - r], [high[0] + r, high[1] + r]);
    if !low.iter().chain(&high).all(|v| v.is_finite()) {
        return Vec::new();
    }
    let step = ((high[0] - low[0]) * (high[1] - low[1]) / POINTS_MOST).sqrt().max(1.0);
    raster(low, high, step, |p| {
        let least =
            around.iter().map(|b| if b.contains(p) { 0.0 } else { b.distance(p) }).fold(f64::INFINITY, f64::min);
        least >= RING_M.0 && least <= RING_M.1
    })
}

fn raster(low: Point, high: Point, step: f64, keep: impl Fn(Point) -> bool) -> Vec<Point> {
    let count = |k: usize| ((high[k] - low[k]) / step).ceil().max(1.0) as usize;
    let (nx, ny) = (count(0), count(1));
    let at = |k: usize, i: usize, n: usize| low[k] + (i as f64 + 0.5) * (high[k] - low[k]) / n as f64;
    (0..ny).flat_map(|j| (0..nx).map(move |i| [at(0, i, nx), at(1, j, ny)])).filter(|p| keep(*p)).collect()
}

/// The normal distribution function, to 2e-4: enough beside [`MISSED`].
/// # Source
/// Logistic approximation of Bowling et al. 2009, equation 10.
fn normal_cdf(x: f64) -> f64 {
    1.0 / (1.0 + (-(0.07056 * x * x * x + 1.5976 * x)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        Site::parse(include_str!("../tests/two_blocks.toml"), "two_blocks.toml").unwrap()
    }

    /// Levels in dBFS that the model predicts for a phone of that power.
    fn levels(site: &Site, at: Point, eirp_dbm: f64) -> Vec<(usize, Reading)> {
        let free = 2.0 * db(4.0 * std::f64::consts::PI * 900e6 / 299_792_458.0);
        let level = |s: &crate::site::SiteSensor| {
            let d = (at[0] - s.position[0]).hypot(at[1] - s.position[1]).max(1.0);
            eirp_dbm - free - 30.0 * d.log10() - site.wall_loss_db(at, s.position).min(40.0) + 5.0
        };
        site.sensors.iter().enumerate().map(|(i, s)| (i, Reading::Level(level(s), 10))).collect()
    }

    #[test]
    fn phones_are_placed_where_they_are() {
        let site = site();
        let placer = Placer::new(&site);
        for (at, want) in [([12.0, 8.0], "A"), ([40.0, 4.0], "A"), ([30.0, 50.0], "B"), ([30.0, -60.0], "outside")] {
            let placed = placer.place(Standard::Gsm, 900e6, &levels(&site, at, 29.0));
            assert_eq!(placed.block, want, "{at:?} {placed:?}");
            assert!((placed.probability.values().sum::<f64>() - 1.0).abs() < 0.005);
        }
        assert_eq!(placer.place(Standard::Gsm, 900e6, &levels(&site, [9.0, 7.0], 29.0)).cell.as_deref(), Some("A-01"));
    }

    #[test]
    fn silence_of_the_near_sensors_speaks_for_outside() {
        let placer = Placer::new(&site());
        let readings = [(2, Reading::Level(-95.0, 4)), (0, Reading::Nothing(-104.0)), (1, Reading::Nothing(-104.0))];
        let placed = placer.place(Standard::Gsm, 900e6, &readings);
        assert!(placed.probability["A"] < 0.1, "{placed:?}");
        assert_eq!(placer.place(Standard::Gsm, 900e6, &[]).block, "unknown");
    }

    #[test]
    fn a_clipped_sensor_still_places() {
        let site = site();
        let placer = Placer::new(&site);
        let mut readings = levels(&site, [10.0, 8.0], 31.0);
        readings[0].1 = Reading::AtLeast(-6.0);
        assert_eq!(placer.place(Standard::Gsm, 900e6, &readings).block, "A");
    }

    proptest::proptest! {
        #[test]
        fn probabilities_always_sum_to_one(
            levels in proptest::collection::vec(-400.0f64..400.0, 3), kind in 0..3u8, freq in -1e12f64..1e12
        ) {
            let placer = Placer::new(&site());
            let readings: Vec<_> = levels.iter().enumerate().map(|(i, l)| (i, match kind {
                0 => Reading::Level(*l, 3),
                1 => Reading::AtLeast(*l),
                _ => Reading::Nothing(*l),
            })).collect();
            let placed = placer.place(Standard::Lte, freq, &readings);
            let sum: f64 = placed.probability.values().sum();
            proptest::prop_assert!((sum - 1.0).abs() < 0.005, "{placed:?}");
        }
    }
}
