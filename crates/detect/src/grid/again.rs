//! What comes again at its place: a phone keeps its blocks for some subframes, and those of its reports for longer.
//!
//! Two windows at one place, whole subframes apart (1 ms, TS 36.211 4.1), pass by chance as seldom as a single one that
//! is 1 dB clearer. And where a box was found, a much fainter one counts at the same bins, whole subframes before or
//! after it: those are few places, where energy is likely.

use super::chance::excess_at;
use super::past::Area;
use super::windows::{Size, Window};
use super::{GridSearch, LENGTHS, MOST_LOAD};
use crate::segment::Segment;
use cellwarden_standards::lte::SUBFRAME_S;

/// A place is looked at so long before what was found there, and so long behind what was found there last: the period of
/// silence in a call is 160 ms.
pub(crate) const BACK_S: f64 = 40e-3;
const ON_S: f64 = 40e-3;
/// Other windows that a weak one may pair with: those of 40 subframes before, each of which begins a step earlier or later, or
/// a stride aside.
pub(super) const PARTNERS: f64 = 200.0;
/// Of wider windows, none is weak: what the floor errs by is more than what noise moves them by, and lasts.
pub(super) const PAIRED_BLOCKS: f64 = 8.0;
/// Chance that noise passes a look at a place, of which there are three for each subframe: one place in twenty keeps itself.
const CHANCE: f64 = 3e-5;
/// What comes again has this share of what was found at the least, 6 dB less: what is clear is found without.
const LEAST_SHARE: f32 = 0.25;
/// However wide it is: the floor may be wrong by as much.
pub(super) const LEAST_EXCESS: f32 = 0.05;
/// By how many steps a subframe may be off its place, and by how many strides a window.
const OFF_STEPS: f64 = 1.2;
const OFF_STRIDES: usize = 1;
/// Longer boxes are followed by their first subframe.
const LONGEST_STEPS: u64 = 12;
const MOST_WEAK: usize = 1024;
const MOST_PLACES: usize = 32;

/// Where a box was found.
#[derive(Clone, Copy, Debug)]
struct Place {
    area: Area,
    /// The window that is most like it: which size, and its place.
    size: usize,
    window: usize,
    /// The excess over what is usual from which on it is more: by chance, and by what was found there.
    limit: f32,
    least: f32,
    /// The next subframe to be looked at and the last that was found, from that of `area`.
    next: i64,
    last: i64,
}

/// What may come again in one stream.
#[derive(Debug)]
pub(super) struct Again {
    /// Steps in a subframe.
    subframe: f64,
    /// Windows that count if another one is at their place.
    weak: Vec<Window>,
    places: Vec<Place>,
    /// Places that found no room.
    overlooked: u64,
}

impl Again {
    /// For steps of `step_s`.
    pub(super) fn new(step_s: f64) -> Self {
        let (weak, places) = (Vec::with_capacity(MOST_WEAK), Vec::with_capacity(MOST_PLACES));
        Self { subframe: SUBFRAME_S / step_s, weak, places, overlooked: 0 }
    }

    /// Steps that are looked back.
    pub(super) fn back_steps(&self) -> u64 {
        (BACK_S / SUBFRAME_S * self.subframe).ceil() as u64
    }

    pub(super) fn begin(&mut self) {
        self.weak.clear();
        self.places.clear();
    }

    pub(super) fn overlooked(&self) -> u64 {
        self.overlooked
    }

    /// Takes in the windows that are not sure before any of them is judged, and lets go of those that are too old.
    pub(super) fn take(&mut self, windows: impl Iterator<Item = Window>, end: u64) {
        let oldest = end.saturating_sub(self.back_steps());
        self.weak.retain(|w| w.end >= oldest);
        for window in windows.filter(|w| !w.is_sure) {
            if self.weak.len() < MOST_WEAK {
                self.weak.push(window);
            } else {
                self.overlooked += 1;
            }
        }
    }

    /// Whether another weak window is at the place of this one, whole subframes before or after.
    pub(super) fn has_partner(&self, window: &Window) -> bool {
        self.weak.iter().any(|w| {
            w.size == window.size
                && w.place.abs_diff(window.place) <= OFF_STRIDES
                && whole_subframes(w.end.abs_diff(window.end) as f64, self.subframe)
                    .is_some_and(|n| (1.0..=BACK_S / SUBFRAME_S).contains(&n))
        })
    }

    /// Follows the place of a box of so much `excess` over what is usual. `value` is how many independent values a bin has in a
    /// step; the window most like it is of the size `size` at the place `window`.
    fn remember(&mut self, area: Area, excess: f32, value: f32, (size, window): (usize, usize)) {
        let longest = (self.subframe.round() as u64).max(1);
        let to = if area.to - area.from > LONGEST_STEPS { area.from + longest } else { area.to };
        let area = Area { to, ..area };
        let subframe = self.subframe;
        let known = self.places.iter_mut().find_map(|p| {
            let common = area.high.min(p.area.high).saturating_sub(area.low.max(p.area.low));
            let is_there = 4 * common > 3 * (area.high - area.low).max(p.area.high - p.area.low);
            let subframes = whole_subframes(area.from as f64 - p.area.from as f64, subframe);
            Some((subframes.filter(|_| is_there)? as i64, p))
        });
        if let Some((subframes, known)) = known {
            known.last = known.last.max(subframes);
            return;
        }
        if self.places.len() == MOST_PLACES {
            self.overlooked += 1;
            return;
        }
        let values = f64::from(value) * (area.high - area.low) as f64 * (area.to - area.from) as f64;
        let (limit, least) = (excess_at(values, CHANCE) as f32, (LEAST_SHARE * excess).max(LEAST_EXCESS));
        let next = -((BACK_S / SUBFRAME_S) as i64);
        self.places.push(Place { area, size, window, limit, least, next, last: 0 });
    }
}

/// How many subframes of `subframe` steps so many steps are, where they are whole.
fn whole_subframes(steps: f64, subframe: f64) -> Option<f64> {
    let subframes = (steps / subframe).round();
    ((steps - subframes * subframe).abs() <= OFF_STEPS).then_some(subframes)
}

impl Place {
    /// Where it is so many subframes of `subframe` steps later.
    fn at(&self, subframes: i64, subframe: f64, off: i64) -> Option<Area> {
        let steps = (subframes as f64 * subframe).round() as i64 + off;
        Some(Area {
            from: self.area.from.checked_add_signed(steps)?,
            to: self.area.to.checked_add_signed(steps)?,
            ..self.area
        })
    }
}

impl GridSearch {
    /// Keeps the place of a box of so much `excess` over what is usual.
    pub(super) fn follow(&mut self, found: Area, excess: f32) {
        let (wide, long) = ((found.high - found.low) as f32, (found.to - found.from) as f32);
        let unlike = |size: &Size| {
            let bins = (size.wide * size.stride) as f32;
            (wide / bins).ln().abs() + (long / LENGTHS[size.length] as f32).ln().abs()
        };
        let all = self.sizes.iter().enumerate();
        let Some((index, size)) = all.min_by(|a, b| unlike(a.1).total_cmp(&unlike(b.1))) else { return };
        let window = ((found.low + size.stride / 2) / size.stride).min(size.usual.len() - 1);
        self.again.remember(found, excess, self.value, (index, window));
    }

    /// Looks at the places that are followed as far as `horizon`, at `effort` cells at the most.
    pub(super) fn look_again(&mut self, horizon: u64, mut effort: usize, floor: &[f32], out: &mut Vec<Segment>) {
        let (subframe, end) = (self.again.subframe, horizon.min(self.past.end()));
        let mut places = std::mem::take(&mut self.again.places);
        for place in &mut places {
            let cells = 3 * (place.area.high - place.area.low) * (place.area.to - place.area.from) as usize;
            while (place.next - place.last) as f64 <= ON_S / SUBFRAME_S {
                let later = place.at(place.next, subframe, 1);
                if later.is_some_and(|area| area.to > end) {
                    break;
                }
                let subframes = place.next;
                place.next += 1;
                // What was found there already is blank.
                let areas =
                    [-1, 0, 1].map(|off| place.at(subframes, subframe, off).filter(|a| a.from >= self.past.first));
                let levels = areas.iter().flatten().map(|&area| (self.past.mean(area), area));
                let Some((ratio, area)) = levels.max_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
                let Some(left) = effort.checked_sub(cells) else {
                    self.overlooked += 1;
                    continue;
                };
                effort = left;
                let size = &self.sizes[place.size];
                if size.often(place.window) > MOST_LOAD {
                    continue;
                }
                let (usual, moves) = (size.usual[place.window], size.scale(place.window));
                let least = usual + size.error() + (place.limit * moves).max(place.least * (1.0 + usual));
                if ratio - 1.0 <= least || self.shown.is_part(&self.past, area, ratio - 1.0, true) {
                    continue;
                }
                if self.boxes == 0 {
                    self.overlooked += 1;
                    continue;
                }
                let segment = self.segment(area, ratio / (1.0 + usual), floor);
                self.take_out(area);
                if let Some(segment) = segment.filter(|_| !self.is_busy(area)) {
                    self.boxes -= 1;
                    place.last = place.last.max(subframes);
                    out.push(segment);
                }
            }
        }
        places.retain(|p| (p.next - p.last) as f64 <= ON_S / SUBFRAME_S);
        self.again.places = places;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FrameGeometry;
    use crate::steps::{StepSums, noise_rows};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const RATE_HZ: f64 = 10e6;

    /// Boxes in noise, to which a block's energy of so much excess is added for a millisecond at each of `starts`, in steps.
    fn boxes(starts: &[usize], excess: f32, seed: u64) -> Vec<Segment> {
        let (geometry, mut rng) = (FrameGeometry::for_rate(RATE_HZ), ChaCha8Rng::seed_from_u64(seed));
        let (bins, floor) = (geometry.n_fft, vec![1.0; geometry.n_fft]);
        let mut steps = StepSums::new(geometry, RATE_HZ);
        let mut grid = GridSearch::new(&steps, geometry, RATE_HZ, 847e6);
        let mut found = Vec::new();
        for chunk in 0..16 {
            let mut rows = noise_rows(&mut rng, geometry.chunk_frames, bins);
            for (i, row) in rows.chunks_exact_mut(bins).enumerate() {
                let step = (chunk * geometry.chunk_frames + i) / steps.frames();
                if starts.iter().any(|&s| (s..s + 10).contains(&step)) {
                    row[200..209].iter_mut().for_each(|p| *p *= 1.0 + excess);
                }
            }
            steps.take(&rows, &floor, grid.room());
            grid.process(&steps, &floor, 0, u64::MAX, &mut found);
        }
        found
    }

    #[test]
    fn what_is_faint_is_found_where_it_comes_again() {
        // A subframe is 9.77 steps of 0.1024 ms.
        let at = |subframe: u32| 2_000 + (f64::from(subframe) * 9.765_625).round() as usize;
        let train = [0, 4, 7, 12, 15, 21, 26, 30, 33, 38].map(at);
        let (mut alone, mut together) = (0, 0);
        for seed in 0..10 {
            alone += boxes(&train[..1], 0.45, seed).len();
            together += boxes(&train, 0.45, seed).len();
        }
        assert!(alone <= 3, "{alone} of 10");
        assert!(together >= 60, "{together} of 100");
    }

    #[test]
    fn what_comes_between_subframes_is_no_partner() {
        let mut again = Again::new(0.1e-3);
        let window = |end, place| Window { gain: 1.0, end, size: 3, place, is_sure: false };
        again.take([window(1_000, 7), window(1_045, 7), window(1_005, 9)].into_iter(), 1_050);
        assert!(!again.has_partner(&window(1_000, 7)), "half a subframe off, or elsewhere");
        again.take([window(1_071, 8)].into_iter(), 1_080);
        assert!(again.has_partner(&window(1_000, 7)));
        again.take([].into_iter(), 1_500);
        assert!(!again.has_partner(&window(1_071, 8)), "too long ago");
    }
}
