//! From emissions to recordings, block by block for all sensors at once.

use crate::SimError;
use crate::activity::{Emission, Sender, activity_of, emissions, streams};
use crate::channel::{Paths, delay_profile, normal, path_loss_db};
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
/// Time over which the gains of several paths stay the same.
const PATHS_RUN_S: f64 = 5e-6;

/// From one sender to one sensor.
struct Link {
    amplitude: f64,
    paths: Paths,
}

/// What a sensor's oscillator makes of rate and centre, in hertz.
#[derive(Clone, Copy, PartialEq)]
struct Clock {
    rate: f64,
    center: f64,
}

impl Clock {
    fn new(scene: &Scene, sensor: usize) -> Self {
        let factor = 1.0 + scene.file.sensor[sensor].ppm * 1e-6;
        Self { rate: scene.file.rate.0 * factor, center: scene.file.center.0 * factor }
    }
}

/// What a sensor receives, and what became of it.
struct Receiver {
    clock: Clock,
    frontend: Frontend,
    recording: SigmfWriter,
    /// By phone, then by interferer, then by base station.
    links: Vec<Link>,
    samples: Vec<Complex32>,
    bytes: Vec<u8>,
    /// Energy of each emission at this sensor between its first and last bit, without noise.
    energy: Vec<f64>,
}

/// One emission's samples in the block that is being made.
struct Piece {
    emission: usize,
    /// Where they begin in the block.
    at: usize,
    /// Equally many for each path, in the order of their delays.
    paths: Vec<Vec<Complex32>>,
}

fn sender_index(scene: &Scene, sender: Sender) -> usize {
    match sender {
        Sender::Phone(i) => i,
        Sender::Interferer(i) => scene.file.phone.len() + i,
        Sender::BaseStation(i) => scene.file.phone.len() + scene.file.interferer.len() + i,
    }
}

fn links(scene: &Scene, sensor: usize) -> Vec<Link> {
    let listener = &scene.file.sensor[sensor];
    let phones = scene.file.phone.iter().zip(&scene.phone_places).zip(&scene.phone_carriers);
    let phones = phones.map(|((phone, &at), &hz)| (at, hz, phone.fading, phone.doppler_hz));
    let others = scene.file.interferer.iter().zip(&scene.interferer_places);
    let others = others.map(|(other, &at)| (at, other.freq.get_ref().0, FadingKind::None, 0.0));
    // A base station without a place sends nothing that is heard.
    let stations =
        scene.stations.iter().map(|one| (one.place.unwrap_or_default(), one.carrier_hz, FadingKind::None, 0.0));
    phones
        .chain(others)
        .chain(stations)
        .enumerate()
        .map(|(sender, (at, hz, fading, doppler_hz))| {
            let mut rng = stream(scene.file.seed, streams::LINK + ((sensor as u64) << 20) + sender as u64);
            let shadowing_db = scene.file.propagation.shadowing_db * normal(&mut rng);
            let loss_db = path_loss_db(scene, at, listener.position, hz) + shadowing_db;
            let amplitude = undb(-loss_db - full_scale_dbm(listener)).sqrt();
            Link { amplitude, paths: Paths::new(fading, doppler_hz, &mut rng) }
        })
        .collect()
}

/// Whether a sender is a base station or follows one.
fn follows_station(scene: &Scene, sender: Sender) -> bool {
    match sender {
        Sender::Phone(i) => scene.phone_stations[i].is_some(),
        Sender::Interferer(_) => false,
        Sender::BaseStation(_) => true,
    }
}

/// How a sender's links vary.
fn fading_of(scene: &Scene, sender: Sender) -> FadingKind {
    match sender {
        Sender::Phone(i) => scene.file.phone[i].fading,
        Sender::Interferer(_) | Sender::BaseStation(_) => FadingKind::None,
    }
}

/// The samples from the first at or after `start_s` to the last before `end_s`.
fn sample_range(start_s: f64, end_s: f64, rate: f64, limit: u64) -> Range<u64> {
    let index = |t: f64| ((t * rate).ceil().max(0.0) as u64).min(limit);
    index(start_s)..index(end_s)
}

impl Piece {
    fn render(
        scene: &Scene,
        emission: &Emission,
        (index, wave): (usize, &Wave),
        block: &Range<u64>,
        Clock { rate, center }: Clock,
    ) -> Option<Self> {
        let margin = wave.margin_s();
        let profile = delay_profile(fading_of(scene, emission.sender));
        let latest_s = profile.last().map_or(0.0, |&(delay_s, _)| delay_s);
        let end_s = emission.start_s + emission.duration_s + latest_s;
        let span = sample_range(emission.start_s - margin, end_s + margin, rate, u64::MAX);
        let (from, to) = (span.start.max(block.start), span.end.min(block.end));
        if from >= to {
            return None;
        }
        let offset_hz = emission.carrier_hz - center;
        // Scenes from before there were base stations keep their bytes.
        let exactly = profile.len() == 1 && !follows_station(scene, emission.sender);
        let amplitude = undb(emission.eirp_dbm).sqrt() as f32;
        let paths = profile.iter().map(|&(delay_s, _)| {
            let mut samples = vec![Complex32::default(); (to - from) as usize];
            let since_s = from as f64 / rate - emission.start_s - delay_s;
            if exactly {
                wave.render(since_s, 1.0 / rate, emission.duration_s, &mut samples);
            } else {
                wave.render_quick(since_s, 1.0 / rate, emission.duration_s, &mut samples);
            }
            mix(&mut samples, offset_hz, 1.0 / rate, emission.turns + offset_hz * since_s);
            samples.iter_mut().for_each(|x| *x *= amplitude);
            samples
        });
        Some(Self { emission: index, at: (from - block.start) as usize, paths: paths.collect() })
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
        let rate = self.clock.rate;
        self.samples.clear();
        self.samples.resize((block.end - block.start) as usize, Complex32::default());
        let mut heard = Vec::new();
        for piece in pieces {
            let emission = &all[piece.emission];
            let link = &self.links[sender_index(scene, emission.sender)];
            let core = sample_range(emission.start_s, emission.start_s + emission.duration_s, rate, u64::MAX);
            let count = piece.paths[0].len();
            let run = match (link.paths.varies(), link.paths.are_several()) {
                (false, _) => count,
                (true, false) => FADE_RUN,
                (true, true) => ((PATHS_RUN_S * rate) as usize).clamp(1, FADE_RUN),
            };
            let mut energy = 0.0;
            for from in (0..count).step_by(run) {
                let to = (from + run).min(count);
                let absolute = block.start + (piece.at + from) as u64;
                let middle_s = (absolute as f64 + (to - from) as f64 / 2.0) / rate;
                heard.clear();
                for (path, gain) in piece.paths.iter().zip(link.paths.gains(middle_s)) {
                    let gain = gain * link.amplitude;
                    let gain = Complex32::new(gain.re as f32, gain.im as f32);
                    if heard.is_empty() {
                        heard.extend(path[from..to].iter().map(|x| x * gain));
                    } else {
                        heard.iter_mut().zip(&path[from..to]).for_each(|(sum, x)| *sum += x * gain);
                    }
                }
                for (i, (sum, x)) in self.samples[piece.at + from..].iter_mut().zip(&heard).enumerate() {
                    *sum += x;
                    if core.contains(&(absolute + i as u64)) {
                        energy += f64::from(x.norm_sqr());
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
        let rate = self.clock.rate;
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
            let mut put = |key: &str, value: Value| {
                extra.insert(format!("truth:{key}"), value);
            };
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
                Sender::Phone(i) if scene.file.phone[i].activity.get_ref().is_machine() => {
                    put("emitter", scene.file.phone[i].name.as_str().into());
                    put("block", scene.block_at(scene.phone_places[i]).into());
                }
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
                Sender::BaseStation(i) => put("emitter", scene.stations[i].name.as_str().into()),
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
                clock: Clock::new(scene, i),
                frontend: Frontend::new(sensor, file.noise_figure_db, file.rate.0, file.format, noise),
                recording: SigmfWriter::create(&out.join(&sensor.name), header)?,
                links: links(scene, i),
                samples: Vec::with_capacity(BLOCK),
                bytes: Vec::new(),
                energy: vec![0.0; all.len()],
            })
        })
        .collect::<Result<Vec<_>, SimError>>()?;

    // Sensors of one clock hear the same samples.
    let mut clocks: Vec<Clock> = Vec::new();
    for receiver in &receivers {
        if !clocks.contains(&receiver.clock) {
            clocks.push(receiver.clock);
        }
    }
    let worst_ppm = file.sensor.iter().map(|sensor| sensor.ppm.abs()).fold(0.0, f64::max);
    let (mut next, mut on_air) = (0, Vec::new());
    let mut start = 0;
    while start < total {
        let block = start..(start + BLOCK as u64).min(total);
        let (start_s, end_s) = (block.start as f64 / file.rate.0, block.end as f64 / file.rate.0);
        // By start without margin: no margin is longer than this, and clocks go apart.
        const MARGIN_S: f64 = 1e-3;
        let margin_s = MARGIN_S + 1.1e-6 * worst_ppm * end_s;
        while next < all.len() && all[next].start_s - margin_s < end_s {
            on_air.push((next, (all[next].wave)()));
            next += 1;
        }
        on_air.retain(|&(i, _): &(usize, Wave)| all[i].start_s + all[i].duration_s + margin_s > start_s);
        let pieces: Vec<Vec<Piece>> = clocks
            .iter()
            .map(|&clock| {
                let render = |(i, wave): &(usize, Wave)| Piece::render(scene, &all[*i], (*i, wave), &block, clock);
                on_air.par_iter().filter_map(render).collect()
            })
            .collect();
        receivers.par_iter_mut().try_for_each(|receiver| {
            let own = clocks.iter().position(|clock| *clock == receiver.clock).unwrap_or(0);
            receiver.receive(scene, &all, &pieces[own], &block)
        })?;
        start = block.end;
        progress(start as f64 / total as f64);
    }
    receivers.into_iter().map(|receiver| receiver.finish(scene, &all, total)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_paths_are_the_wave_at_their_delays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scene.toml");
        let text = "seed = 1\nrate = \"7.68M\"\ncenter = \"902.5M\"\nduration_s = 0.1\n\
            sensor = [{ name = \"a\", position = [0, 0] }]\n\
            phone = [{ name = \"p\", position = [1, 0], activity = \"lte-tau\", earfcn = 21675, fading = \"etu\" }]\n";
        std::fs::write(&path, text).unwrap();
        let scene = Scene::load(&path).unwrap();
        let all = emissions(&scene);
        let (emission, wave) = (&all[0], (all[0].wave)());
        let rate = scene.file.rate.0;
        let block = (emission.start_s * rate) as u64 - 50..((emission.start_s + 1e-3) * rate) as u64 + 100;
        let piece = Piece::render(&scene, emission, (0, &wave), &block, Clock::new(&scene, 0)).unwrap();
        assert_eq!(piece.paths.len(), 9);
        for (samples, (delay_s, _)) in piece.paths.iter().zip(delay_profile(FadingKind::Etu)) {
            let mut alone = vec![Complex32::default(); samples.len()];
            let since_s = (block.start + piece.at as u64) as f64 / rate - emission.start_s - delay_s;
            wave.render(since_s, 1.0 / rate, emission.duration_s, &mut alone);
            let amplitude = undb(emission.eirp_dbm).sqrt() as f32;
            for (n, (heard, x)) in samples.iter().zip(&alone).enumerate() {
                // The carrier lies at the recording's centre: nothing turns but the phase.
                assert!((heard.norm() - x.norm() * amplitude).abs() < 1e-3 * amplitude, "{delay_s}: {n}");
            }
        }
        let last = piece.paths[8].len() as f64 / rate;
        assert!(last > emission.duration_s + 5e-6, "the latest path is heard to its end");
    }
}
