//! Radios that are known by their SoapySDR driver key: what they tune to, how fast, over which bus.
//!
//! # Source
//! Makers' data sheets, collected in the project's receivers table (2026-11); where a figure is a range the worse end
//! stands here. Retune times reach from the command to settled samples at the host, buffers of old samples included:
//! estimates, to be measured on the radio at hand and given as `retune_ms`. Prices are street prices, indicative.

use cellwarden_types::db;

/// How samples come to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// USB 2.0, 480 Mbit/s.
    Usb2,
    /// USB 3.x, 5 Gbit/s.
    Usb3,
    /// Ethernet, 10 Gbit/s.
    TenGigabit,
}

impl Bus {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usb2 => "USB 2",
            Self::Usb3 => "USB 3",
            Self::TenGigabit => "10 GbE",
        }
    }

    /// Bytes per second that one controller or link sustains.
    ///
    /// USB 2: what a HackRF needs at 20 Msps, which it reaches. USB 3: 500 MB/s after 8b/10b coding, of which a fifth
    /// goes to the protocol. Ethernet: 1 500 of 1 538 bytes of each frame.
    pub fn bytes_per_s(self) -> f64 {
        match self {
            Self::Usb2 => 40e6,
            Self::Usb3 => 400e6,
            Self::TenGigabit => 1.2e9,
        }
    }
}

/// A kind of radio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Radio {
    /// Its name in `model = "…"`.
    pub model: &'static str,
    /// Its name in shops.
    pub name: &'static str,
    /// SoapySDR's driver key.
    pub driver: &'static str,
    /// SoapySDR's `type`, where the driver serves several.
    pub kind: Option<&'static str>,
    /// Lowest and highest centre frequency, in hertz.
    pub tuning_hz: (f64, f64),
    /// Highest rate that is sustained with 1, 2, … channels at once, each, in samples per second.
    pub rates: &'static [f64],
    /// Centre frequencies that it can have at once: channels beyond hear what the others hear, at another antenna. An
    /// AD936x and an LMS7002M have one receive synthesiser for both of their channels (data sheets).
    pub tuners: u32,
    /// Share of the rate that the filters before the converter leave usable.
    pub usable_share: f64,
    /// Bytes of a complex sample on the bus.
    pub bytes_per_sample: f64,
    /// The bus.
    pub bus: Bus,
    /// Bits of the converter up to a rate, ascending.
    pub bits: &'static [(f64, u8)],
    /// From a change of frequency to settled samples at the host, in seconds.
    pub retune_s: f64,
    /// Street price in euros, from and to.
    pub price_eur: (u32, u32),
}

/// Zero-IF radios with an AD936x: 56 MHz of analogue bandwidth at 61.44 Msps.
const AD936X_SHARE: f64 = 0.9;
/// Where nothing is known of a filter: a tenth at either edge is its skirt.
pub const USUAL_SHARE: f64 = 0.8;
/// Retune time where nothing is known: as slow as the slowest.
pub const USUAL_RETUNE_S: f64 = 0.065;
const ANY: f64 = f64::INFINITY;

const AD936X: Radio = Radio {
    model: "",
    name: "",
    driver: "uhd",
    kind: None,
    tuning_hz: (70e6, 6e9),
    rates: &[61.44e6],
    tuners: 1,
    usable_share: AD936X_SHARE,
    bytes_per_sample: 4.0,
    bus: Bus::Usb3,
    bits: &[(ANY, 12)],
    retune_s: 0.030,
    price_eur: (0, 0),
};

const RTL: Radio = Radio {
    model: "rtl-sdr",
    name: "RTL-SDR Blog V3/V4",
    driver: "rtlsdr",
    kind: None,
    tuning_hz: (24e6, 1.766e9),
    rates: &[2.4e6],
    tuners: 1,
    usable_share: USUAL_SHARE,
    bytes_per_sample: 2.0,
    bus: Bus::Usb2,
    bits: &[(ANY, 8)],
    retune_s: 0.065,
    price_eur: (35, 45),
};

const AIRSPY: Radio = Radio {
    model: "airspy-mini",
    name: "Airspy Mini",
    driver: "airspy",
    kind: None,
    tuning_hz: (24e6, 1.7e9),
    rates: &[6e6],
    tuners: 1,
    usable_share: USUAL_SHARE,
    // Real samples of 12 bits at twice the rate, packed.
    bytes_per_sample: 3.0,
    bus: Bus::Usb2,
    bits: &[(ANY, 12)],
    retune_s: 0.050,
    price_eur: (110, 110),
};

const SDRPLAY: Radio = Radio {
    model: "rsp1b",
    name: "SDRplay RSP1B",
    driver: "sdrplay",
    kind: None,
    tuning_hz: (1e3, 2e9),
    rates: &[10e6],
    tuners: 1,
    usable_share: USUAL_SHARE,
    bytes_per_sample: 4.0,
    bus: Bus::Usb2,
    bits: &[(6e6, 14), (8e6, 12), (9.2e6, 10), (ANY, 8)],
    retune_s: 0.050,
    price_eur: (130, 130),
};

const LIME: Radio = Radio {
    model: "limesdr-usb",
    name: "LimeSDR USB",
    driver: "lime",
    kind: None,
    tuning_hz: (100e3, 3.8e9),
    rates: &[61.44e6, 30.72e6],
    tuners: 1,
    usable_share: USUAL_SHARE,
    bytes_per_sample: 3.0,
    bus: Bus::Usb3,
    bits: &[(ANY, 12)],
    retune_s: 0.050,
    price_eur: (320, 420),
};

/// The radios that are known. Of one driver, the one that is meant where nothing tells them apart comes first.
pub const RADIOS: &[Radio] = &[
    RTL,
    Radio { model: "krakensdr", name: "KrakenSDR", rates: &[2.4e6; 5], tuners: 5, price_eur: (400, 400), ..RTL },
    AIRSPY,
    Radio { model: "airspy-r2", name: "Airspy R2", rates: &[10e6], price_eur: (190, 190), ..AIRSPY },
    SDRPLAY,
    Radio { model: "rspdx-r2", name: "SDRplay RSPdx-R2", price_eur: (240, 240), ..SDRPLAY },
    Radio { model: "rspduo", name: "SDRplay RSPduo", rates: &[10e6, 2e6], tuners: 2, price_eur: (280, 280), ..SDRPLAY },
    Radio {
        model: "hackrf",
        name: "HackRF One",
        driver: "hackrf",
        kind: None,
        tuning_hz: (1e6, 6e9),
        rates: &[20e6],
        tuners: 1,
        // A baseband filter of 15 MHz at 20 Msps.
        usable_share: 0.75,
        bytes_per_sample: 2.0,
        bus: Bus::Usb2,
        bits: &[(ANY, 8)],
        retune_s: 0.020,
        price_eur: (150, 300),
    },
    Radio {
        model: "pluto",
        name: "ADALM-PLUTO",
        driver: "plutosdr",
        tuning_hz: (325e6, 3.8e9),
        rates: &[4e6],
        bus: Bus::Usb2,
        price_eur: (180, 300),
        ..AD936X
    },
    LIME,
    Radio { model: "limesdr-mini-2", name: "LimeSDR Mini 2.0", tuning_hz: (10e6, 3.5e9), rates: &[61.44e6], ..LIME },
    Radio {
        model: "bladerf-micro",
        name: "bladeRF 2.0 micro",
        driver: "bladerf",
        tuning_hz: (47e6, 6e9),
        rates: &[61.44e6, 30.72e6],
        price_eur: (540, 860),
        ..AD936X
    },
    Radio { model: "b200", name: "USRP B200", kind: Some("b200"), price_eur: (1000, 1000), ..AD936X },
    Radio {
        model: "b210",
        name: "USRP B210",
        kind: Some("b210"),
        rates: &[61.44e6, 30.72e6],
        price_eur: (1900, 1900),
        ..AD936X
    },
    Radio { model: "b205mini", name: "USRP B205mini-i", kind: Some("b205mini"), price_eur: (1300, 1300), ..AD936X },
    Radio {
        model: "x310",
        name: "USRP X310 with two UBX-160",
        kind: Some("x300"),
        tuning_hz: (10e6, 6e9),
        rates: &[200e6, 200e6],
        tuners: 2,
        // 160 MHz of analogue bandwidth at 200 Msps.
        usable_share: 0.8,
        bus: Bus::TenGigabit,
        bits: &[(ANY, 14)],
        retune_s: 0.003,
        price_eur: (7000, 9000),
        ..AD936X
    },
];

/// The radio of that model name.
pub fn by_model(model: &str) -> Option<&'static Radio> {
    RADIOS.iter().find(|r| r.model.eq_ignore_ascii_case(model))
}

/// The radio that SoapySDR's arguments mean (`driver=uhd,type=b210`); behind SoapyRemote that of `remote:driver`. Where
/// several fit, the first that is fast enough, else the fastest.
pub fn by_arguments(arguments: &str, rate: f64) -> Option<&'static Radio> {
    let value = |key: &str| {
        let mut pairs = arguments.split(',').filter_map(|pair| pair.split_once('='));
        pairs.find(|(k, _)| k.trim() == key).map(|(_, v)| v.trim())
    };
    let (driver, kind) = match value("driver")? {
        "remote" => (value("remote:driver")?, value("remote:type")),
        driver => (driver, value("type")),
    };
    let of_driver = || RADIOS.iter().filter(|r| r.driver == driver);
    if kind.is_some() {
        // A type that is not known may be anything.
        return of_driver().find(|r| r.kind == kind);
    }
    of_driver().find(|r| r.rates[0] >= rate).or_else(|| of_driver().max_by(|a, b| a.rates[0].total_cmp(&b.rates[0])))
}

impl Radio {
    /// Bits of the converter at a rate.
    pub fn bits_at(&self, rate: f64) -> u8 {
        self.bits.iter().find(|(most, _)| rate <= *most).map_or(8, |&(_, bits)| bits)
    }

    /// Strongest over weakest signal that are seen at once in 200 kHz at a rate, in dB: 6.02 ENOB + 1.76, and the gain
    /// of looking at 200 kHz of the whole rate.
    pub fn range_db(&self, rate: f64) -> f64 {
        // What converters reach on a board: RTL 7 of 8 bits, AD936x 10.5 of 12, X310 11.5 of 14.
        let effective_bits = match self.bits_at(rate) {
            ..=8 => 7.0,
            9..=10 => 8.5,
            11..=12 => 10.5,
            _ => 11.5,
        };
        6.02 * effective_bits + 1.76 + db(rate / 200e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_radios() {
        let model = |arguments: &str, rate| by_arguments(arguments, rate).map(|r| r.model);
        assert_eq!(model("driver=rtlsdr,serial=00000001", 2.4e6), Some("rtl-sdr"));
        assert_eq!(model("driver=airspy", 10e6), Some("airspy-r2"));
        assert_eq!(model("driver=airspy", 3e6), Some("airspy-mini"));
        assert_eq!(model("driver=uhd,type=b210", 1e6), Some("b210"));
        assert_eq!(model("driver=uhd, type=n3xx", 1e6), None);
        assert_eq!(model("driver=remote,remote=tcp://a:1,remote:driver=hackrf", 1e6), Some("hackrf"));
        assert_eq!(model("driver=remote,remote=tcp://a:1", 1e6), None);
        assert_eq!((model("", 1e6), model("driver=hackrf", 80e6)), (None, Some("hackrf")));
    }

    #[test]
    fn ranges_are_those_of_the_receivers_table() {
        let range = |model, rate| by_model(model).expect("known").range_db(rate);
        assert!((range("rtl-sdr", 2.4e6) - 54.7).abs() < 0.1);
        assert!((range("bladerf-micro", 30.72e6) - 86.8).abs() < 0.1);
        assert_eq!(
            (by_model("rsp1b").expect("known").bits_at(6e6), by_model("RSP1B").expect("known").bits_at(10e6)),
            (14, 8)
        );
    }

    #[test]
    fn every_radio_sustains_its_rate_on_its_bus() {
        for r in RADIOS {
            assert!(r.rates.iter().all(|rate| rate * r.bytes_per_sample <= r.bus.bytes_per_s()), "{}", r.model);
            assert!(r.tuners >= 1 && r.tuners as usize <= r.rates.len(), "{}", r.model);
            assert!(r.tuning_hz.0 < r.tuning_hz.1 && r.usable_share <= 1.0 && !r.model.is_empty(), "{}", r.model);
            assert_eq!(RADIOS.iter().filter(|o| o.model == r.model).count(), 1, "{}", r.model);
        }
    }
}
