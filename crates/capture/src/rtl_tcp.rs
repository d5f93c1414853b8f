//! A receiver behind an `rtl_tcp` server: it is told what to set, and sends cu8.
//!
//! The protocol is the server's: twelve bytes of greeting (`RTL0`, tuner, number of gains), then samples; commands are a
//! byte and a big-endian `u32`. The server drops what the network does not take, and says nothing of it.

use crate::config::{DeviceConfig, Gain};
use crate::receiver::{ChannelInfo, Read, Receiver};
use crate::source::SourceError;
use crate::stream::StreamReceiver;
use cellwarden_types::{Hertz, SampleFormat};
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const CONNECT_S: u64 = 3;
const SET_CENTER: u8 = 0x01;
const SET_RATE: u8 = 0x02;
const SET_GAIN_BY_HAND: u8 = 0x03;
const SET_GAIN: u8 = 0x04;
const SET_PPM: u8 = 0x05;

/// Samples from an `rtl_tcp` server.
pub(crate) struct RtlTcpReceiver {
    stream: StreamReceiver<TcpStream>,
    centers: Vec<Hertz>,
}

impl RtlTcpReceiver {
    /// Connects to `address` and sets the receiver behind it.
    pub(crate) fn open(config: &DeviceConfig, address: &str) -> Result<Self, SourceError> {
        let failed = |doing: &'static str| {
            let device = config.name.clone();
            move |e: io::Error| SourceError::Device { device, doing, reason: format!("{address}: {e}") }
        };
        let mut stream = connect(address).map_err(failed("connecting to rtl_tcp"))?;
        let mut greeting = [0; 12];
        stream.read_exact(&mut greeting).map_err(failed("waiting for rtl_tcp's greeting"))?;
        if &greeting[..4] != b"RTL0" {
            let error = io::Error::other("what answers there is no rtl_tcp");
            return Err(failed("waiting for rtl_tcp's greeting")(error));
        }
        let channel = &config.channels[0];
        let mut commands = vec![
            (SET_RATE, config.rate.0.round() as u32),
            (SET_PPM, signed(config.ppm)),
            (SET_CENTER, channel.center.0.round() as u32),
        ];
        match config.gain_of(channel) {
            Some(Gain::Overall(db)) => {
                // Tenths of a decibel.
                commands.extend([(SET_GAIN_BY_HAND, 1), (SET_GAIN, signed(db * 10.0))]);
            }
            Some(Gain::Stages(_)) => {
                let error = io::Error::other("rtl_tcp has one gain: give a number in dB");
                return Err(failed("setting the gain")(error));
            }
            Some(Gain::Measured(_)) | None => {
                let error = io::Error::other("no gain is given: add gain = 30 (dB), for levels place phones");
                return Err(failed("setting the gain")(error));
            }
        }
        for command in commands {
            stream.write_all(&bytes(command)).map_err(failed("setting the receiver"))?;
        }
        stream.set_read_timeout(None).map_err(failed("connecting to rtl_tcp"))?;
        let stream = StreamReceiver::new(stream, config, SampleFormat::Cu8);
        Ok(Self { stream, centers: channel.tunings().to_vec() })
    }
}

/// A command, as it goes over the wire.
fn bytes((command, value): (u8, u32)) -> [u8; 5] {
    let [a, b, c, d] = value.to_be_bytes();
    [command, a, b, c, d]
}

/// A signed number, as its bits go over the wire.
fn signed(value: f64) -> u32 {
    u32::from_ne_bytes((value.round() as i32).to_ne_bytes())
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::other("no such host");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, Duration::from_secs(CONNECT_S)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(Duration::from_secs(CONNECT_S)))?;
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

impl Receiver for RtlTcpReceiver {
    fn channels(&self) -> &[ChannelInfo] {
        self.stream.channels()
    }

    fn read(&mut self, samples: usize, buffers: &mut [Vec<u8>]) -> Result<Read, SourceError> {
        match self.stream.read(samples, buffers)? {
            // A server that goes away is no end of the recording.
            Read::End => Err(SourceError::Device {
                device: self.stream.device().to_owned(),
                doing: "reading samples",
                reason: "rtl_tcp closed the connection".to_owned(),
            }),
            read => Ok(read),
        }
    }

    fn retune(&mut self, step: usize) -> Result<(), SourceError> {
        let center = self.centers[step % self.centers.len()];
        let command = bytes((SET_CENTER, center.0.round() as u32));
        let written = self.stream.input_mut().write_all(&command);
        written.map_err(|e| SourceError::Device {
            device: self.stream.device().to_owned(),
            doing: "tuning",
            reason: e.to_string(),
        })?;
        // It does not say what it took.
        self.stream.channel_mut().center = center;
        Ok(())
    }
}
