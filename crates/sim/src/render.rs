//! From emissions to recordings, block by block for all sensors at once.

use crate::SimError;
use crate::activity::{Emission, Sender, activity_of, emissions, streams};
use crate::channel::{Fading, normal, path_loss_db};
use crate::frontend::{Frontend, full_scale_dbm, stream};
use crate::scene::{FadingKind, Scene};
use crate::wave::{Wave, mix};
use cellwarden_iq::{Annotation, SigmfHeader, SigmfWriter};
use cellwarden_types::{db, undb};
use num_complex::Complex32;
use rayon::prelude::*;
use serde_json::{Map, Value};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Samples rendered at a time: at 10 Msps 13 ms, 1 MB per sensor.
const BLOCK: usize = 1 << 17;
/// Samples over which a fading gain stays the same: at 10 Msps 13 us.
const FADE_RUN: usize = 128;

/// From one sender to one sensor.
struct Link {
    amplitude: f64,
    fading: Fading,
}

/// What a sensor receives, and what became of it.
struct Receiver {
    frontend: Frontend,
    recording: SigmfWriter,
    /// By phone, then by interferer.
    links: Vec<Link>,
    samples: Vec<Complex32>,
    bytes: Vec<u8>,
    /// Energy of each emission at this sensor between its first and last bit, without noise.
    energy: Vec<f64>,
}

/// One emission's samples in the block that is being made.
struct Piece {
    emission: usize,
    /// Where they lie in the block.
    at: Range<usize>,
    samples: Vec<Complex32>,
}

fn sender_index(scene: &Scene, sender: Sender) -> usize {
    match sender {
        Sender::Phone(i) => i,
        Sender::Interferer(i) => scene.file.phone.len() + i,
    }
}

fn links(scene: &Scene, sensor: usize) -> Vec<Link> {
    let listener = &scene.file.sensor[sensor];
    let phones = scene.file.phone.iter().zip(&scene.phone_places).zip(&scene.phone_carriers);
    let phones = phones.map(|((phone, &at), &hz)| (at, hz, phone.fading, phone.doppler_hz));
    let others = scene.file.interferer.iter().zip(&scene.interferer_places);
    let others = others.map(|(other, &at)| (at, other.freq.get_ref().0, FadingKind::None, 0.0));
    phones
        .chain(others)
        .enumerate()
        .map(|(sender, (at, hz, fading, doppler_hz))| {
            let mut rng = stream(scene.file.seed, streams::LINK + ((sensor as u64) << 20) + sender as u64);
            let shadowing_db = scene.file.propagation.shadowing_db * normal(&mut rng);
            let loss_db = path_loss_db(scene, at, listener.position, hz) + shadowing_db;
            let amplitude = undb(-loss_db - full_scale_dbm(listener)).sqrt();
            Link { amplitude, fading: Fading::new(fading, doppler_hz, &mut rng) }
        })
        .collect()
}

/// The samples from the first at or after `start_s` to the last before `end_s`.
fn sample_range(start_s: f64, end_s: f64, rate: f64, limit: u64) -> Range<u64> {
    let index = |t: f64| ((t * rate).ceil().max(0.0) as u64).min(limit);
    index(start_s)..index(end_s)
}

impl Piece {
    fn render(scene: &Scene, emission: &Emission, (index, wave): (usize, &Wave), block: &Range<u64>) -> Option<Self> {
        let rate = scene.file.rate.0;
        let margin = wave.margin_s();
        let end_s = emission.start_s + emission.duration_s;
        let span = sample_range(emission.start_s - margin, end_s + margin, rate, u64::MAX);
        let (from, to) = (span.start.max(block.start), span.end.min(block.end));
        if from >= to {
            return None;
        }
        let mut samples = vec![Complex32::default(); (to - from) as usize];
        let since_s = from as f64 / rate - emission.start_s;
        wave.render(since_s, 1.0 / rate, emission.duration_s, &mut samples);
        let offset_hz = emission.carrier_hz - scene.file.center.0;
        mix(&mut samples, offset_hz, 1.0 / rate, emission.turns + offset_hz * since_s);
        let amplitude = undb(emission.eirp_dbm).sqrt() as f32;
        samples.iter_mut().for_each(|x| *x *= amplitude);
        Some(Self { emission: index, at: (from - block.start) as usize..(to - block.start) as usize, samples })
    }
}

impl Receiver {
    /// Makes one block from the pieces in it.
    fn receive(
        &mut self,
        scene: &Scene,
        all: &[Emission],
        pieces: &[Piece],
        block: &Range<u64>,
    ) -> Result<(), SimError> {
        let rate = scene.file.rate.0;
        self.samples.clear();
        self.samples.resize((block.end - block.start) as usize, Complex32::default());
        for piece in pieces {
            let emission = &all[piece.emission];
            let link = &self.links[sender_index(scene, emission.sender)];
            let core = sample_range(emission.start_s, emission.start_s + emission.duration_s, rate, u64::MAX);
            let run = if link.fading.varies() { FADE_RUN } else { usize::MAX };
            let mut energy = 0.0;
            for (k, samples) in piece.samples.chunks(run.min(piece.samples.len())).enumerate() {
                let at = piece.at.start + k * run.min(piece.samples.len());
                let absolute = block.start + at as u64;
                let gain = link.fading.gain((absolute as f64 + samples.len() as f64 / 2.0) / rate) * link.amplitude;
                let gain = Complex32::new(gain.re as f32, gain.im as f32);
                for (i, (sum, x)) in self.samples[at..].iter_mut().zip(samples).enumerate() {
                    let heard = x * gain;
                    *sum += heard;
                    if core.contains(&(absolute + i as u64)) {
                        energy += f64::from(heard.norm_sqr());
                    }
                }
            }
            self.energy[piece.emission] += energy;
        }
        self.frontend.convert(&mut self.samples, &mut self.bytes);
        Ok(self.recording.write(&self.bytes)?)
    }

    /// Writes the truth and closes the recording.
    fn finish(mut self, scene: &Scene, all: &[Emission], total: u64) -> Result<PathBuf, SimError> {
        let rate = scene.file.rate.0;
        for (emission, energy) in all.iter().zip(&self.energy) {
            let core = sample_range(emission.start_s, emission.start_s + emission.duration_s, rate, total);
            let count = core.end - core.start;
            if count == 0 {
                continue;
            }
            let link = &self.links[sender_index(scene, emission.sender)];
            let noise_db = self.frontend.noise_dbfs_per_hz() + db(emission.upper_hz - emission.lower_hz);
            let power_db = db(energy / count as f64);
            let nominal_db = emission.eirp_dbm + 2.0 * db(link.amplitude);
            let mut extra = Map::new();
            let mut put = |key: &str, value: Value| extra.insert(format!("truth:{key}"), value);
            put("power_dbfs", hundredths(power_db));
            put("snr_db", hundredths(power_db - noise_db));
            put("snr_nominal_db", hundredths(nominal_db - noise_db));
            if let Some(channel) = emission.channel {
                put("channel", channel.into());
            }
            for (key, value) in &emission.notes {
                put(key, value.clone());
            }
            match emission.sender {
                Sender::Phone(i) => {
                    let phone = &scene.file.phone[i];
                    put("phone", phone.name.as_str().into());
                    put("block", scene.block_at(scene.phone_places[i]).into());
                    put("activity", activity_of(phone).name().into());
                    put("activity_id", format!("{}/{i}", phone.name).into());
                }
                Sender::Interferer(i) => {
                    if let Some(name) = &scene.file.interferer[i].name {
                        put("emitter", name.as_str().into());
                    }
                    put("block", scene.block_at(scene.interferer_places[i]).into());
                }
            }
            self.recording.annotate(Annotation {
                // Nearest sample to the start, not the first after it: that is what the truth is about.
                sample_start: ((emission.start_s * rate).round().max(0.0) as u64).min(total - 1),
                sample_count: count,
                freq_lower_hz: Some(emission.lower_hz),
                freq_upper_hz: Some(emission.upper_hz),
                label: Some(emission.label.to_owned()),
                comment: None,
                extra,
            });
        }
        Ok(self.recording.finish()?)
    }
}

fn hundredths(value: f64) -> Value {
    ((value * 100.0).round() / 100.0).into()
}

/// Renders a scene into one recording per sensor, named after it, in the folder `out`.
///
/// `progress` is told the share that is done. Memory stays near 2 MB per sensor and 1 MB per emission
/// on air. Returns the metadata files.
///
/// # Errors
/// If the scene cannot be read or simulated, or a recording cannot be written.
pub fn simulate(scene_path: &Path, out: &Path, progress: &mut dyn FnMut(f64)) -> Result<Vec<PathBuf>, SimError> {
    let scene = Scene::load(scene_path)?;
    std::fs::create_dir_all(out).map_err(|source| SimError::Write { path: out.to_owned(), source })?;
    // The name alone: the same scene gives the same bytes wherever it lies.
    let description = scene_path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    render(&scene, &description, out, progress)
}

fn render(
    scene: &Scene,
    description: &str,
    out: &Path,
    progress: &mut dyn FnMut(f64),
) -> Result<Vec<PathBuf>, SimError> {
    let file = &scene.file;
    let all = emissions(scene);
    let total = ((file.duration_s * file.rate.0).round() as u64).max(1);
    let mut receivers = file
        .sensor
        .iter()
        .enumerate()
        .map(|(i, sensor)| {
            let header = SigmfHeader {
                format: file.format,
                rate: file.rate,
                center: file.center,
                time: scene.time,
                sensor: Some(sensor.name.clone()),
                description: format!("Simulated from {description}; its annotations are the truth."),
                recorder: concat!("cellwarden-sim ", env!("CARGO_PKG_VERSION")).to_owned(),
            };
            let noise = (file.seed, streams::NOISE + i as u64);
            Ok(Receiver {
                frontend: Frontend::new(sensor, file.noise_figure_db, file.rate.0, file.format, noise),
                recording: SigmfWriter::create(&out.join(&sensor.name), header)?,
                links: links(scene, i),
                samples: Vec::with_capacity(BLOCK),
                bytes: Vec::new(),
                energy: vec![0.0; all.len()],
            })
        })
        .collect::<Result<Vec<_>, SimError>>()?;

    let (mut next, mut on_air) = (0, Vec::new());
    let mut start = 0;
    while start < total {
        let block = start..(start + BLOCK as u64).min(total);
        let (start_s, end_s) = (block.start as f64 / file.rate.0, block.end as f64 / file.rate.0);
        // By start without margin: no margin is longer than this.
        const MARGIN_S: f64 = 1e-3;
        while next < all.len() && all[next].start_s - MARGIN_S < end_s {
            on_air.push((next, (all[next].wave)()));
            next += 1;
        }
        on_air.retain(|&(i, _): &(usize, Wave)| all[i].start_s + all[i].duration_s + MARGIN_S > start_s);
        let pieces: Vec<Piece> =
            on_air.par_iter().filter_map(|(i, wave)| Piece::render(scene, &all[*i], (*i, wave), &block)).collect();
        receivers.par_iter_mut().try_for_each(|receiver| receiver.receive(scene, &all, &pieces, &block))?;
        start = block.end;
        progress(start as f64 / total as f64);
    }
    receivers.into_iter().map(|receiver| receiver.finish(scene, &all, total)).collect()
}
