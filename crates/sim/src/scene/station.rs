//! Base stations of a scene: whose clock, channels and preambles its phones follow.

use super::{Place, Point, SceneFile, Source, optional_hertz};
use crate::SimError;
use crate::activity::streams;
use crate::frontend::stream;
use cellwarden_standards::{band, lte, nbiot, nr};
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
    /// NR in frequency range 1, in paired spectrum or not.
    Nr,
    /// NB-IoT in paired spectrum.
    Nbiot,
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
    /// NR: uplink carrier by NR-ARFCN.
    pub nr_arfcn: Option<Spanned<u32>>,
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
    /// NB-IoT: random access.
    #[serde(default)]
    pub nprach: NprachFile,
    /// LTE: the PUSCH's hopping.
    #[serde(default)]
    pub pusch: PuschFile,
    /// LTE: reference signals change their sequence group from slot to slot.
    #[serde(default)]
    pub group_hopping: bool,
    /// LTE: sounding. Nobody sounds where it is left out.
    pub srs: Option<SrsFile>,
    /// NR: subcarrier spacing.
    #[serde(default, deserialize_with = "optional_hertz")]
    pub spacing: Option<Hertz>,
    /// NR in unpaired spectrum: slots down, special and up, such as `DDDSU`; it then transmits in the band.
    pub tdd: Option<String>,
    /// Its special slots: symbols down, of guard, up.
    #[serde(default = "special")]
    pub special: [u8; 3],
    /// Radiated power of a base station that transmits in the band, its carrier full.
    #[serde(default = "station_eirp")]
    pub eirp_dbm: f64,
    /// Share of the carrier that it fills, on average over its slots.
    #[serde(default = "station_load")]
    pub load: f64,
    /// LTE: PUCCH resources m = 0, 1, … that phones have; half as many blocks at each edge carry no PUSCH.
    #[serde(default = "pucch_resources")]
    pub pucch_resources: u16,
}

/// Random access of LTE and NR.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrachFile {
    /// prach-ConfigurationIndex: format and occasions. LTE: 3; NR: 16 in paired spectrum, else 159.
    pub configuration: Option<u8>,
    /// n_PRBoffset, msg1-FrequencyStart: lowest resource block. LTE: 2; NR: 0.
    pub offset: Option<u16>,
    /// rootSequenceIndex, logical.
    pub root: u16,
    /// zeroCorrelationZoneConfig: which N_CS. Long preambles: 5; short ones: 11.
    pub zone: Option<u8>,
    /// powerRampingStep.
    pub ramp_db: f64,
    /// NR: msg1-SubcarrierSpacing of short preambles; the carrier's if left out.
    #[serde(deserialize_with = "optional_hertz")]
    pub spacing: Option<Hertz>,
}

impl Default for PrachFile {
    fn default() -> Self {
        Self { configuration: None, offset: None, root: 0, zone: None, ramp_db: 2.0, spacing: None }
    }
}

/// Random access of NB-IoT. TS 36.211 clause 10.1.6, TS 36.331 clause 6.7.3.2.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NprachFile {
    /// Preamble format, 0 or 1.
    pub format: u8,
    /// nprach-Periodicity.
    pub period_ms: u16,
    /// nprach-StartTime.
    pub start_ms: u16,
    /// nprach-SubcarrierOffset.
    pub offset: u8,
    /// nprach-NumSubcarriers.
    pub subcarriers: u8,
    /// numRepetitionsPerPreambleAttempt.
    pub repetitions: u16,
    /// powerRampingStep.
    pub ramp_db: f64,
}

impl Default for NprachFile {
    fn default() -> Self {
        Self { format: 0, period_ms: 160, start_ms: 8, offset: 0, subcarriers: 12, repetitions: 1, ramp_db: 2.0 }
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
fn special() -> [u8; 3] {
    [10, 2, 2]
}
fn station_eirp() -> f64 {
    55.0
}
fn station_load() -> f64 {
    0.7
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
    /// NR.
    Nr(NrStation),
    /// NB-IoT.
    Nbiot(NprachFile),
}

impl StationKind {
    /// The standard's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lte(_) => "LTE",
            Self::Nr(_) => "NR",
            Self::Nbiot(_) => "NB-IoT",
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
    /// Whether reference signals change their group.
    pub group_hopping: bool,
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

    /// Offsets of a sounding period that fall on the cell's subframes each time.
    pub fn sounding_offsets(&self, period_ms: u16) -> Vec<i64> {
        let period = i64::from(period_ms);
        (0..period).filter(|&at| (0..10).all(|k| self.sounds_in(at + k * period))).collect()
    }

    /// Whether phones may sound in a subframe, counted from the start of frame 0. TS 36.211 clause 5.5.3.3.
    pub fn sounds_in(&self, subframe: i64) -> bool {
        self.srs
            .and_then(|(_, index)| lte::srs_subframes(index))
            .is_some_and(|(period, offsets)| offsets.contains(&(subframe.rem_euclid(i64::from(period)) as u8)))
    }
}

/// What an NR base station configures.
#[derive(Clone, Debug)]
pub struct NrStation {
    /// Of the carrier.
    pub spacing: nr::Spacing,
    /// Format and occasions.
    pub prach: nr::NrPrachConfiguration,
    /// Of short preambles.
    pub prach_spacing: nr::Spacing,
    /// Lowest block of the PRACH.
    pub prach_block: u16,
    /// Logical root index.
    pub root_index: usize,
    /// Cyclic shift between preambles.
    pub n_cs: u16,
    /// Step from preamble to preamble.
    pub ramp_db: f64,
    /// Unpaired spectrum: which slots are whose.
    pub tdd: Option<Tdd>,
}

impl NrStation {
    /// The first preamble that may begin `from_ts` after the start of frame 0 or later: its start and format.
    pub fn next_occasion(&self, from_ts: i64) -> (i64, nr::NrPrachFormat) {
        let subframe_ts = i64::from(nr::SUBFRAME_TS);
        // The station was checked to have an occasion in every 16 frames and period of its pattern.
        let mut subframe = from_ts.div_euclid(subframe_ts);
        loop {
            if self.prach.is_in(subframe) {
                for occasion in self.prach.occasions(self.prach_spacing) {
                    let start_ts = subframe * subframe_ts + i64::from(occasion.start_ts);
                    if start_ts >= from_ts && self.may_send(start_ts, occasion) {
                        return (start_ts, occasion.format);
                    }
                }
            }
            subframe += 1;
        }
    }

    /// Whether a preamble lies in uplink symbols altogether. TS 38.213 clause 8.1.
    fn may_send(&self, start_ts: i64, occasion: nr::NrOccasion) -> bool {
        let preamble = occasion.format.preamble(self.prach_spacing);
        let end_ts = start_ts + i64::from(preamble.cp_at_ts(occasion.start_ts) + preamble.body_ts());
        self.tdd.as_ref().is_none_or(|tdd| tdd.is_up(start_ts, end_ts))
    }

    /// Whether a slot, counted from the start of frame 0, is the phones' altogether.
    pub fn is_up(&self, slot: i64) -> bool {
        self.tdd.as_ref().is_none_or(|tdd| tdd.slots[slot.rem_euclid(tdd.slots.len() as i64) as usize] == b'U')
    }
}

/// A pattern of slots that repeats from the start of frame 0 on. TS 38.213 clause 11.1.
#[derive(Clone, Debug)]
pub struct Tdd {
    /// `D`, `S` or `U` each.
    pub slots: Vec<u8>,
    /// Symbols down, of guard and up in an `S`.
    pub special: [u8; 3],
    /// Radiated power of the base station, its carrier full.
    pub eirp_dbm: f64,
    /// Share of the carrier that it fills.
    pub load: f64,
    spacing: nr::Spacing,
}

impl Tdd {
    /// Runs of slots and symbols down within a period: first slot, and number of symbols from its start.
    pub fn downs(&self) -> Vec<(u32, u32)> {
        let mut out: Vec<(u32, u32)> = Vec::new();
        let mut open = false;
        for (n, kind) in (0..).zip(&self.slots) {
            let symbols = match kind {
                b'D' => nr::SLOT_SYMBOLS as u32,
                b'S' => u32::from(self.special[0]),
                _ => 0,
            };
            if symbols > 0 {
                match out.last_mut() {
                    Some((_, count)) if open => *count += symbols,
                    _ => out.push((n, symbols)),
                }
            }
            open = *kind == b'D';
        }
        out
    }

    /// Whether all of a span, in Ts from the start of frame 0, is the phones'.
    fn is_up(&self, from_ts: i64, to_ts: i64) -> bool {
        let slot_ts = i64::from(self.spacing.slot_ts());
        let (first, last) = (from_ts.div_euclid(slot_ts), (to_ts - 1).div_euclid(slot_ts));
        (first..=last).all(|slot| {
            let kind = self.slots[slot.rem_euclid(self.slots.len() as i64) as usize];
            // Within the subframe, whose prefixes differ.
            let in_subframe = slot.rem_euclid(i64::from(self.spacing.slots())) as u32;
            let up = nr::SLOT_SYMBOLS as u32 * in_subframe + u32::from(self.special[0] + self.special[1]);
            let begin = self.spacing.symbol_start_ts(nr::SLOT_SYMBOLS as u32 * in_subframe);
            let special_ts = slot * slot_ts + i64::from(self.spacing.symbol_start_ts(up) - begin);
            kind == b'U' || (kind == b'S' && from_ts >= special_ts)
        })
    }
}

impl NprachFile {
    /// Milliseconds that a preamble takes with its repetitions and gaps, rounded up.
    pub fn length_ms(&self) -> i64 {
        let group_ts = nbiot::nprach_cp_ts(self.format) + nbiot::NPRACH_SEQUENCE_TS;
        let sent_ts = u64::from(group_ts) * nbiot::NPRACH_GROUPS as u64 * u64::from(self.repetitions);
        let gaps = (usize::from(self.repetitions) - 1) / nbiot::NPRACH_GAP_AFTER;
        sent_ts.div_ceil(u64::from(lte::SUBFRAME_TS)) as i64 + gaps as i64 * i64::from(nbiot::GAP_MS)
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
            StationStandard::Nr => nr_station(written),
            StationStandard::Nbiot => nbiot_station(written),
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

/// The first of the keys that were written and that a standard has no use for.
fn unused(standard: &str, keys: &[(bool, &str)]) -> Result<(), String> {
    match keys.iter().find(|(written, _)| *written) {
        Some((_, key)) => Err(format!("{standard} has no use for {key}")),
        None => Ok(()),
    }
}

fn lte_station(written: &BaseStation) -> Result<Checked, String> {
    let nr_keys = [(written.nr_arfcn.is_some(), "nr_arfcn"), (written.spacing.is_some(), "spacing")];
    unused("LTE", &[nr_keys[0], nr_keys[1], (written.tdd.is_some(), "tdd")])?;
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
    let (index, prach_block) = (prach.configuration.unwrap_or(3), prach.offset.unwrap_or(2.min(blocks - 6)));
    let zone = prach.zone.unwrap_or(5);
    let Some(configuration) = lte::prach_configuration(index) else {
        return Err(format!("prach.configuration {index} means nothing in paired spectrum (TS 36.211 Table 5.7.1-2)"));
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
        (
            prach_block.saturating_add(lte::PRACH_BLOCKS) <= blocks,
            "prach.offset and six blocks must lie within the carrier",
        ),
        (prach.root < 838, "prach.root must be 0 to 837"),
        (zone < 16, "prach.zone must be 0 to 15"),
        (prach.spacing.is_none(), "prach.spacing is NR's"),
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
        prach_block,
        root_index: usize::from(prach.root),
        n_cs: lte::PRACH_N_CS[usize::from(zone)],
        ramp_db: prach.ramp_db,
        hopping,
        group_hopping: written.group_hopping,
        srs,
        pucch_resources: written.pucch_resources,
    };
    Ok((carrier_hz, channel, blocks, f64::from(blocks) * lte::RB_HZ, StationKind::Lte(station)))
}

fn nr_station(written: &BaseStation) -> Result<Checked, String> {
    unused(
        "NR",
        &[
            (written.earfcn.is_some(), "earfcn"),
            (written.pusch.hopping != HoppingKind::None, "pusch"),
            (written.group_hopping, "group_hopping"),
            (written.pucch_resources != pucch_resources(), "pucch_resources"),
            (written.srs.is_some(), "srs (phones say themselves how they sound)"),
        ],
    )?;
    let (carrier_hz, channel) = match (&written.nr_arfcn, written.center) {
        (Some(number), None) => match nr::arfcn_hz(*number.get_ref()) {
            Some(hz) => (hz, Some(*number.get_ref())),
            None => return Err(format!("{} is no NR-ARFCN", number.get_ref())),
        },
        (None, Some(hz)) => (hz.0, None),
        _ => return Err("NR wants an nr_arfcn or a center, not both".to_owned()),
    };
    let usual = if written.tdd.is_some() { nr::Spacing::Khz30 } else { nr::Spacing::Khz15 };
    let spacing_of = |hz: Option<Hertz>, usual| match hz {
        None => Ok(usual),
        Some(hz) => nr::Spacing::of_hz(hz.0).ok_or("a spacing must be 15 or 30 kHz".to_owned()),
    };
    let spacing = spacing_of(written.spacing, usual)?;
    let blocks = match (written.bandwidth, written.resource_blocks) {
        (Some(hz), None) => spacing.carrier_blocks(hz.0),
        (None, Some(blocks)) => (1..=nr::MOST_BLOCKS).contains(&blocks).then_some(blocks),
        _ => return Err("NR wants a bandwidth or resource_blocks, not both".to_owned()),
    };
    let Some(blocks) = blocks else {
        return Err(
            "NR has no carrier of this width (TS 38.101-1 Table 5.3.2-1), or 1 to 275 resource blocks".to_owned()
        );
    };
    let tdd = written.tdd.as_ref().map(|slots| Tdd {
        slots: slots.bytes().collect(),
        special: written.special,
        eirp_dbm: written.eirp_dbm,
        load: written.load,
        spacing,
    });
    if let Some(tdd) = &tdd {
        let known = tdd.slots.iter().all(|kind| matches!(kind, b'D' | b'S' | b'U'));
        let slots = tdd.slots.len();
        // 20 ms hold a whole number of periods. TS 38.213 clause 11.1.
        if !known || slots == 0 || 20 * spacing.slots() as usize % slots != 0 {
            return Err("tdd must be slots D, S and U, as many as divide 20 ms: DDDSU".to_owned());
        }
        if tdd.special.iter().map(|&n| u32::from(n)).sum::<u32>() != nr::SLOT_SYMBOLS as u32 {
            return Err("special must be three numbers of symbols that sum to 14".to_owned());
        }
        if written.position.is_none() {
            return Err("it transmits in the band: give its position".to_owned());
        }
    }
    let prach = written.prach;
    let index = prach.configuration.unwrap_or(if tdd.is_some() { 159 } else { 16 });
    let configuration = nr::prach_configuration(tdd.is_none(), index);
    let prach_spacing = spacing_of(prach.spacing, spacing)?;
    let preamble = configuration.format.preamble(prach_spacing);
    let zone = prach.zone.unwrap_or(if configuration.format.is_long() { 5 } else { 11 });
    let (width, _) = preamble.mapping(spacing);
    let prach_block = prach.offset.unwrap_or(0);
    let limits = [
        (written.cell_id <= nr::MAX_CELL_ID, "cell_id must be 0 to 1007"),
        (prach_block.saturating_add(width) <= blocks, "prach.offset and the preamble must lie within the carrier"),
        (prach.root.saturating_add(1) < preamble.n_zc, "prach.root must be 0 to 837, of short preambles 0 to 137"),
        (zone < 16, "prach.zone must be 0 to 15"),
        ((0.0..=6.0).contains(&prach.ramp_db), "prach.ramp_db must lie between 0 and 6"),
        ((0.0..=1.0).contains(&written.load), "load must lie between 0 and 1"),
        (written.eirp_dbm.abs() <= 100.0, "eirp_dbm must be within 100"),
    ];
    if let Some((_, message)) = limits.iter().find(|(good, _)| !good) {
        return Err((*message).to_owned());
    }
    let station = NrStation {
        spacing,
        prach: configuration,
        prach_spacing,
        prach_block,
        root_index: usize::from(prach.root),
        n_cs: preamble.n_cs()[usize::from(zone)],
        ramp_db: prach.ramp_db,
        tdd,
    };
    // Patterns and frames repeat together after 16 frames or 20 ms.
    let occasions = (0..160).filter(|&subframe| station.prach.is_in(subframe)).any(|subframe| {
        let start = |o: &nr::NrOccasion| subframe * i64::from(nr::SUBFRAME_TS) + i64::from(o.start_ts);
        station.prach.occasions(prach_spacing).into_iter().any(|o| station.may_send(start(&o), o))
    });
    if !occasions {
        return Err(format!("no occasion of prach.configuration {index} lies in the uplink of its slots"));
    }
    let width_hz = f64::from(blocks) * 12.0 * spacing.hz();
    Ok((carrier_hz, channel, blocks, width_hz, StationKind::Nr(station)))
}

fn nbiot_station(written: &BaseStation) -> Result<Checked, String> {
    unused(
        "NB-IoT",
        &[
            (written.nr_arfcn.is_some(), "nr_arfcn"),
            (written.spacing.is_some(), "spacing (machines say theirs)"),
            (written.tdd.is_some(), "tdd"),
            (written.bandwidth.is_some() || written.resource_blocks.is_some(), "a width: it is 180 kHz"),
            (written.pusch.hopping != HoppingKind::None, "pusch"),
            (written.group_hopping, "group_hopping"),
            (written.srs.is_some(), "srs"),
            (written.prach.configuration.is_some(), "prach (its own is nprach)"),
        ],
    )?;
    let (carrier_hz, channel) = match (&written.earfcn, written.center) {
        (Some(number), None) => match band::earfcn_uplink_hz(*number.get_ref()) {
            Some((hz, _)) => (hz, Some(*number.get_ref())),
            None => return Err(format!("{} is no uplink EARFCN", number.get_ref())),
        },
        (None, Some(hz)) => (hz.0, None),
        _ => return Err("NB-IoT wants an earfcn or a center, not both".to_owned()),
    };
    let station = written.nprach;
    let NprachFile { format, period_ms, start_ms, offset, subcarriers, repetitions, ramp_db } = station;
    let limits = [
        (written.cell_id <= lte::MAX_CELL_ID, "cell_id must be 0 to 503"),
        (format < 2, "nprach.format must be 0 or 1"),
        (
            nbiot::NPRACH_PERIODS_MS.contains(&period_ms),
            "nprach.period_ms must be 40, 80, 160, 240, 320, 640, 1280 or 2560",
        ),
        (nbiot::NPRACH_STARTS_MS.contains(&start_ms), "nprach.start_ms must be a power of two from 8 to 1024"),
        (nbiot::NPRACH_OFFSETS.contains(&offset), "nprach.offset must be 0, 2, 12, 18, 24, 34 or 36"),
        (nbiot::NPRACH_SUBCARRIERS.contains(&subcarriers), "nprach.subcarriers must be 12, 24, 36 or 48"),
        (
            offset.saturating_add(subcarriers) <= nbiot::NARROW_SUBCARRIERS,
            "nprach.offset and nprach.subcarriers must lie within the carrier's 48",
        ),
        (nbiot::REPETITIONS.contains(&repetitions), "nprach.repetitions must be a power of two up to 128"),
        ((0.0..=6.0).contains(&ramp_db), "nprach.ramp_db must lie between 0 and 6"),
    ];
    if let Some((_, message)) = limits.iter().find(|(good, _)| !good) {
        return Err((*message).to_owned());
    }
    if station.length_ms() > i64::from(period_ms) {
        return Err(format!("preambles take {} ms: nprach.period_ms is too short", station.length_ms()));
    }
    Ok((carrier_hz, channel, 1, nbiot::CARRIER_HZ, StationKind::Nbiot(station)))
}
