//! Uplink bands and channel numbers.
//!
//! # Source
//! GSM: 3GPP TS 45.005 clause 2. UMTS: TS 25.101 clauses 5.2 and 5.4. LTE: TS 36.101 Tables 5.5-1
//! and 5.7.3-1. NR: TS 38.101-1 Table 5.2-1.

use cellwarden_types::Standard;

/// Where in the world a band is in use for phones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// Europe (and most of the rest of the world).
    Europe,
    /// The Americas.
    Americas,
}

/// One band that phones transmit in, with one run of channel numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UplinkBand {
    /// The name in records: `GSM900`, `DCS1800`, `B20`, `n78`; UMTS: `I`, `VIII`.
    pub name: &'static str,
    /// Which standard uses it so.
    pub standard: Standard,
    /// Lower edge of the uplink, in hertz.
    pub ul_lower_hz: f64,
    /// Upper edge of the uplink, in hertz.
    pub ul_upper_hz: f64,
    /// Lower edge of the downlink, in hertz; that of the uplink where the band is time-division.
    pub dl_lower_hz: f64,
    /// Upper edge of the downlink, in hertz.
    pub dl_upper_hz: f64,
    /// Uplink channel numbers (ARFCN, UARFCN, EARFCN, NR-ARFCN), first and last.
    pub channels: (u32, u32),
    /// Frequency of `channels.0`, in hertz.
    pub first_hz: f64,
    /// Spacing of the channel numbers, in hertz.
    pub step_hz: f64,
    /// Where it is in use.
    pub region: Region,
}

impl UplinkBand {
    /// Whether uplink and downlink share the frequencies.
    pub fn is_tdd(&self) -> bool {
        self.ul_lower_hz == self.dl_lower_hz
    }

    /// Whether `hz` lies in the uplink.
    pub fn holds(&self, hz: f64) -> bool {
        (self.ul_lower_hz..=self.ul_upper_hz).contains(&hz)
    }

    /// Centre frequency of a channel number, in hertz.
    pub fn channel_hz(&self, channel: u32) -> Option<f64> {
        (self.channels.0..=self.channels.1)
            .contains(&channel)
            .then(|| self.first_hz + self.step_hz * f64::from(channel - self.channels.0))
    }

    /// Nearest channel number to `hz`, which must lie in the uplink.
    pub fn nearest_channel(&self, hz: f64) -> Option<u32> {
        if !self.holds(hz) {
            return None;
        }
        let steps = ((hz - self.first_hz) / self.step_hz).round().max(0.0);
        Some((self.channels.0 + steps as u32).min(self.channels.1))
    }
}

#[allow(clippy::too_many_arguments)] // a table's row
const fn row(
    name: &'static str,
    standard: Standard,
    ul: (f64, f64),
    dl: (f64, f64),
    channels: (u32, u32),
    first_mhz: f64,
    step_hz: f64,
    region: Region,
) -> UplinkBand {
    UplinkBand {
        name,
        standard,
        ul_lower_hz: ul.0 * 1e6,
        ul_upper_hz: ul.1 * 1e6,
        dl_lower_hz: dl.0 * 1e6,
        dl_upper_hz: dl.1 * 1e6,
        channels,
        first_hz: first_mhz * 1e6,
        step_hz,
        region,
    }
}

use Region::{Americas, Europe};
use Standard::{Gsm, Lte, Nr, Umts};

const RASTER_GSM: f64 = 200e3;
const RASTER_LTE: f64 = 100e3;

/// All uplink bands, within a standard those of Europe first.
///
/// GSM 900 has two rows, since its numbers wrap: P-GSM with ARFCN 0, and the E-GSM extension. The
/// railways' GSM-R (873-880 MHz) is left out on purpose: no public phones there.
/// Europe uses only 703-733 MHz of band 28; the row is the whole band.
#[rustfmt::skip]
pub const UPLINK_BANDS: &[UplinkBand] = &[
    row("GSM900", Gsm, (889.9, 915.0), (934.9, 960.0), (0, 124), 890.0, RASTER_GSM, Europe),
    row("GSM900", Gsm, (880.0, 889.9), (925.0, 934.9), (975, 1023), 880.2, RASTER_GSM, Europe),
    row("DCS1800", Gsm, (1710.0, 1785.0), (1805.0, 1880.0), (512, 885), 1710.2, RASTER_GSM, Europe),
    row("GSM850", Gsm, (824.0, 849.0), (869.0, 894.0), (128, 251), 824.2, RASTER_GSM, Americas),
    row("PCS1900", Gsm, (1850.0, 1910.0), (1930.0, 1990.0), (512, 810), 1850.2, RASTER_GSM, Americas),

    row("VIII", Umts, (880.0, 915.0), (925.0, 960.0), (2712, 2863), 882.4, 200e3, Europe),
    row("I", Umts, (1920.0, 1980.0), (2110.0, 2170.0), (9612, 9888), 1922.4, 200e3, Europe),
    row("V", Umts, (824.0, 849.0), (869.0, 894.0), (4132, 4233), 826.4, 200e3, Americas),
    row("II", Umts, (1850.0, 1910.0), (1930.0, 1990.0), (9262, 9538), 1852.4, 200e3, Americas),
    row("IV", Umts, (1710.0, 1755.0), (2110.0, 2155.0), (1312, 1513), 1712.4, 200e3, Americas),

    row("B20", Lte, (832.0, 862.0), (791.0, 821.0), (24150, 24449), 832.0, RASTER_LTE, Europe),
    row("B28", Lte, (703.0, 748.0), (758.0, 803.0), (27210, 27659), 703.0, RASTER_LTE, Europe),
    row("B8", Lte, (880.0, 915.0), (925.0, 960.0), (21450, 21799), 880.0, RASTER_LTE, Europe),
    row("B3", Lte, (1710.0, 1785.0), (1805.0, 1880.0), (19200, 19949), 1710.0, RASTER_LTE, Europe),
    row("B1", Lte, (1920.0, 1980.0), (2110.0, 2170.0), (18000, 18599), 1920.0, RASTER_LTE, Europe),
    row("B7", Lte, (2500.0, 2570.0), (2620.0, 2690.0), (20750, 21449), 2500.0, RASTER_LTE, Europe),
    row("B38", Lte, (2570.0, 2620.0), (2570.0, 2620.0), (37750, 38249), 2570.0, RASTER_LTE, Europe),
    row("B40", Lte, (2300.0, 2400.0), (2300.0, 2400.0), (38650, 39649), 2300.0, RASTER_LTE, Europe),
    row("B42", Lte, (3400.0, 3600.0), (3400.0, 3600.0), (41590, 43589), 3400.0, RASTER_LTE, Europe),
    row("B43", Lte, (3600.0, 3800.0), (3600.0, 3800.0), (43590, 45589), 3600.0, RASTER_LTE, Europe),
    row("B2", Lte, (1850.0, 1910.0), (1930.0, 1990.0), (18600, 19199), 1850.0, RASTER_LTE, Americas),
    row("B4", Lte, (1710.0, 1755.0), (2110.0, 2155.0), (19950, 20399), 1710.0, RASTER_LTE, Americas),
    row("B5", Lte, (824.0, 849.0), (869.0, 894.0), (20400, 20649), 824.0, RASTER_LTE, Americas),
    row("B12", Lte, (699.0, 716.0), (729.0, 746.0), (23010, 23179), 699.0, RASTER_LTE, Americas),
    row("B13", Lte, (777.0, 787.0), (746.0, 756.0), (23180, 23279), 777.0, RASTER_LTE, Americas),
    row("B14", Lte, (788.0, 798.0), (758.0, 768.0), (23280, 23379), 788.0, RASTER_LTE, Americas),
    row("B17", Lte, (704.0, 716.0), (734.0, 746.0), (23730, 23849), 704.0, RASTER_LTE, Americas),
    row("B25", Lte, (1850.0, 1915.0), (1930.0, 1995.0), (26040, 26689), 1850.0, RASTER_LTE, Americas),
    row("B26", Lte, (814.0, 849.0), (859.0, 894.0), (26690, 27039), 814.0, RASTER_LTE, Americas),
    row("B41", Lte, (2496.0, 2690.0), (2496.0, 2690.0), (39650, 41589), 2496.0, RASTER_LTE, Americas),
    row("B66", Lte, (1710.0, 1780.0), (2110.0, 2200.0), (131972, 132671), 1710.0, RASTER_LTE, Americas),
    row("B71", Lte, (663.0, 698.0), (617.0, 652.0), (133122, 133471), 663.0, RASTER_LTE, Americas),

    row("n28", Nr, (703.0, 748.0), (758.0, 803.0), (140600, 149600), 703.0, 5e3, Europe),
    row("n20", Nr, (832.0, 862.0), (791.0, 821.0), (166400, 172400), 832.0, 5e3, Europe),
    row("n8", Nr, (880.0, 915.0), (925.0, 960.0), (176000, 183000), 880.0, 5e3, Europe),
    row("n3", Nr, (1710.0, 1785.0), (1805.0, 1880.0), (342000, 357000), 1710.0, 5e3, Europe),
    row("n1", Nr, (1920.0, 1980.0), (2110.0, 2170.0), (384000, 396000), 1920.0, 5e3, Europe),
    row("n7", Nr, (2500.0, 2570.0), (2620.0, 2690.0), (500000, 514000), 2500.0, 5e3, Europe),
    row("n78", Nr, (3300.0, 3800.0), (3300.0, 3800.0), (620000, 653333), 3300.0, 15e3, Europe),
];

/// A GSM channel and its exact uplink frequency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GsmChannel {
    /// Absolute radio-frequency channel number; those of DCS1800 and PCS1900 overlap.
    pub arfcn: u16,
    /// The band's name.
    pub band: &'static str,
    /// Uplink carrier, in hertz.
    pub center_hz: f64,
}

/// Bands of one standard.
pub fn bands_of(standard: Standard) -> impl Iterator<Item = &'static UplinkBand> {
    UPLINK_BANDS.iter().filter(move |band| band.standard == standard)
}

/// The GSM channel nearest to `hz`, where that lies in a GSM uplink band.
pub fn gsm_channel(hz: f64) -> Option<GsmChannel> {
    let band = bands_of(Gsm).find(|band| band.holds(hz))?;
    let channel = band.nearest_channel(hz)?;
    Some(GsmChannel { arfcn: channel as u16, band: band.name, center_hz: band.channel_hz(channel)? })
}

/// Uplink carrier of an ARFCN in a named GSM band, in hertz.
pub fn gsm_uplink_hz(arfcn: u16, band: &str) -> Option<f64> {
    bands_of(Gsm).filter(|row| row.name == band).find_map(|row| row.channel_hz(u32::from(arfcn)))
}

/// The LTE band whose uplink holds `hz`; where several do, one of Europe.
pub fn lte_band(hz: f64) -> Option<&'static str> {
    bands_of(Lte).find(|band| band.holds(hz)).map(|band| band.name)
}

/// The NR band whose uplink holds `hz`; where several do, one of Europe.
pub fn nr_band(hz: f64) -> Option<&'static UplinkBand> {
    bands_of(Nr).find(|band| band.holds(hz))
}

/// Whether uplink and downlink share a frequency: NR's unpaired bands.
pub fn is_unpaired(hz: f64) -> bool {
    nr_band(hz).is_some_and(UplinkBand::is_tdd)
}

/// Carrier centre in hertz and band of an uplink EARFCN.
pub fn earfcn_uplink_hz(earfcn: u32) -> Option<(f64, &'static str)> {
    bands_of(Lte).find_map(|band| Some((band.channel_hz(earfcn)?, band.name)))
}

/// The uplink EARFCN nearest to `hz` in a named LTE band.
pub fn uplink_earfcn(band: &str, hz: f64) -> Option<u32> {
    bands_of(Lte).find(|row| row.name == band)?.nearest_channel(hz)
}

/// Whether phones of any standard may transmit at `hz`.
pub fn is_uplink(hz: f64) -> bool {
    UPLINK_BANDS.iter().any(|band| band.holds(hz))
}

/// The rows of a band's name.
pub fn bands_named(name: &str) -> impl Iterator<Item = &'static UplinkBand> {
    UPLINK_BANDS.iter().filter(move |band| band.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arfcns_match_their_formulas() {
        for (arfcn, band, mhz) in [
            (0, "GSM900", 890.0),
            (1, "GSM900", 890.2),
            (40, "GSM900", 898.0),
            (124, "GSM900", 914.8),
            (975, "GSM900", 880.2),
            (1023, "GSM900", 889.8),
            (512, "DCS1800", 1710.2),
            (885, "DCS1800", 1784.8),
            (512, "PCS1900", 1850.2),
            (251, "GSM850", 848.8),
        ] {
            let hz = gsm_uplink_hz(arfcn, band).unwrap();
            assert!((hz - mhz * 1e6).abs() < 1.0, "{band} {arfcn}");
            let back = gsm_channel(hz + 70e3).unwrap();
            assert_eq!((back.arfcn, back.band), (arfcn, band));
            assert!((back.center_hz - hz).abs() < 1.0);
        }
        assert_eq!(gsm_channel(878e6), None, "railways");
        assert_eq!(gsm_channel(925e6), None);
        assert_eq!(gsm_uplink_hz(600, "GSM900"), None);
    }

    #[test]
    fn every_gsm_channel_comes_back() {
        for band in bands_of(Gsm) {
            for n in band.channels.0..=band.channels.1 {
                let hz = band.channel_hz(n).unwrap();
                for off in [-95e3, 0.0, 95e3] {
                    let found = gsm_channel(hz + off).unwrap();
                    assert_eq!((u32::from(found.arfcn), found.band), (n, band.name), "{off}");
                }
            }
        }
    }

    #[test]
    fn channel_numbers_end_at_the_bands_edges() {
        for band in UPLINK_BANDS {
            let last = band.channel_hz(band.channels.1).unwrap();
            assert!(band.holds(band.first_hz) && band.holds(last), "{}", band.name);
            assert!(band.ul_upper_hz - last < 2.7e6, "{} ends at {last}", band.name);
            assert!((band.ul_upper_hz - band.ul_lower_hz - (band.dl_upper_hz - band.dl_lower_hz)).abs() < 21e6);
        }
    }

    #[test]
    fn lte_numbers_and_bands() {
        assert_eq!(lte_band(847e6), Some("B20"));
        assert_eq!(lte_band(830e6), Some("B5"));
        assert_eq!(lte_band(1750e6), Some("B3"));
        assert_eq!(lte_band(902.5e6), Some("B8"));
        assert_eq!(lte_band(1600e6), None);
        let (hz, band) = earfcn_uplink_hz(21675).unwrap();
        assert!((hz - 902.5e6).abs() < 1.0 && band == "B8");
        assert_eq!(uplink_earfcn("B8", 902.5e6), Some(21675));
        assert!(is_uplink(898e6) && !is_uplink(940e6) && !is_uplink(1890e6 + 30e6 - 1e6));
    }
}
