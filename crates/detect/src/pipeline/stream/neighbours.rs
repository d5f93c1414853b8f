//! Names that go by what is heard beside an emission, because nothing in it tells.
//!
//! A long preamble is the same waveform in LTE and NR, and twelve subcarriers of NB-IoT look like one block of LTE.

use crate::candidate::Proposal;
use crate::classify::lte::on_grid::ON_SUBFRAMES;
use cellwarden_standards::band;
use cellwarden_types::{Evidence, Kind, Standard};

/// Shared channels so near to a preamble are of its carrier, for what a stream knows.
const CARRIER_HZ: f64 = 10e6;
const CARRIERS_MOST: usize = 32;
/// How sure the name of a shared channel must be to count, and how many count at the most and decide at the least.
const COUNTED: f64 = 0.8;
const COUNTS_MOST: f64 = 64.0;
const COUNTS_LEAST: f64 = 3.0;
/// By how much one standard's must be more than the other's.
const COUNTS_RATIO: f64 = 4.0;
/// A long preamble's name where both standards use the band and nothing speaks for one (LTE has more of the carriers there), and
/// where the carrier's shared channels do.
const EITHER: f64 = 0.6;
const BY_NEIGHBOURS: f64 = 0.85;

/// Machines that are remembered, and for how long; how many say that a block is theirs, and how far their edges may lie outside
/// of it: they are a frame's.
const MACHINES_MOST: usize = 64;
const MACHINES_S: f64 = 10.0;
const MACHINES_LEAST: usize = 2;
const MACHINES_BESIDE_HZ: f64 = 30e3;

/// Of which standard the shared channels around a frequency are: long preambles of LTE and NR are the same waveform (TS 36.211
/// 5.7.2, TS 38.211 6.3.3.1).
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    /// Frequency, and how many of LTE and of NR.
    carriers: Vec<(f64, f64, f64)>,
    /// Edges of what machines sent, and its first sample.
    machines: Vec<(f64, f64, f64)>,
}

impl Neighbours {
    /// Counts a shared channel, and remembers a machine.
    pub(super) fn hear(&mut self, found: &Proposal) {
        let of_nr = match found.standard {
            Standard::Lte | Standard::Ltem => false,
            Standard::Nr => true,
            Standard::Nbiot => {
                if self.machines.len() == MACHINES_MOST {
                    self.machines.remove(0);
                }
                self.machines.push((found.low_hz, found.high_hz, found.start));
                return;
            }
            _ => return,
        };
        // What goes by the grid of preambles tells nothing of their standard.
        let by_grid = found.detail.evidence.iter().any(|e| e.name == ON_SUBFRAMES);
        if by_grid || !matches!(found.kind, Kind::Pusch | Kind::Pucch) || found.standard_confidence < COUNTED {
            return;
        }
        let middle_hz = (found.low_hz + found.high_hz) / 2.0;
        let near = |c: &(f64, f64, f64)| (c.0 - middle_hz).abs() < CARRIER_HZ / 4.0;
        let at = self.carriers.iter().position(near).unwrap_or_else(|| {
            if self.carriers.len() == CARRIERS_MOST {
                self.carriers.remove(0);
            }
            self.carriers.push((middle_hz, 0.0, 0.0));
            self.carriers.len() - 1
        });
        let (_, lte, nr) = &mut self.carriers[at];
        *(if of_nr { &mut *nr } else { &mut *lte }) += 1.0;
        if *lte + *nr > COUNTS_MOST {
            (*lte, *nr) = (*lte / 2.0, *nr / 2.0);
        }
    }

    /// Names what goes by a base station's grid, around `middle_hz`: blocks, subframes and preambles are those of NR at 15 kHz as
    /// well, and a block may be a machine's.
    pub(super) fn name_on_grid(&self, found: &mut Proposal, middle_hz: f64, rate_hz: f64) {
        if self.standard_near(middle_hz) == Some(Standard::Nr) {
            found.standard = Standard::Nr;
        }
        self.name_machine(found, rate_hz);
    }

    /// Twelve subcarriers of NB-IoT look like a block of LTE's. Where machines were heard of late there is their carrier, and no
    /// phone has that block (TS 36.213 clause 16, TS 36.211 clause 10.1).
    pub(super) fn name_machine(&self, found: &mut Proposal, rate_hz: f64) {
        let is_lte = matches!(found.standard, Standard::Lte | Standard::Ltem);
        if !is_lte || found.detail.resource_blocks != Some(1) || !matches!(found.kind, Kind::Pusch | Kind::Pucch) {
            return;
        }
        let is_inside = |m: &&(f64, f64, f64)| {
            let of_late = (0.0..MACHINES_S * rate_hz).contains(&(found.start - m.2));
            of_late && m.0 > found.low_hz - MACHINES_BESIDE_HZ && m.1 < found.high_hz + MACHINES_BESIDE_HZ
        };
        if self.machines.iter().filter(is_inside).count() >= MACHINES_LEAST {
            (found.standard, found.kind, found.standard_confidence) = (Standard::Nbiot, Kind::Pusch, EITHER);
            found.detail.evidence.push(Evidence::new("machines_in_its_block", 1.0, -8.0));
        }
    }

    /// Says of which standard a long preamble is, and how surely, where both use the band.
    pub(super) fn name(&self, found: &mut Proposal) {
        let middle_hz = (found.low_hz + found.high_hz) / 2.0;
        let is_either = found.standard == Standard::Lte && found.kind == Kind::Prach && found.detail.format.is_some();
        if !is_either || band::nr_band(middle_hz).is_none() {
            return;
        }
        match self.standard_near(middle_hz) {
            Some(Standard::Nr) => (found.standard, found.standard_confidence) = (Standard::Nr, BY_NEIGHBOURS),
            Some(_) => {}
            None => found.standard_confidence = found.standard_confidence.min(EITHER),
        }
    }

    /// Of which standard the shared channels near a frequency are, where they are mostly of one.
    fn standard_near(&self, middle_hz: f64) -> Option<Standard> {
        let near = self.carriers.iter().filter(|c| (c.0 - middle_hz).abs() < CARRIER_HZ);
        let (lte, nr) = near.fold((0.0, 0.0), |sum, c| (sum.0 + c.1, sum.1 + c.2));
        let is_most = |own: f64, other: f64| own >= COUNTS_LEAST && own > COUNTS_RATIO * other;
        match (is_most(lte, nr), is_most(nr, lte)) {
            (true, _) => Some(Standard::Lte),
            (_, true) => Some(Standard::Nr),
            _ => None,
        }
    }
}
