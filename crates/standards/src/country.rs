//! Which part of each band phones use in a country: the blocks of its public networks, together.
//!
//! # Source
//! France: Arcep's assignments (widths verified; edges of 800 MHz SFR and of 3.5 GHz read in decisions 2019-0587 and
//! 2019-0862, the others follow from the widths). United Kingdom: Ofcom's assignments; edges at 2.6 GHz are not known, so
//! the whole band is given. No operator is named on purpose: who holds which block changes, the union does not.

/// What is in use of one band in one country.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BandUse {
    /// The band's name in [`UPLINK_BANDS`](crate::band::UPLINK_BANDS): `B20`, `n78`.
    pub band: &'static str,
    /// Lower edge of the uplink in use, in hertz.
    pub lower_hz: f64,
    /// Upper edge of the uplink in use, in hertz.
    pub upper_hz: f64,
    /// Width of the usual LTE carrier there: the widest that fits into most operators' blocks, in hertz.
    pub lte_carrier_hz: f64,
    /// Whether a public GSM network may be on the air there. In France until the end of 2026 (the operators' plans).
    pub gsm: bool,
}

/// A country's bands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Country {
    /// ISO 3166-1 alpha-2, lower case.
    pub code: &'static str,
    /// Its bands, ascending.
    pub bands: &'static [BandUse],
}

const fn part(band: &'static str, mhz: (f64, f64), lte_carrier_mhz: f64, gsm: bool) -> BandUse {
    BandUse { band, lower_hz: mhz.0 * 1e6, upper_hz: mhz.1 * 1e6, lte_carrier_hz: lte_carrier_mhz * 1e6, gsm }
}

/// The countries that are known.
pub const COUNTRIES: &[Country] = &[
    Country {
        code: "fr",
        bands: &[
            part("B28", (703.0, 733.0), 10.0, false),
            part("B20", (832.0, 862.0), 10.0, false),
            part("B8", (880.1, 914.9), 5.0, true),
            part("B3", (1710.0, 1785.0), 20.0, true),
            part("B1", (1920.5, 1979.7), 10.0, false),
            part("B7", (2500.0, 2570.0), 15.0, false),
            part("n78", (3490.0, 3800.0), 0.0, false),
        ],
    },
    Country {
        code: "gb",
        bands: &[
            part("B28", (703.0, 733.0), 10.0, false),
            part("B20", (832.0, 862.0), 10.0, false),
            part("B8", (880.1, 914.9), 5.0, true),
            part("B3", (1710.1, 1781.7), 15.0, true),
            part("B1", (1920.3, 1979.7), 10.0, false),
            part("B40", (2350.0, 2390.0), 20.0, false),
            part("B7", (2500.0, 2570.0), 20.0, false),
            part("n78", (3680.0, 3800.0), 0.0, false),
        ],
    },
];

/// The country of an ISO code, in either case.
pub fn country(code: &str) -> Option<&'static Country> {
    COUNTRIES.iter().find(|c| c.code.eq_ignore_ascii_case(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::band::bands_named;
    use crate::lte::carrier_blocks;
    use cellwarden_types::Standard;

    #[test]
    fn uses_lie_inside_their_bands() {
        for c in COUNTRIES {
            for part in c.bands {
                let row = bands_named(part.band).next().expect(part.band);
                assert!(
                    row.ul_lower_hz <= part.lower_hz && part.upper_hz <= row.ul_upper_hz,
                    "{} {}",
                    c.code,
                    part.band
                );
                assert_eq!(
                    row.standard == Standard::Lte,
                    carrier_blocks(part.lte_carrier_hz).is_some(),
                    "{}",
                    part.band
                );
            }
            assert!(c.bands.windows(2).all(|w| w[0].upper_hz <= w[1].lower_hz), "{}", c.code);
        }
        assert!(country("FR").is_some() && country("xx").is_none());
    }

    /// The sum that the domain's facts give for France: 300 MHz with the whole of bands 8 and 1.
    #[test]
    fn france_has_300_mhz_of_paired_uplink() {
        let paired = country("fr").expect("France").bands.iter().filter(|b| b.band.starts_with('B'));
        let sum: f64 = paired.map(|b| b.upper_hz - b.lower_hz).sum();
        assert!((sum - 299e6).abs() < 0.1e6, "{sum}");
    }
}
