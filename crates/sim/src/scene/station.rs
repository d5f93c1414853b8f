//! Base stations of a scene: whose clock, channels and preambles its phones follow.

use super::{Place, Point, SceneFile, Source, optional_hertz};
use crate::SimError;
use crate::activity::streams;
use crate::frontend::stream;
use cellwarden_standards::{band, lte};
use cellwarden_types::Hertz;
use rand::Rng;
use serde::Deserialize;
use toml::Spanned;

/// What a base station speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StationStandard {
    /// LTE in paired spectrum; LTE-M on the same carrier.
    Lte,
}

/// A base station as written. Which keys are wanted depends on its standard.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseStation {
    /// What phones call it by.
    pub name: Spanned<String>,
    /// What it speaks.
    pub standard: StationStandard,
    /// Where its antenna is. May lie kilometres off; phones' propagation delay comes from it.
    pub position: Option<Spanned<Place>>,
    /// Uplink carrier by EARFCN.
    pub earfcn: Option<Spanned<u32>>,
    /// Uplink carrier by its centre frequency.
    #[serde(default, deserialize_with = "optional_hertz")]
    pub center: Option<Hertz>,
    /// The carrier's nominal width.
    #[serde(default, deserialize_with = "optional_hertz")]
    pub bandwidth: Option<Hertz>,
    /// The carrier's width in resource blocks, instead.
    pub resource_blocks: Option<u16>,
    /// Physical-layer cell identity.
    #[serde(default)]
    pub cell_id: u16,
    /// When frame 0 leaves the antenna, in seconds after the recording's first sample (mostly negative); drawn from
    /// the 10.24 s before it if left out.
    pub frame_offset_s: Option<f64>,
    /// Random access.
    #[serde(default)]
    pub prach: PrachFile,
    /// LTE: the PUSCH's hopping.
    #[serde(default)]
    pub pusch: PuschFile,
    /// LTE: sounding. Nobody sounds where it is left out.
    pub srs: Option<SrsFile>,
    /// LTE: PUCCH resources m = 0, 1, … that phones have; half as many blocks at each edge carry no PUSCH.
    #[serde(default = "pucch_resources")]
    pub pucch_resources: u16,
}

/// Random access of LTE.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrachFile {
    /// prach-ConfigurationIndex: format and occasions.
    pub configuration: u8,
    /// n_PRBoffset: lowest resource block.
    pub offset: u16,
    /// rootSequenceIndex, logical.
    pub root: u16,
    /// zeroCorrelationZoneConfig: which N_CS.
    pub zone: u8,
    /// powerRampingStep.
    pub ramp_db: f64,
}

impl Default for PrachFile {
    fn default() -> Self {
        Self { configuration: 3, offset: 2, root: 0, zone: 5, ramp_db: 2.0 }
    }
}

/// Whether and how the PUSCH hops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoppingKind {
    /// Not at all.
    #[default]
    None,
    /// From subframe to subframe.
    Inter,
    /// From slot to slot.
    Intra,
}

/// The predefined hopping pattern of a cell's PUSCH. TS 36.211 clause 5.3.4.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PuschFile {
    /// Whether and when.
    pub hopping: HoppingKind,
    /// N_sb.
    pub subbands: u16,
    /// pusch-HoppingOffset N_RB^HO.
    pub hopping_offset: u16,
}

impl Default for PuschFile {
    fn default() -> Self {
        Self { hopping: HoppingKind::None, subbands: 1, hopping_offset: 0 }
    }
}

/// A cell's sounding.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SrsFile {
    /// srs-BandwidthConfig C_SRS; the widest that fits the carrier if left out.
    pub bandwidth: Option<u8>,
    /// srs-SubframeConfig.
    pub subframes: u8,
}

impl Default for SrsFile {
    fn default() -> Self {
        Self { bandwidth: None, subframes: 3 }
    }
}

fn pucch_resources() -> u16 {
    2
}

/// A base station, checked.
#[derive(Clone, Debug)]
pub struct Station {
    /// Its name.
    pub name: String,
    /// Where it is, if the scene says.
    pub place: Option<Point>,
    /// Centre of the uplink carrier, in hertz.
    pub carrier_hz: f64,
    /// Width of the carrier, in hertz.
    pub width_hz: f64,
    /// Width of the carrier in resource blocks.
    pub blocks: u16,
    /// Channel number, if the scene says.
    pub channel: Option<u32>,
    /// Physical-layer cell identity.
    pub cell_id: u16,
    /// When frame 0 leaves the antenna, in seconds of the scene.
    pub frame_zero_s: f64,
    /// The rest.
    pub kind: StationKind,
}

/// What differs from standard to standard.
#[derive(Clone, Debug)]
pub enum StationKind {
    /// LTE.
    Lte(LteStation),
}

impl StationKind {
    /// The standard's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lte(_) => "LTE",
        }
    }
}

/// What an LTE base station configures.
#[derive(Clone, Copy, Debug)]
pub struct LteStation {
    /// Format and occasions.
    pub prach: lte::PrachConfiguration,
    /// Lowest block of the PRACH.
    pub prach_block: u16,
    /// Logical root index.
    pub root_index: usize,
    /// Cyclic shift between preambles.
    pub n_cs: u16,
    /// Step from preamble to preamble.
    pub ramp_db: f64,
    /// The PUSCH's hopping.
    pub hopping: Option<lte::PuschHopping>,
    /// C_SRS and srs-SubframeConfig.
    pub srs: Option<(u8, u8)>,
    /// Number of PUCCH resources.
    pub pucch_resources: u16,
}

impl LteStation {
    /// Blocks at each edge of the carrier that carry no PUSCH.
    pub fn edge_blocks(&self) -> u16 {
        self.pucch_resources.div_ceil(2)
    }

    /// Whether phones may sound in a subframe, counted from the start of frame 0. TS 36.211 clause 5.5.3.3.
    pub fn sounds_in(&self, subframe: i64) -> bool {
        self.srs
            .and_then(|(_, index)| lte::srs_subframes(index))
            .is_some_and(|(period, offsets)| offsets.contains(&(subframe.rem_euclid(i64::from(period)) as u8)))
    }
}

/// Checks the base stations of a scene.
pub(super) fn check(
    file: &SceneFile,
    source: &Source<'_>,
    place: &dyn Fn(&Spanned<Place>) -> Result<Point, SimError>,
) -> Result<Vec<Station>, SimError> {
    let mut out: Vec<Station> = Vec::new();
    for (index, written) in file.base_station.iter().enumerate() {
        let name = written.name.get_ref();
        let span = written.name.span();
        let wrong = |message: String| source.wrong(span.clone(), format!("base station {name:?}: {message}"));
        if out.iter().any(|other| other.name == *name) {
            return Err(wrong("the name is taken".to_owned()));
        }
        let place = written.position.as_ref().map(place).transpose()?;
        let checked = match written.standard {
            StationStandard::Lte => lte_station(written),
        };
        let (carrier_hz, channel, blocks, width_hz, kind) = checked.map_err(wrong)?;
        let drawn_s = -stream(file.seed, streams::STATION + index as u64).random_range(0.0..10.24);
        let frame_zero_s = written.frame_offset_s.unwrap_or(drawn_s);
        if !frame_zero_s.is_finite() || frame_zero_s.abs() > 1e6 {
            return Err(wrong("frame_offset_s must be a number of seconds, below a million".to_owned()));
        }
        out.push(Station {
            name: name.clone(),
            place,
            carrier_hz,
            width_hz,
            blocks,
            channel,
            cell_id: written.cell_id,
            frame_zero_s,
            kind,
        });
    }
    Ok(out)
}

/// Centre in hertz, channel number, blocks, width in hertz, and the rest.
type Checked = (f64, Option<u32>, u16, f64, StationKind);

fn lte_station(written: &BaseStation) -> Result<Checked, String> {
    let (carrier_hz, channel) = match (&written.earfcn, written.center) {
        (Some(number), None) => match band::earfcn_uplink_hz(*number.get_ref()) {
            Some((hz, _)) => (hz, Some(*number.get_ref())),
            None => return Err(format!("{} is no uplink EARFCN", number.get_ref())),
        },
        (None, Some(hz)) => (hz.0, None),
        _ => return Err("LTE wants an earfcn or a center, not both".to_owned()),
    };
    let blocks = match (written.bandwidth, written.resource_blocks) {
        (Some(hz), None) => lte::carrier_blocks(hz.0),
        (None, Some(blocks)) => lte::CARRIERS.iter().map(|&(_, n)| n).find(|&n| n == blocks),
        _ => return Err("LTE wants a bandwidth or resource_blocks, not both".to_owned()),
    };
    let Some(blocks) = blocks else {
        return Err(
            "LTE carriers are 1.4, 3, 5, 10, 15 or 20 MHz wide: 6, 15, 25, 50, 75 or 100 resource blocks".to_owned()
        );
    };
    let prach = written.prach;
    let Some(configuration) = lte::prach_configuration(prach.configuration) else {
        return Err(format!(
            "prach.configuration {} means nothing in paired spectrum (TS 36.211 Table 5.7.1-2)",
            prach.configuration
        ));
    };
    let hopping = match written.pusch.hopping {
        HoppingKind::None => None,
        HoppingKind::Inter => Some(lte::HoppingMode::InterSubframe),
        HoppingKind::Intra => Some(lte::HoppingMode::IntraAndInterSubframe),
    };
    let PuschFile { subbands, hopping_offset: offset, .. } = written.pusch;
    let hopping = hopping.map(|mode| lte::PuschHopping { mode, subbands, offset, cell_id: written.cell_id });
    let widest = (0..8).find(|&c| u16::from(lte::srs_row(blocks, c).0[0]) <= blocks);
    let srs = written.srs.map(|srs| (srs.bandwidth.or(widest).unwrap_or(7), srs.subframes));
    let fits = |c: u8| c < 8 && u16::from(lte::srs_row(blocks, c).0[0]) <= blocks;
    let limits = [
        (written.cell_id <= lte::MAX_CELL_ID, "cell_id must be 0 to 503"),
        (prach.offset + lte::PRACH_BLOCKS <= blocks, "prach.offset and six blocks must lie within the carrier"),
        (prach.root < 838, "prach.root must be 0 to 837"),
        (prach.zone < 16, "prach.zone must be 0 to 15"),
        ((0.0..=6.0).contains(&prach.ramp_db), "prach.ramp_db must lie between 0 and 6"),
        ((1..=4).contains(&subbands), "pusch.subbands must be 1 to 4"),
        (offset + offset % 2 + subbands <= blocks, "pusch.hopping_offset leaves no block to hop on"),
        (srs.is_none_or(|(c, _)| fits(c)), "srs.bandwidth must be 0 to 7 and no wider than the carrier"),
        (srs.is_none_or(|(_, index)| index < 15), "srs.subframes must be 0 to 14"),
        (
            (1..=blocks.min(8)).contains(&written.pucch_resources),
            "pucch_resources must be 1 to 8, and no more than the carrier has blocks",
        ),
    ];
    if let Some((_, message)) = limits.iter().find(|(good, _)| !good) {
        return Err((*message).to_owned());
    }
    let station = LteStation {
        prach: configuration,
        prach_block: prach.offset,
        root_index: usize::from(prach.root),
        n_cs: lte::PRACH_N_CS[usize::from(prach.zone)],
        ramp_db: prach.ramp_db,
        hopping,
        srs,
        pucch_resources: written.pucch_resources,
    };
    Ok((carrier_hz, channel, blocks, f64::from(blocks) * lte::RB_HZ, StationKind::Lte(station)))
}
