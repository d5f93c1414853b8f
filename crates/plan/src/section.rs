//! The `[plan]` section of a site file or of a box's configuration: what is wanted, and what is not bought yet.

use crate::host::Host;
use crate::radio::{RADIOS, Radio, by_model};
use crate::schedule::Range;
use cellwarden_types::Hertz;
use cellwarden_types::text::line_column;
use cellwarden_types::units::hertz_or_text;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// What `[plan]` says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// ISO code of the country, for the part of each band that is in use.
    pub country: Option<String>,
    /// Bands to watch, first the most important. Left out: those of the country, or those where the radios are tuned.
    #[serde(default)]
    pub bands: Vec<BandName>,
    /// Places that one box serves. Left out: places of the site's sensors.
    pub places: Option<u32>,
    /// The machine.
    pub host: Option<HostSection>,
    /// Radios that hang at each place.
    #[serde(default)]
    pub radio: Vec<Spanned<RadioSection>>,
}

/// A machine, as far as it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostSection {
    /// Cores that detection may use.
    pub cores: Option<f64>,
    /// Million samples a second and core, energy alone.
    pub energy_msps_per_core: Option<f64>,
    /// Million samples a second and core, in depth.
    pub depth_msps_per_core: Option<f64>,
    /// Cores that one phone on the air takes more.
    pub cores_per_phone: Option<f64>,
    /// USB controllers that the radios are spread over.
    pub usb_controllers: Option<u32>,
}

/// Radios of one kind.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RadioSection {
    /// A model of [`RADIOS`].
    pub model: String,
    /// How many at each place.
    #[serde(default = "one")]
    pub count: u32,
    /// Channels of each that are used, each with a frequency of its own.
    #[serde(default = "one")]
    pub channels: u32,
    /// Samples per second of each channel. Left out: the most that it sustains.
    #[serde(default, deserialize_with = "some_hertz")]
    pub rate: Option<Hertz>,
    /// Bands that these radios are for. Left out: all.
    #[serde(default)]
    pub bands: Vec<BandName>,
    /// Edges of the filter before the radio. Left out: there is none.
    pub filter: Option<[HertzText; 2]>,
    /// Measured time from a change of frequency to settled samples.
    pub retune_ms: Option<f64>,
}

/// A frequency as a number or a text.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct HertzText(#[serde(deserialize_with = "hertz_or_text")] pub Hertz);

/// A band by its number, or by its name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "NumberOrName")]
pub struct BandName(pub String);

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrName {
    Number(u16),
    Name(String),
}

impl From<NumberOrName> for BandName {
    /// LTE's bands are called by their number alone.
    fn from(given: NumberOrName) -> Self {
        match given {
            NumberOrName::Number(n) => Self(format!("B{n}")),
            NumberOrName::Name(name) if name.parse::<u16>().is_ok() => Self(format!("B{name}")),
            NumberOrName::Name(name) => Self(name),
        }
    }
}

fn one() -> u32 {
    1
}

fn some_hertz<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Hertz>, D::Error> {
    hertz_or_text(deserializer).map(Some)
}

/// Why a `[plan]` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}:{column}: {what}")]
pub struct SectionError {
    /// The file.
    pub name: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

/// The rest of a file is for others to check.
#[derive(Deserialize)]
struct File {
    plan: Option<Section>,
}

/// Most radios of an entry, and places of a box: beyond, it is a slip of the finger.
const MOST: u32 = 64;

impl Section {
    /// The section of a file's text, if it has one; `name` stands in errors.
    ///
    /// # Errors
    /// If the text is no TOML, or the section has an unknown key or a value that makes no sense.
    pub fn parse(text: &str, name: &str) -> Result<Option<Self>, SectionError> {
        let wrong = |offset: usize, what: String| {
            let (line, column) = line_column(text, offset);
            SectionError { name: name.to_owned(), line, column, what }
        };
        let file: File = toml::from_str(text)
            .map_err(|e| wrong(e.span().map_or(0, |s| s.start), e.message().trim().replace('\n', " ")))?;
        let Some(section) = file.plan else { return Ok(None) };
        let head = || text.find("[plan").unwrap_or(0);
        section.check_whole().map_err(|what| wrong(head(), what))?;
        for radio in &section.radio {
            radio.get_ref().check().map_err(|what| wrong(radio.span().start, what))?;
        }
        Ok(Some(section))
    }

    fn check_whole(&self) -> Result<(), String> {
        if self.places.is_some_and(|n| n == 0 || n > MOST) {
            return Err(format!("places: want 1 to {MOST}"));
        }
        let host = self.host.unwrap_or_default();
        let numbers = [host.cores, host.energy_msps_per_core, host.depth_msps_per_core, host.cores_per_phone];
        if numbers.into_iter().flatten().any(|n| !(n > 0.0 && n.is_finite())) {
            return Err("plan.host: want numbers above 0".to_owned());
        }
        if host.usb_controllers == Some(0) {
            return Err("plan.host: usb_controllers: want 1 or more".to_owned());
        }
        Ok(())
    }

    /// The machine: what is said of it, else `otherwise`.
    pub fn host(&self, otherwise: Host) -> Host {
        let said = self.host.unwrap_or_default();
        Host {
            cores: said.cores.unwrap_or(otherwise.cores),
            energy_msps_per_core: said.energy_msps_per_core.unwrap_or(otherwise.energy_msps_per_core),
            depth_msps_per_core: said.depth_msps_per_core.unwrap_or(otherwise.depth_msps_per_core),
            cores_per_phone: said.cores_per_phone.unwrap_or(otherwise.cores_per_phone),
        }
    }
}

impl RadioSection {
    /// The radio that it names.
    pub fn radio(&self) -> Option<&'static Radio> {
        by_model(&self.model)
    }

    /// The filter's passband.
    pub fn passband(&self) -> Option<Range> {
        self.filter.map(|[lower, upper]| Range::new(lower.0.0, upper.0.0))
    }

    fn check(&self) -> Result<(), String> {
        let who = &self.model;
        let Some(radio) = self.radio() else {
            let known: Vec<&str> = RADIOS.iter().map(|r| r.model).collect();
            return Err(format!("the model {who:?} is not known: name one of {}", known.join(", ")));
        };
        if self.count == 0 || self.count > MOST {
            return Err(format!("{who}: count: want 1 to {MOST}"));
        }
        if self.channels == 0 || self.channels > radio.tuners {
            return Err(format!(
                "{who}: channels: it tunes to {} frequenc{} at once, want 1{}",
                radio.tuners,
                if radio.tuners == 1 { "y" } else { "ies" },
                if radio.tuners == 1 { String::new() } else { format!(" to {}", radio.tuners) }
            ));
        }
        if self.rate.is_some_and(|r| r.0.is_nan() || r.0 <= 0.0) {
            return Err(format!("{who}: rate: want more than 0"));
        }
        if self.passband().is_some_and(|f| !(f.lower_hz >= 0.0 && f.width_hz() > 0.0)) {
            return Err(format!("{who}: filter: want its lower and upper edge, as in [\"832M\", \"862M\"]"));
        }
        if self.retune_ms.is_some_and(|ms| !(0.0..=10_000.0).contains(&ms)) {
            return Err(format!("{who}: retune_ms: want 0 to 10000"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[site]\nname = \"x\"\n\n[plan]\ncountry = \"fr\"\nbands = [8, \"20\", \"n78\"]\n\n[plan.host]\ncores = 4\n\n\
                        [[plan.radio]]\nmodel = \"bladerf-micro\"\nrate = \"50M\"\nfilter = [\"832M\", 862000000]\n";

    #[test]
    fn a_section_is_read() {
        let section = Section::parse(GOOD, "s.toml").unwrap().unwrap();
        assert_eq!(section.bands.iter().map(|b| b.0.as_str()).collect::<Vec<_>>(), ["B8", "B20", "n78"]);
        let radio = section.radio[0].get_ref();
        assert_eq!((radio.count, radio.channels, radio.rate), (1, 1, Some(Hertz(50e6))));
        assert_eq!(radio.passband(), Some(Range::new(832e6, 862e6)));
        assert!(Section::parse("[site]\nname = \"x\"\n", "s.toml").unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (from, to, want) in [
            ("country", "county", "s.toml:5:1: unknown field `county`"),
            (
                "model = \"bladerf-micro\"",
                "model = \"ouija\"",
                "s.toml:11:1: the model \"ouija\" is not known: name one of rtl-sdr",
            ),
            ("rate = \"50M\"", "rate = \"fast\"", "s.toml:13:8: \"fast\" is no frequency"),
            ("rate = \"50M\"", "channels = 3", "channels: it tunes to 1 frequency at once"),
            ("rate = \"50M\"", "count = 0", "count"),
            ("862000000]", "812000000]", "filter"),
            ("cores = 4", "cores = 0", "s.toml:4:1: plan.host"),
            ("cores = 4", "colour = 4", "s.toml:9:1: unknown field `colour`"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            let error = Section::parse(&text, "s.toml").unwrap_err().to_string();
            assert!(error.contains(want), "{error} lacks {want}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = Section::parse(&text, "x");
        }
    }
}
