//! A stream of bytes as a receiver: standard input, or what a server sends.

use crate::config::DeviceConfig;
use crate::receiver::{ChannelInfo, PATIENCE_US, Read, Receiver};
use crate::source::SourceError;
use cellwarden_types::SampleFormat;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// Whole samples out of a stream of bytes that come as they come.
pub(crate) struct StreamReceiver<R> {
    input: R,
    device: String,
    channels: [ChannelInfo; 1],
    /// Bytes of a sample that has not come whole.
    rest: Vec<u8>,
}

impl StreamReceiver<File> {
    /// Samples from standard input, past its buffer: what waits in there no `poll` sees.
    pub(crate) fn stdin(config: &DeviceConfig, format: SampleFormat) -> io::Result<Self> {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Self::new(file, config, format))
    }
}

impl<R> StreamReceiver<R> {
    /// Samples of `format` from `input`.
    pub(crate) fn new(input: R, config: &DeviceConfig, format: SampleFormat) -> Self {
        let channels = [ChannelInfo::as_asked(config, &config.channels[0], format)];
        Self { input, device: config.name.clone(), channels, rest: Vec::with_capacity(16) }
    }
}

impl<R> StreamReceiver<R> {
    /// Its channel, for whoever tunes what is behind the stream.
    pub(crate) fn channel_mut(&mut self) -> &mut ChannelInfo {
        &mut self.channels[0]
    }

    /// What is behind the stream.
    pub(crate) fn input_mut(&mut self) -> &mut R {
        &mut self.input
    }

    /// The device's name.
    pub(crate) fn device(&self) -> &str {
        &self.device
    }
}

impl<R: io::Read + AsFd + Send> Receiver for StreamReceiver<R> {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    fn read(&mut self, samples: usize, buffers: &mut [Vec<u8>]) -> Result<Read, SourceError> {
        let failed = |e: io::Error| SourceError::Device {
            device: self.device.clone(),
            doing: "reading samples",
            reason: e.to_string(),
        };
        let patience = Timespec { tv_sec: 0, tv_nsec: PATIENCE_US * 1000 };
        let came = poll(&mut [PollFd::new(&self.input, PollFlags::IN)], Some(&patience));
        match came {
            Ok(0) => return Ok(Read::Idle),
            Ok(_) => {}
            Err(e) if e == rustix::io::Errno::INTR => return Ok(Read::Idle),
            Err(e) => return Err(failed(e.into())),
        }
        let size = self.channels[0].format.bytes_per_sample();
        let buffer = &mut buffers[0];
        buffer.append(&mut self.rest);
        let kept = buffer.len();
        buffer.resize(samples * size, 0);
        let read = match self.input.read(&mut buffer[kept..]) {
            Ok(0) => {
                buffer.clear();
                return Ok(Read::End);
            }
            Ok(n) => n,
            Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => 0,
            Err(e) => return Err(failed(e)),
        };
        let whole = (kept + read) / size * size;
        self.rest.extend_from_slice(&buffer[whole..kept + read]);
        buffer.truncate(whole);
        Ok(if whole == 0 { Read::Idle } else { Read::Samples { device_ns: None } })
    }

    fn retune(&mut self, _: usize) -> Result<(), SourceError> {
        let reason = "a stream of samples cannot be tuned".to_owned();
        Err(SourceError::Device { device: self.device.clone(), doing: "tuning", reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ChannelConfig;
    use cellwarden_types::Hertz;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn samples_stay_whole_however_their_bytes_come() {
        let channel = ChannelConfig {
            sensor: "s".to_owned(),
            number: 0,
            center: Hertz(9e8),
            centers: Vec::new(),
            antenna: None,
            gain: None,
        };
        let config: DeviceConfig = DeviceConfig {
            name: "in".to_owned(),
            soapy: None,
            rtl_tcp: None,
            stdin: Some(SampleFormat::Cs16),
            rate: Hertz(1e6),
            gain: None,
            ppm: 0.0,
            bandwidth: None,
            clock_source: None,
            time_source: None,
            stream: String::new(),
            hop: None,
            seconds: None,
            channels: vec![channel],
        };
        let (mut to, from) = UnixStream::pair().expect("a pair");
        let mut receiver = StreamReceiver::new(from, &config, SampleFormat::Cs16);
        let mut buffers = [Vec::new()];
        assert_eq!(receiver.read(64, &mut buffers).expect("reads"), Read::Idle);
        let (mut sent, mut got) = (Vec::<u8>::new(), Vec::<u8>::new());
        for length in [3, 1, 4, 9, 2, 5, 300, 8] {
            let bytes: Vec<u8> = (0..length).map(|i| (sent.len() + i) as u8).collect();
            sent.extend(&bytes);
            to.write_all(&bytes).expect("writes");
            loop {
                buffers[0].clear();
                match receiver.read(16, &mut buffers).expect("reads") {
                    Read::Samples { device_ns: None } => got.extend(&buffers[0]),
                    _ => break,
                }
                assert!(buffers[0].len() % 4 == 0 && buffers[0].len() <= 64);
            }
        }
        drop(to);
        buffers[0].clear();
        assert_eq!(receiver.read(16, &mut buffers).expect("reads"), Read::End);
        assert_eq!(got, sent[..sent.len() / 4 * 4]);
    }
}
