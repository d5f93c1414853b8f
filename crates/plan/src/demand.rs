//! Which spectrum is to be watched.

use crate::activity::Activity;
use crate::schedule::Range;
use cellwarden_standards::band::{UPLINK_BANDS, bands_named};
use cellwarden_standards::country::{COUNTRIES, country};
use cellwarden_types::Standard;

/// A band that is to be watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// As it was named: `B20`.
    pub name: String,
    /// The uplink in use.
    pub range: Range,
    /// Width of the usual LTE carrier, in hertz.
    pub lte_carrier_hz: f64,
    /// Whether a public GSM network may be on the air in it.
    pub gsm: bool,
    /// Whether LTE is, with its uplink apart from its downlink.
    pub lte: bool,
    /// Whether uplink and downlink share it: then the network's own stations are in it too.
    pub tdd: bool,
}

impl Band {
    /// What can be caught in it.
    pub fn activities(&self) -> impl Iterator<Item = Activity> + '_ {
        Activity::ALL.into_iter().filter(|a| if a.standard() == Standard::Gsm { self.gsm } else { self.lte })
    }
}

/// Width of an LTE carrier where the country does not tell.
const USUAL_CARRIER_HZ: f64 = 10e6;

/// The bands of these names, in this order; the country narrows them to what is in use there. Without names those of
/// the country.
///
/// # Errors
/// What is wrong with a name, and what to do.
pub fn bands(names: &[String], code: Option<&str>) -> Result<Vec<Band>, String> {
    let of = match code {
        None => None,
        Some(code) => Some(country(code).ok_or_else(|| {
            let known: Vec<&str> = COUNTRIES.iter().map(|c| c.code).collect();
            format!("the country {code:?} is not known: leave it out, or name one of {}", known.join(", "))
        })?),
    };
    let all: Vec<String> = match (names, of) {
        ([], Some(country)) => country.bands.iter().map(|b| b.band.to_owned()).collect(),
        _ => names.to_vec(),
    };
    let mut found: Vec<Band> = Vec::new();
    for name in &all {
        let rows: Vec<_> = bands_named(name).collect();
        let Some(first) = rows.first() else {
            return Err(format!(
                "the band {name:?} is not known: name an LTE band by its number (20) or as B20, n78, GSM900, DCS1800"
            ));
        };
        let mut range = rows.iter().fold(Range::new(f64::INFINITY, f64::NEG_INFINITY), |r, row| {
            Range::new(r.lower_hz.min(row.ul_lower_hz), r.upper_hz.max(row.ul_upper_hz))
        });
        let overlapping = |b: &&_| {
            let b: &cellwarden_standards::country::BandUse = b;
            Range::new(b.lower_hz, b.upper_hz).and(range).width_hz() > 0.0
        };
        let tdd = first.is_tdd();
        let holds = |standard: Standard| {
            let rows = UPLINK_BANDS.iter().filter(|row| row.standard == standard && row.region == first.region);
            rows.into_iter().any(|row| Range::new(row.ul_lower_hz, row.ul_upper_hz).and(range).width_hz() > 1e6)
        };
        let (mut gsm, lte) = (holds(Standard::Gsm), holds(Standard::Lte) && !tdd);
        let mut lte_carrier_hz = USUAL_CARRIER_HZ;
        if let Some(country) = of {
            let used = country.bands.iter().find(overlapping).ok_or_else(|| {
                let known: Vec<&str> = country.bands.iter().map(|b| b.band).collect();
                format!("the band {name:?} is not in use in {:?}: there are {}", country.code, known.join(", "))
            })?;
            range = range.and(Range::new(used.lower_hz, used.upper_hz));
            gsm = used.gsm;
            if used.lte_carrier_hz > 0.0 {
                lte_carrier_hz = used.lte_carrier_hz;
            }
        }
        if let Some(other) = found.iter().find(|b| b.range.and(range).width_hz() > 1e6) {
            return Err(format!("the bands {:?} and {name:?} are the same spectrum: name it once", other.name));
        }
        found.push(Band { name: name.clone(), range, lte_carrier_hz, gsm, lte, tdd });
    }
    if found.is_empty() {
        return Err("no band is to be watched: name some, as in bands = [20, 8], or a country".to_owned());
    }
    Ok(found)
}

/// The bands of LTE's names whose uplink a window touches, ascending: what a radio that is there already is there for.
pub fn bands_at(windows: &[Range], code: Option<&str>) -> Vec<String> {
    let of = code.and_then(country);
    let mut names = Vec::new();
    for row in UPLINK_BANDS.iter().filter(|row| row.standard == Standard::Lte) {
        let range = Range::new(row.ul_lower_hz, row.ul_upper_hz);
        let touched = windows.iter().any(|w| w.and(range).width_hz() > 0.0);
        let used = match of {
            Some(country) => country.bands.iter().any(|b| b.band == row.name),
            None => row.region == cellwarden_standards::band::Region::Europe,
        };
        if touched && used {
            names.push(row.name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str], code: Option<&str>) -> Result<Vec<Band>, String> {
        bands(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(), code)
    }

    #[test]
    fn a_country_narrows_its_bands() {
        let all = named(&["B28", "B8", "n78"], Some("fr")).unwrap();
        assert_eq!(all[0].range, Range::new(703e6, 733e6));
        assert!(all[0].lte && !all[0].gsm && all[1].gsm && all[1].lte && all[2].tdd && !all[2].lte);
        assert_eq!(named(&["B28"], None).unwrap()[0].range, Range::new(703e6, 748e6));
        assert_eq!(named(&["GSM900"], None).unwrap()[0].range, Range::new(880e6, 915e6));
        assert_eq!(named(&[], Some("fr")).unwrap().len(), 7);
        assert_eq!(named(&["n78"], Some("fr")).unwrap()[0].activities().count(), 0);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (names, code, word) in [
            (&["B99"][..], None, "B99"),
            (&["B40"], Some("fr"), "B28"),
            (&["B8"], Some("xx"), "fr, gb"),
            (&["B8", "GSM900"], None, "same spectrum"),
            (&[], None, "no band"),
        ] {
            let error = named(names, code).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_radios_window_tells_its_band() {
        assert_eq!(bands_at(&[Range::about(902.4e6, 2e6)], None), ["B8"]);
        assert_eq!(bands_at(&[Range::about(847e6, 56e6)], Some("fr")), ["B20"]);
        assert!(bands_at(&[Range::about(100e6, 2e6)], None).is_empty());
    }
}
