//! The whole path of one sensor's samples: block → rows → floor → segments → proposals → bursts.
//!
//! [`Detector`] holds a stream for each tuning. Of a stream, `rows` makes spectra, their floor and what stands out of it;
//! `clusters` judges what stands out together; `searches` goes after preambles that hardly show; `learning` takes from found
//! ones what the next are found by; `history` answers questions about levels. `overlap` knows when two findings are one.

mod overlap;
mod stream;

use crate::carrier::{KnownPrach, LearnedPrach};
use crate::config::{Depth, DetectConfig};
use crate::convert::count_unusable;
use crate::state::{DetectorState, FloorState};
use crate::swap::SwapTest;
use cellwarden_types::request::{LevelAnswer, LevelRequest};
use cellwarden_types::{Burst, Hertz, IqBlock, UtcNanos, db};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use stream::{Stream, noise_of};

/// Tunings whose streams are kept while the receiver is elsewhere; of more, the floor alone is remembered.
const PARKED_MOST: usize = 16;

/// Time spent by stage, for `bench` and health.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StageCosts {
    /// Conversion, window, transform, power.
    pub spectrum: Duration,
    /// Noise floor and tile history.
    pub floor: Duration,
    /// Segmentation.
    pub segment: Duration,
    /// Classification.
    pub classify: Duration,
}

/// A stretch of a sensor's tile history.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiles {
    /// Middle of bin `n / 2` of `n`.
    pub center: Hertz,
    /// Complex samples per second of the stream.
    pub rate: Hertz,
    /// From one bin to the next.
    pub bin_hz: f64,
    /// From one row to the next where nothing is missing, in seconds.
    pub row_s: f64,
    /// Noise floor by bin, linear over full scale and hertz.
    pub floor: Vec<f32>,
    /// Middle and power density by bin of each row, likewise.
    pub rows: Vec<(UtcNanos, Vec<f32>)>,
}

/// What happened to the samples of one sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleCounts {
    /// Samples that came in.
    pub processed: u64,
    /// Of those, not finite: judged as silence.
    pub unusable: u64,
    /// Of those, only looked at for energy.
    pub deep_skipped: u64,
    /// Places at which a faint preamble may have been, and that were not searched because others were likelier.
    pub places_skipped: u64,
}

/// Detects bursts in one sensor's stream. Give it blocks in order; it keeps what it needs.
///
/// The result does not depend on how the stream is cut into blocks, nor on the number of threads.
pub struct Detector {
    config: DetectConfig,
    sensor: Arc<str>,
    stream: Option<Stream>,
    /// Streams of other tunings, each worked off to its end; the one that was left last is the last.
    parked: Vec<Stream>,
    remembered: Vec<FloorState>,
    /// Base stations at tunings that have no stream.
    base_stations: Vec<LearnedPrach>,
    costs: StageCosts,
    counts: SampleCounts,
    swapped: SwapTest,
}

impl Detector {
    /// A detector for the stream of `sensor`.
    pub fn new(sensor: Arc<str>, config: DetectConfig) -> Self {
        Self {
            config,
            sensor,
            stream: None,
            parked: Vec::new(),
            remembered: Vec::new(),
            base_stations: Vec::new(),
            costs: StageCosts::default(),
            counts: SampleCounts::default(),
            swapped: SwapTest::default(),
        }
    }

    /// Takes the next block and adds the bursts that it completes, in the order in which they end.
    pub fn process(&mut self, block: &IqBlock, out: &mut Vec<Burst>) {
        match &mut self.stream {
            Some(stream) if !stream.is_tuned_as(block) => {
                self.work_off(out);
                self.tune(block);
            }
            Some(stream) if stream.continues_with(block) => stream.keep_time(block),
            Some(stream) if stream.goes_on_from_rest_with(block) => stream.come_back_at(block),
            Some(_) => {
                self.work_off(out);
                self.stream.iter_mut().for_each(|s| s.begin_at(block));
            }
            None => self.tune(block),
        }
        self.counts.processed += block.samples() as u64;
        self.counts.unusable += count_unusable(block.format, &block.bytes);
        if self.config.depth == Depth::Energy {
            self.counts.deep_skipped += block.samples() as u64;
        }
        let Some(stream) = &mut self.stream else { return };
        stream.take(&block.bytes);
        let chunk = stream.chunk_frames();
        while stream.frames_available() >= chunk as u64 {
            stream.work(chunk, &mut self.costs);
            stream.classify(&self.sensor, &self.config, &mut self.costs, &mut self.swapped, false, out);
            stream.forget();
        }
    }

    /// Works on what it holds and adds its bursts, because nothing more comes for the moment: whoever waits for them would
    /// wait until the stream goes on. An emission that lasts until now and goes on then comes in two bursts.
    pub fn rest(&mut self, out: &mut Vec<Burst>) {
        if self.stream.as_ref().is_some_and(|s| !s.is_at_rest) {
            self.work_off(out);
            self.stream.iter_mut().for_each(|s| s.is_at_rest = true);
        }
    }

    /// Ends the stream: works on what is left and adds its bursts.
    pub fn finish(&mut self, out: &mut Vec<Burst>) {
        self.work_off(out);
        for stream in std::mem::take(&mut self.parked).into_iter().chain(self.stream.take()) {
            self.retire(stream);
        }
    }

    /// Keeps what a stream counted and learned.
    fn retire(&mut self, stream: Stream) {
        self.counts.places_skipped += stream.places_skipped();
        stream.remember(&mut self.remembered);
        self.base_stations.extend(stream.carriers.into_known());
    }

    /// Parks the stream, which is worked off, and goes on with that of the block's tuning. One that was parked knows its
    /// floor, and nothing is made anew: a receiver that hops comes by several times a second.
    fn tune(&mut self, block: &IqBlock) {
        let known = self.parked.iter().position(|s| s.is_tuned_as(block)).map(|i| self.parked.remove(i));
        if let Some(left) = self.stream.take() {
            if self.parked.len() == PARKED_MOST {
                let oldest = self.parked.remove(0);
                self.retire(oldest);
            }
            self.parked.push(left);
        }
        self.stream = Some(match known {
            Some(mut stream) => {
                stream.come_back_at(block);
                stream
            }
            None => Stream::new(block, &self.config, &self.remembered, &mut self.base_stations),
        });
    }

    /// Works on what is left before an end or a break, and adds its bursts.
    fn work_off(&mut self, out: &mut Vec<Burst>) {
        let Some(stream) = &mut self.stream else { return };
        let left = stream.frames_available() as usize;
        if left > 0 {
            stream.work(left, &mut self.costs);
        }
        stream.end_open();
        stream.classify(&self.sensor, &self.config, &mut self.costs, &mut self.swapped, true, out);
    }

    /// Time spent by stage so far.
    pub fn costs(&self) -> StageCosts {
        self.costs
    }

    /// What happened to the samples so far.
    pub fn counts(&self) -> SampleCounts {
        let streams = self.parked.iter().chain(&self.stream);
        let places_skipped = self.counts.places_skipped + streams.map(Stream::places_skipped).sum::<u64>();
        SampleCounts { places_skipped, ..self.counts }
    }

    /// Noise density in the middle of the band that is watched now, in dBFS/Hz, once there is a floor.
    pub fn noise_dbfs_per_hz(&self) -> Option<f64> {
        self.stream.as_ref().and_then(Stream::noise_dbfs_per_hz).or_else(|| self.remembered.last().map(noise_of))
    }

    /// The same for the tuning at `center`, also while the receiver is elsewhere; none if it was never there.
    pub fn noise_dbfs_per_hz_at(&self, center: Hertz) -> Option<f64> {
        let streams = self.stream.iter().chain(self.parked.iter().rev());
        streams.filter(|s| s.center == center).find_map(Stream::noise_dbfs_per_hz).or_else(|| {
            let known = self.remembered.iter().rev().find(|f| f.center == center);
            known.map(noise_of)
        })
    }

    /// How many bursts fit better with I and Q exchanged, where together they say that the stream is so.
    /// Its bursts are then not believed.
    pub fn iq_swapped(&self) -> Option<u32> {
        self.swapped.mirrored_bursts()
    }

    /// Nothing is learned of the receiver and of base stations from what lies in these samples of the recording: it was added to
    /// them.
    pub fn except_from_learning(&mut self, samples: Range<u64>) {
        self.swapped.except(samples);
    }

    /// UTC before which nothing more will be reported to begin; none without samples or where they have no time.
    pub fn settled(&self) -> Option<UtcNanos> {
        let stream = self.stream.as_ref()?;
        let sample = stream.settled_sample().saturating_sub(stream.origin) as f64;
        Some(stream.origin_time?.plus_seconds(sample / stream.rate.0))
    }

    /// What the tile history of the present tuning holds after `after`, oldest first: a spectrogram, from which no content
    /// can be had.
    pub fn tiles_after(&self, after: Option<UtcNanos>) -> Option<Tiles> {
        self.stream.as_ref()?.tiles_after(after)
    }

    /// The same for every tuning, the present one last, over as many visits as the history is long. `after` is asked with
    /// each centre.
    pub fn tiles_of_all(&self, after: impl Fn(Hertz) -> Option<UtcNanos>) -> Vec<Tiles> {
        let streams = self.parked.iter().chain(&self.stream);
        streams.filter_map(|s| s.tiles_after(after(s.center))).collect()
    }

    /// What the detector has learned, to be written out.
    pub fn state(&self) -> DetectorState {
        let (mut floors, mut base_stations) = (self.remembered.clone(), self.base_stations.clone());
        for stream in self.parked.iter().chain(&self.stream) {
            stream.remember(&mut floors);
            base_stations.extend_from_slice(stream.carriers.known());
        }
        DetectorState { version: DetectorState::VERSION, sensor: self.sensor.to_string(), floors, base_stations }
    }

    /// Goes on from what was written out. Floors count for streams at the same centre and rate, base stations wherever they are
    /// heard.
    pub fn restore(&mut self, state: DetectorState) {
        self.remembered = state.floors;
        self.base_stations = state.base_stations.into_iter().filter(LearnedPrach::is_possible).collect();
    }

    /// Tells it of base stations, before samples come.
    pub fn teach(&mut self, base_stations: &[KnownPrach]) {
        base_stations.iter().for_each(|b| b.teach(&mut self.base_stations));
    }

    /// Mean level between two frequencies over the last visit of the tuning at `center`, noise included, in dBFS; none if
    /// it was never there, or hears only a part of that.
    pub fn level_of_last_visit(&self, center: Hertz, low_hz: f64, high_hz: f64) -> Option<f64> {
        let mut streams = self.stream.iter().chain(self.parked.iter().rev());
        streams.find(|s| s.center == center)?.level_of_last_visit(low_hz, high_hz)
    }

    /// Answers a question about the level in a band over a time, from the tile history.
    pub fn level(&self, request: &LevelRequest) -> LevelAnswer {
        let found = self.stream.as_ref().and_then(|s| s.level(request));
        LevelAnswer {
            request: request.clone(),
            power_dbfs: found.map(|(power, _)| db(power)),
            noise_dbfs: found.map(|(_, noise)| db(noise)),
        }
    }
}
