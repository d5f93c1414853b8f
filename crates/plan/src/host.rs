//! What the machine computes of what the radios send.

use serde::Serialize;

/// A machine that detects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Host {
    /// Cores that detection may use.
    pub cores: f64,
    /// Million samples a second that one core takes through the energy detector alone.
    pub energy_msps_per_core: f64,
    /// Million samples a second that one core takes through the whole path, on a quiet band.
    pub depth_msps_per_core: f64,
    /// Cores that one phone on the air takes more, at each place that hears it.
    pub cores_per_phone: f64,
}

/// Of one core of an AMD EPYC virtual machine, quiet band, 20 Msps of cs16: `cellwarden bench` (README, Measured).
pub const DEPTH_MSPS_PER_CORE: f64 = 100.0;
/// The same without the classifiers, from the stages of the same run.
pub const ENERGY_MSPS_PER_CORE: f64 = 110.0;
/// One sensor of `testdata/corridor` (10 Msps, three phones for about 1.7 s each): 2.1 s of one such core more than
/// energy alone.
pub const CORES_PER_PHONE: f64 = 0.4;

/// What a machine computes, as shares of the samples that come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Load {
    /// What comes, in million samples a second.
    pub msps: f64,
    /// Cores that all of it takes, in depth, on quiet bands.
    pub cores_needed: f64,
    /// Share of the samples that the energy detector sees.
    pub energy_share: f64,
    /// Share of the samples that are looked at in depth: what energy detection leaves of the cores.
    pub depth_share: f64,
    /// Phones on the air at once for which the cores are enough in depth.
    pub phones_at_once: f64,
}

impl Host {
    /// What it makes of so many million samples a second. Energy detection goes first.
    pub fn load(&self, msps: f64) -> Load {
        let cores_needed = msps / self.depth_msps_per_core;
        if msps <= 0.0 {
            return Load {
                msps: 0.0,
                cores_needed: 0.0,
                energy_share: 1.0,
                depth_share: 1.0,
                phones_at_once: (self.cores / self.cores_per_phone).floor(),
            };
        }
        let energy_cores = msps / self.energy_msps_per_core;
        let energy_share = (self.cores / energy_cores).min(1.0);
        let depth_cores = (cores_needed - energy_cores).max(0.0);
        let left = (self.cores - energy_cores).max(0.0);
        let depth_share = if energy_share < 1.0 {
            0.0
        } else if depth_cores > 0.0 {
            (left / depth_cores).min(1.0)
        } else {
            1.0
        };
        let phones_at_once = ((self.cores - cores_needed) / self.cores_per_phone).max(0.0).floor();
        Load { msps, cores_needed, energy_share, depth_share, phones_at_once }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_goes_before_depth() {
        let host = Host { cores: 2.0, energy_msps_per_core: 200.0, depth_msps_per_core: 100.0, cores_per_phone: 0.2 };
        assert_eq!(host.load(0.0).depth_share, 1.0);
        let fits = host.load(150.0);
        assert_eq!((fits.energy_share, fits.depth_share, fits.cores_needed), (1.0, 1.0, 1.5));
        assert_eq!((fits.phones_at_once, host.load(400.0).phones_at_once), (2.0, 0.0));
        // 300 Msps take 1.5 cores of energy; the half core left does a third of the 1.5 cores of depth.
        let tight = host.load(300.0);
        assert!(tight.energy_share == 1.0 && (tight.depth_share - 1.0 / 3.0).abs() < 1e-12);
        let over = host.load(800.0);
        assert_eq!((over.energy_share, over.depth_share), (0.5, 0.0));
    }
}
