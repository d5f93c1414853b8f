//! A radio by SoapySDR: opens, tunes, streams. Receives only; no transmit call exists in this crate.

use crate::source::{Source, SourceError, SourceStatus};
use cellwarden_types::{Gap, GapReason, Hertz, IqBlock, SampleFormat, SampleIndex, UtcNanos};
use num_complex::Complex;
use soapysdr::{Direction, ErrorCode};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a radio is set to.
#[derive(Clone, Debug)]
pub struct SoapyConfig {
    /// The device, in SoapySDR's `key=value,key=value`; empty for the first.
    pub device: String,
    /// Receive channel.
    pub channel: usize,
    /// Samples per second.
    pub rate: Hertz,
    /// Centre frequency.
    pub center: Hertz,
    /// Overall gain in dB; automatic gain is always switched off.
    pub gain_db: f64,
    /// The antenna's name, or the driver's choice.
    pub antenna: Option<String>,
    /// Ends after so many seconds of samples.
    pub seconds: Option<f64>,
}

/// A running receive stream in cs16.
pub struct SoapySource {
    config: SoapyConfig,
    sensor: Arc<str>,
    stream: soapysdr::RxStream<Complex<i16>>,
    buffer: Vec<Complex<i16>>,
    position: u64,
    lost: u64,
    /// UTC of the stream's first sample by the host's clock, which is late by the driver's buffering.
    began: Option<UtcNanos>,
    /// Hardware time after the last read. The crate does not say whether a read had one; a time that
    /// did not change is none.
    last_time_ns: i64,
    expected_ns: Option<i64>,
    overflow_pending: bool,
}

impl SoapySource {
    /// Opens the device, sets it and starts the stream. Where the device takes another rate or centre than was asked,
    /// what it took counts: bursts would lie in the wrong place otherwise.
    ///
    /// # Errors
    /// What the driver refused, in its words.
    pub fn open(mut config: SoapyConfig, sensor: Arc<str>) -> Result<Self, SourceError> {
        let failed = |doing: &'static str| {
            let device = config.device.clone();
            move |e: soapysdr::Error| SourceError::Device { device, doing, reason: e.message }
        };
        let device = soapysdr::Device::new(config.device.as_str()).map_err(failed("opening"))?;
        let channel = config.channel;
        let channels = device.num_channels(Direction::Rx).map_err(failed("counting receive channels"))?;
        if channel >= channels {
            return Err(SourceError::Device {
                device: config.device.clone(),
                doing: "choosing the receive channel",
                reason: format!("channel {channel} of {channels}"),
            });
        }
        if let Some(antenna) = &config.antenna {
            device.set_antenna(Direction::Rx, channel, antenna.as_str()).map_err(failed("choosing the antenna"))?;
        }
        device.set_sample_rate(Direction::Rx, channel, config.rate.0).map_err(failed("setting the sample rate"))?;
        device.set_frequency(Direction::Rx, channel, config.center.0, ()).map_err(failed("tuning"))?;
        let rate = device.sample_rate(Direction::Rx, channel).map_err(failed("reading the sample rate"))?;
        let center = device.frequency(Direction::Rx, channel).map_err(failed("reading the centre"))?;
        if device.has_gain_mode(Direction::Rx, channel).unwrap_or(false) {
            device.set_gain_mode(Direction::Rx, channel, false).map_err(failed("switching automatic gain off"))?;
        }
        device.set_gain(Direction::Rx, channel, config.gain_db).map_err(failed("setting the gain"))?;
        let mut stream =
            device.rx_stream::<Complex<i16>>(&[channel]).map_err(failed("making a receive stream in CS16"))?;
        stream.activate(None).map_err(failed("starting the stream"))?;
        for (what, asked, taken) in
            [("sample rate", &mut config.rate, Hertz(rate)), ("centre", &mut config.center, Hertz(center))]
        {
            if (asked.0 - taken.0).abs() > 1.0 {
                tracing::warn!(device = config.device, %asked, %taken, "The device took another {what}.");
            }
            *asked = taken;
        }
        if !(config.rate.0 > 0.0 && config.rate.0.is_finite() && config.center.0.is_finite()) {
            let reason = format!("it says {} at {}", config.rate, config.center);
            return Err(SourceError::Device { device: config.device, doing: "reading what it is set to", reason });
        }
        Ok(Self {
            buffer: vec![Complex::new(0, 0); 1 << 16],
            config,
            sensor,
            stream,
            position: 0,
            lost: 0,
            began: None,
            last_time_ns: 0,
            expected_ns: None,
            overflow_pending: false,
        })
    }
}

impl Source for SoapySource {
    fn template(&self) -> IqBlock {
        IqBlock::empty(Arc::clone(&self.sensor), SampleFormat::Cs16, self.config.rate, self.config.center)
    }

    fn next(&mut self, block: &mut IqBlock, samples: usize) -> Result<SourceStatus, SourceError> {
        let mut want = samples.min(self.buffer.len());
        if let Some(seconds) = self.config.seconds {
            let left = (seconds * self.config.rate.0) as u64;
            want = want.min(left.saturating_sub(self.position + self.lost) as usize);
            if want == 0 {
                return Ok(SourceStatus::End);
            }
        }
        let read = match self.stream.read(&mut [&mut self.buffer[..want]], 200_000) {
            Ok(0) => return Ok(SourceStatus::Idle),
            Ok(n) => n,
            Err(e) if e.code == ErrorCode::Timeout => return Ok(SourceStatus::Idle),
            Err(e) if matches!(e.code, ErrorCode::Overflow | ErrorCode::Corruption) => {
                self.overflow_pending = true;
                return Ok(SourceStatus::Idle);
            }
            Err(e) => {
                return Err(SourceError::Device {
                    device: self.config.device.clone(),
                    doing: "reading samples",
                    reason: if e.message.is_empty() { format!("{:?}", e.code) } else { e.message },
                });
            }
        };
        let now_ns = self.stream.time_ns();
        let timed = now_ns != self.last_time_ns;
        self.last_time_ns = now_ns;
        let mut missing = 0;
        if let (true, Some(expected)) = (timed, self.expected_ns) {
            let late_s = (now_ns - expected) as f64 * 1e-9;
            missing = (late_s * self.config.rate.0).round().max(0.0) as u64;
        }
        let length_ns = (read as f64 / self.config.rate.0 * 1e9).round() as i64;
        self.expected_ns = if timed { Some(now_ns + length_ns) } else { self.expected_ns.map(|t| t + length_ns) };
        // An overflow without a time: something is missing, and how much is not known; one sample marks it.
        if self.overflow_pending && missing == 0 {
            missing = 1;
        }
        self.overflow_pending = false;
        self.lost += missing;
        let place_s = (self.position + self.lost) as f64 / self.config.rate.0;
        let read_s = read as f64 / self.config.rate.0;
        block.time = Some(self.began.get_or_insert_with(|| now().plus_seconds(-read_s)).plus_seconds(place_s));
        block.start = SampleIndex(self.position);
        block.lost_before = self.lost;
        if missing > 0 {
            block.gaps_before.push(Gap {
                sensor: Arc::clone(&self.sensor),
                sample_start: self.position,
                sample_count: missing,
                reason: GapReason::Overflow,
            });
        }
        for z in &self.buffer[..read] {
            block.bytes.extend(z.re.to_le_bytes());
            block.bytes.extend(z.im.to_le_bytes());
        }
        self.position += read as u64;
        Ok(SourceStatus::Filled)
    }
}

/// The host's clock.
fn now() -> UtcNanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcNanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
