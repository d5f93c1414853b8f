//! What every receiver can do: all channels of a device, read together. Receives only.

use crate::config::{ChannelConfig, DeviceConfig, Origin};
use crate::probe::DeviceProbe;
use crate::source::SourceError;
use cellwarden_types::{Hertz, SampleFormat};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long a read waits for samples.
pub(crate) const PATIENCE_US: i64 = 200_000;

/// What a channel is set to, as the device says: bursts would lie in the wrong place if it were what was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelInfo {
    /// The sensor's name.
    pub sensor: String,
    /// How its samples are to be read.
    pub format: SampleFormat,
    /// Complex samples per second.
    pub rate: Hertz,
    /// Centre frequency.
    pub center: Hertz,
    /// Overall gain, where the driver tells.
    pub gain_db: Option<f64>,
}

impl ChannelInfo {
    /// What is asked for, of a source that cannot be asked what it does.
    pub(crate) fn as_asked(device: &DeviceConfig, channel: &ChannelConfig, format: SampleFormat) -> Self {
        Self { sensor: channel.sensor.clone(), format, rate: device.rate, center: channel.center, gain_db: None }
    }
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// As many samples of every channel.
    Samples {
        /// The device's time of the first, where it gives one.
        device_ns: Option<i64>,
    },
    /// Nothing came in time.
    Idle,
    /// Samples were lost; how many, the device's next time tells.
    Lost,
    /// There will be no more.
    End,
}

/// A device whose streams run.
pub trait Receiver: Send {
    /// Its channels, in the order of the configuration.
    fn channels(&self) -> &[ChannelInfo];

    /// Reads at most `samples` samples of every channel into `buffers` of whole samples, which are empty and keep their
    /// capacity. Waits a fifth of a second at most, if its driver does as it should.
    ///
    /// # Errors
    /// When there can be no more samples because something failed.
    fn read(&mut self, samples: usize, buffers: &mut [Vec<u8>]) -> Result<Read, SourceError>;

    /// Tunes every channel to the centre number `step` of the configuration, counted from 0. Samples that were on their way come
    /// before those of the new centre, and nothing tells them apart but their number. [`channels`](Self::channels) then say
    /// what the device took.
    ///
    /// # Errors
    /// If it cannot be tuned.
    fn retune(&mut self, step: usize) -> Result<(), SourceError>;

    /// The device's temperature in degrees Celsius, where it tells.
    fn temperature_celsius(&self) -> Option<f64> {
        None
    }
}

/// The SoapySDR devices that match `args` (`key=value,key=value`), each by what its driver says of it.
///
/// # Errors
/// If this program was built without SoapySDR, or a driver fails.
pub fn find_devices(args: &str) -> Result<Vec<BTreeMap<String, String>>, SourceError> {
    #[cfg(feature = "soapy")]
    return crate::soapy::find(args);
    #[cfg(not(feature = "soapy"))]
    Err(without_soapy(args))
}

/// What the SoapySDR device `args` is and can do.
///
/// # Errors
/// If this program was built without SoapySDR, or the device cannot be opened.
pub fn probe_device(args: &str) -> Result<DeviceProbe, SourceError> {
    #[cfg(feature = "soapy")]
    return crate::soapy::probe(args);
    #[cfg(not(feature = "soapy"))]
    Err(without_soapy(args))
}

#[cfg(not(feature = "soapy"))]
fn without_soapy(device: &str) -> SourceError {
    let reason = "this cellwarden was built without SoapySDR: install libsoapysdr-dev, then \
                  cargo build --release -p cellwarden-cli --features soapy";
    SourceError::Device { device: device.to_owned(), doing: "opening", reason: reason.to_owned() }
}

/// Opens the device, sets it and starts its streams.
///
/// # Errors
/// What the device, or the configuration, does not allow.
pub fn open(config: &DeviceConfig) -> Result<Box<dyn Receiver>, SourceError> {
    let wrong = |reason: String| SourceError::Device {
        device: config.name.clone(),
        doing: "reading its configuration",
        reason,
    };
    config.check().map_err(|e| wrong(e.what))?;
    if let Some(sensor) = config.unmeasured().next() {
        return Err(wrong(format!("sensor {sensor:?}: gain = \"measured\" is no number yet")));
    }
    match config.origin().map_err(|e| wrong(e.what))? {
        #[cfg(feature = "soapy")]
        Origin::Soapy(args) => Ok(Box::new(crate::soapy::SoapyReceiver::open(config, args)?)),
        #[cfg(not(feature = "soapy"))]
        Origin::Soapy(_) => Err(without_soapy(&config.name)),
        Origin::RtlTcp(address) => Ok(Box::new(crate::rtl_tcp::RtlTcpReceiver::open(config, address)?)),
        Origin::Stdin(format) => {
            let stream = crate::stream::StreamReceiver::stdin(config, format).map_err(|e| wrong(e.to_string()))?;
            Ok(Box::new(stream))
        }
    }
}
