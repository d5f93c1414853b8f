//! A radio by SoapySDR: opens, sets, streams. Receives only; no transmit call exists in this crate.

use crate::config::{ChannelConfig, DeviceConfig, Gain};
use crate::probe::{self, ChannelProbe, DeviceProbe};
use crate::receiver::{ChannelInfo, PATIENCE_US, Read, Receiver};
use crate::source::SourceError;
use bytemuck::Pod;
use cellwarden_types::{Hertz, SampleFormat};
use num_complex::Complex;
use soapysdr::{Device, Direction, ErrorCode, Format, RxStream, StreamSample};
use std::collections::BTreeMap;

/// The legacy name under which many drivers take a correction in parts per million as a "frequency".
const CORRECTION: &str = "CORR";
/// Full scale of cs16, as this program reads it.
const FULL_SCALE: f64 = 32768.0;

/// All channels of a device, streaming.
pub(crate) struct SoapyReceiver {
    device: Device,
    config: DeviceConfig,
    channels: Vec<ChannelInfo>,
    stream: Stream,
    /// Device time after the last read. The crate does not say whether a read had one; a time that did not change is none.
    last_time_ns: i64,
    /// Of centres up to this one it was said what the device made of them.
    warned_to: usize,
}

/// A stream in the device's own format.
enum Stream {
    Cs8(Typed<Complex<i8>>),
    Cu8(Typed<Complex<u8>>),
    /// Numbers are shifted up by so many bits where the device's full scale is below that of 16 bits.
    Cs16(Typed<Complex<i16>>, u32),
    Cf32(Typed<Complex<f32>>),
}

struct Typed<T: StreamSample> {
    stream: RxStream<T>,
    buffers: Vec<Vec<T>>,
}

impl SoapyReceiver {
    /// Opens the device `args`, sets it and starts its streams.
    pub(crate) fn open(config: &DeviceConfig, args: &str) -> Result<Self, SourceError> {
        let failed = |doing: &'static str| failed(&config.name, doing);
        let device = Device::new(args).map_err(failed("opening"))?;
        let misfits = probe::misfits(config, &probe_open(&device));
        if !misfits.is_empty() {
            let reason = misfits.join("; ");
            return Err(SourceError::Device {
                device: config.name.clone(),
                doing: "it cannot do what is asked",
                reason,
            });
        }
        if let Some(source) = &config.clock_source {
            device.set_clock_source(source.as_str()).map_err(failed("choosing the clock source"))?;
        }
        if let Some(source) = &config.time_source {
            device.set_time_source(source.as_str()).map_err(failed("choosing the time source"))?;
        }
        for channel in &config.channels {
            set(&device, config, channel)?;
        }
        let numbers: Vec<usize> = config.channels.iter().map(|c| c.number).collect();
        let mut stream = Stream::open(&device, &numbers, config)?;
        stream.activate().map_err(failed("starting the stream"))?;
        let format = stream.format();
        let channels = config
            .channels
            .iter()
            .map(|c| {
                let info = taken(&device, config, c, format)?;
                warn_of_another(config, c, ("sample rate", config.rate, info.rate));
                warn_of_another(config, c, ("centre", c.center, info.center));
                Ok(info)
            })
            .collect::<Result<_, SourceError>>()?;
        Ok(Self { device, config: config.clone(), channels, stream, last_time_ns: 0, warned_to: 1 })
    }
}

/// The devices that match `args`, by what their drivers say of them.
pub(crate) fn find(args: &str) -> Result<Vec<BTreeMap<String, String>>, SourceError> {
    let found = soapysdr::enumerate(args).map_err(failed("SoapySDR", "looking for devices"))?;
    Ok(found.iter().map(pairs).collect())
}

/// Opens the device `args` and asks what it can do.
pub(crate) fn probe(args: &str) -> Result<DeviceProbe, SourceError> {
    let device = Device::new(args).map_err(failed(args, "opening"))?;
    Ok(probe_open(&device))
}

/// What an open device can do. What a driver does not answer is left empty: some lack parts of this.
fn probe_open(device: &Device) -> DeviceProbe {
    let count = device.num_channels(Direction::Rx).unwrap_or(0);
    DeviceProbe {
        driver: device.driver_key().unwrap_or_default(),
        hardware: device.hardware_key().unwrap_or_default(),
        info: device.hardware_info().map(|a| pairs(&a)).unwrap_or_default(),
        clock_sources: device.list_clock_sources().unwrap_or_default(),
        time_sources: device.list_time_sources().unwrap_or_default(),
        has_hardware_time: device.has_hardware_time(None).unwrap_or(false),
        sensors: device.list_sensors().unwrap_or_default(),
        channels: (0..count).map(|number| probe_channel(device, number)).collect(),
    }
}

fn probe_channel(device: &Device, number: usize) -> ChannelProbe {
    let rx = Direction::Rx;
    let range = |r: &soapysdr::Range| (r.minimum, r.maximum);
    let ranges = |r: Result<Vec<soapysdr::Range>, soapysdr::Error>| r.unwrap_or_default().iter().map(range).collect();
    let stage = |name: String| {
        let range = device.gain_element_range(rx, number, name.as_str()).ok()?;
        Some((name, (range.minimum, range.maximum)))
    };
    let native = device.native_stream_format(rx, number);
    ChannelProbe {
        antennas: device.antennas(rx, number).unwrap_or_default(),
        centers_hz: ranges(device.frequency_range(rx, number)),
        rates_hz: ranges(device.get_sample_rate_range(rx, number)),
        bandwidths_hz: ranges(device.bandwidth_range(rx, number)),
        gain_db: device.gain_range(rx, number).ok().map(|r| range(&r)).filter(|r| r.0 < r.1),
        stages_db: device.list_gains(rx, number).unwrap_or_default().into_iter().filter_map(stage).collect(),
        has_automatic_gain: device.has_gain_mode(rx, number).unwrap_or(false),
        native_format: native.map_or_else(|_| "?".to_owned(), |(f, scale)| format!("{f}, full scale {scale}")),
        sensors: device.list_channel_sensors(rx, number).unwrap_or_default(),
    }
}

fn pairs(args: &soapysdr::Args) -> BTreeMap<String, String> {
    args.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// What a driver refused, in its words.
fn failed(device: &str, doing: &'static str) -> impl Fn(soapysdr::Error) -> SourceError {
    let device = device.to_owned();
    move |e| {
        let reason = if e.message.is_empty() { format!("{:?}", e.code) } else { e.message };
        SourceError::Device { device: device.clone(), doing, reason }
    }
}

/// Sets a channel.
fn set(device: &Device, config: &DeviceConfig, channel: &ChannelConfig) -> Result<(), SourceError> {
    let failed = |doing: &'static str| failed(&config.name, doing);
    let (rx, number) = (Direction::Rx, channel.number);
    if let Some(antenna) = &channel.antenna {
        device.set_antenna(rx, number, antenna.as_str()).map_err(failed("choosing the antenna"))?;
    }
    device.set_sample_rate(rx, number, config.rate.0).map_err(failed("setting the sample rate"))?;
    if let Some(bandwidth) = config.bandwidth {
        device.set_bandwidth(rx, number, bandwidth.0).map_err(failed("setting the bandwidth"))?;
    }
    let corrects = corrects(device, channel);
    if config.ppm != 0.0 && corrects {
        device
            .set_component_frequency(rx, number, CORRECTION, config.ppm, ())
            .map_err(failed("setting the correction in ppm"))?;
    }
    tune(device, config, channel, channel.center, corrects)?;
    if device.has_gain_mode(rx, number).unwrap_or(false) {
        device.set_gain_mode(rx, number, false).map_err(failed("switching automatic gain off"))?;
    }
    match config.gain_of(channel) {
        Some(Gain::Overall(db)) => device.set_gain(rx, number, *db).map_err(failed("setting the gain"))?,
        Some(Gain::Stages(stages)) => {
            for (stage, db) in stages {
                device.set_gain_element(rx, number, stage.as_str(), *db).map_err(failed("setting a stage's gain"))?;
            }
        }
        // `receiver::open` lets none through that is not a number yet.
        Some(Gain::Measured(_)) | None => {}
    }
    Ok(())
}

/// Tunes a channel.
fn tune(
    device: &Device,
    config: &DeviceConfig,
    channel: &ChannelConfig,
    center: Hertz,
    corrects: bool,
) -> Result<(), SourceError> {
    let asked_hz = asked(config, center, corrects);
    device.set_frequency(Direction::Rx, channel.number, asked_hz, ()).map_err(failed(&config.name, "tuning"))
}

/// Whether the driver corrects the oscillator itself.
fn corrects(device: &Device, channel: &ChannelConfig) -> bool {
    device.list_frequencies(Direction::Rx, channel.number).is_ok_and(|f| f.iter().any(|f| f == CORRECTION))
}

/// What an oscillator is told that is `ppm` too fast and does not know it.
fn asked(config: &DeviceConfig, center: Hertz, corrects: bool) -> f64 {
    if corrects { center.0 } else { center.0 / (1.0 + config.ppm * 1e-6) }
}

/// The centre that a channel was tuned to when it was asked for `center`: what it was not told exactly is what it hears
/// elsewhere.
fn taken_center(
    device: &Device,
    config: &DeviceConfig,
    channel: &ChannelConfig,
    center: Hertz,
) -> Result<Hertz, SourceError> {
    let tuned = device.frequency(Direction::Rx, channel.number).map_err(failed(&config.name, "reading the centre"))?;
    let taken = Hertz(center.0 + tuned - asked(config, center, corrects(device, channel)));
    if taken.0.is_finite() {
        return Ok(taken);
    }
    let reason = format!("it says {taken}");
    Err(SourceError::Device { device: config.name.clone(), doing: "reading the centre", reason })
}

fn warn_of_another(config: &DeviceConfig, channel: &ChannelConfig, (what, asked, taken): (&str, Hertz, Hertz)) {
    if (asked.0 - taken.0).abs() > 1.0 {
        tracing::warn!(device = config.name, sensor = channel.sensor, %asked, %taken, "The device took another {what}.");
    }
}

/// What a channel is set to by now, at its first centre.
fn taken(
    device: &Device,
    config: &DeviceConfig,
    channel: &ChannelConfig,
    format: SampleFormat,
) -> Result<ChannelInfo, SourceError> {
    let failed = |doing: &'static str| failed(&config.name, doing);
    let (rx, number) = (Direction::Rx, channel.number);
    let rate = Hertz(device.sample_rate(rx, number).map_err(failed("reading the sample rate"))?);
    let center = taken_center(device, config, channel, channel.center)?;
    if !(rate.0 > 0.0 && rate.0.is_finite()) {
        let reason = format!("it says {rate} at {center}");
        return Err(SourceError::Device { device: config.name.clone(), doing: "reading what it is set to", reason });
    }
    let gain_db = device.gain(rx, number).ok().filter(|db| db.is_finite());
    Ok(ChannelInfo { sensor: channel.sensor.clone(), format, rate, center, gain_db })
}

impl Stream {
    /// Opens a stream in the device's own format, or in the one nearest to it that this program reads.
    fn open(device: &Device, numbers: &[usize], config: &DeviceConfig) -> Result<Self, SourceError> {
        let first = numbers.first().copied().unwrap_or(0);
        // Where the driver's answer is no format, CS16: every driver has it.
        let native = device.native_stream_format(Direction::Rx, first);
        let (native, full_scale) = native.unwrap_or((Format::CS16, FULL_SCALE));
        let offered = device.stream_formats(Direction::Rx, first).unwrap_or_default();
        let has = |format: Format| offered.is_empty() || offered.contains(&format);
        match native {
            Format::CS8 if has(Format::CS8) => Ok(Self::Cs8(Typed::open(device, numbers, config)?)),
            Format::CU8 if has(Format::CU8) => Ok(Self::Cu8(Typed::open(device, numbers, config)?)),
            Format::CF32 if has(Format::CF32) && full_scale == 1.0 => {
                Ok(Self::Cf32(Typed::open(device, numbers, config)?))
            }
            _ => {
                // Twelve bits in sixteen, as they come: brought to where 0 dBFS is full scale.
                let is_16_bit = native == Format::CS16 && full_scale >= 1.0;
                let shift = if is_16_bit { (FULL_SCALE / full_scale).log2().round().clamp(0.0, 15.0) } else { 0.0 };
                Ok(Self::Cs16(Typed::open(device, numbers, config)?, shift as u32))
            }
        }
    }

    fn format(&self) -> SampleFormat {
        match self {
            Self::Cs8(_) => SampleFormat::Cs8,
            Self::Cu8(_) => SampleFormat::Cu8,
            Self::Cs16(..) => SampleFormat::Cs16,
            Self::Cf32(_) => SampleFormat::Cf32,
        }
    }

    fn activate(&mut self) -> Result<(), soapysdr::Error> {
        match self {
            Self::Cs8(s) => s.stream.activate(None),
            Self::Cu8(s) => s.stream.activate(None),
            Self::Cs16(s, _) => s.stream.activate(None),
            Self::Cf32(s) => s.stream.activate(None),
        }
    }

    /// Reads into `out`, and says how many samples and the stream's time.
    fn read(&mut self, samples: usize, out: &mut [Vec<u8>]) -> Result<(usize, i64), soapysdr::Error> {
        match self {
            Self::Cs8(s) => s.read(samples, out, |_| {}),
            Self::Cu8(s) => s.read(samples, out, |_| {}),
            Self::Cs16(s, 0) => s.read(samples, out, |_| {}),
            Self::Cs16(s, shift) => {
                let factor = 1i16 << *shift;
                let raise = |z: &mut [Complex<i16>]| {
                    z.iter_mut().for_each(|z| {
                        *z = Complex::new(z.re.saturating_mul(factor), z.im.saturating_mul(factor));
                    });
                };
                s.read(samples, out, raise)
            }
            Self::Cf32(s) => s.read(samples, out, |_| {}),
        }
    }
}

impl<T: StreamSample + Pod> Typed<T> {
    fn open(device: &Device, numbers: &[usize], config: &DeviceConfig) -> Result<Self, SourceError> {
        let stream = device.rx_stream_args(numbers, config.stream.as_str());
        let stream = stream.map_err(failed(&config.name, "making a receive stream"))?;
        Ok(Self { stream, buffers: vec![Vec::new(); numbers.len()] })
    }

    fn read(
        &mut self,
        samples: usize,
        out: &mut [Vec<u8>],
        change: impl Fn(&mut [T]),
    ) -> Result<(usize, i64), soapysdr::Error> {
        for buffer in &mut self.buffers {
            buffer.resize(samples, T::zeroed());
        }
        let count = if let [buffer] = self.buffers.as_mut_slice() {
            self.stream.read(&mut [buffer], PATIENCE_US)?
        } else {
            let mut slices: Vec<&mut [T]> = self.buffers.iter_mut().map(Vec::as_mut_slice).collect();
            self.stream.read(&mut slices, PATIENCE_US)?
        };
        let count = count.min(samples);
        for (buffer, bytes) in self.buffers.iter_mut().zip(out) {
            change(&mut buffer[..count]);
            bytes.extend_from_slice(bytemuck::cast_slice(&buffer[..count]));
        }
        Ok((count, self.stream.time_ns()))
    }
}

impl Receiver for SoapyReceiver {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    fn read(&mut self, samples: usize, buffers: &mut [Vec<u8>]) -> Result<Read, SourceError> {
        match self.stream.read(samples, buffers) {
            Ok((0, _)) => Ok(Read::Idle),
            Ok((_, now_ns)) => {
                let device_ns = (now_ns != self.last_time_ns).then_some(now_ns);
                self.last_time_ns = now_ns;
                Ok(Read::Samples { device_ns })
            }
            Err(e) if e.code == ErrorCode::Timeout => Ok(Read::Idle),
            Err(e) if matches!(e.code, ErrorCode::Overflow | ErrorCode::Corruption | ErrorCode::TimeError) => {
                Ok(Read::Lost)
            }
            Err(e) => Err(failed(&self.config.name, "reading samples")(e)),
        }
    }

    fn retune(&mut self, step: usize) -> Result<(), SourceError> {
        let Self { device, config, .. } = self;
        let center = |channel: &ChannelConfig| channel.tunings()[step % channel.tunings().len()];
        // All are told before one is asked: nothing is to lie between.
        for channel in &config.channels {
            tune(device, config, channel, center(channel), corrects(device, channel))?;
        }
        for (channel, info) in config.channels.iter().zip(&mut self.channels) {
            info.center = taken_center(device, config, channel, center(channel))?;
            // Once for each centre, not at every visit.
            if step >= self.warned_to {
                warn_of_another(config, channel, ("centre", center(channel), info.center));
            }
        }
        self.warned_to = self.warned_to.max(step + 1);
        Ok(())
    }

    fn temperature_celsius(&self) -> Option<f64> {
        let names = self.device.list_sensors().ok()?;
        let name = names.iter().find(|n| n.to_lowercase().contains("temp"))?;
        let text = self.device.read_sensor(name.as_str()).ok()?;
        let celsius: f64 = text.trim().parse().ok()?;
        (-80.0..200.0).contains(&celsius).then_some(celsius)
    }
}
