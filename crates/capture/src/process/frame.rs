//! What a capture process tells the daemon: short frames through a pipe. Samples never go this way.
//!
//! A frame is its length as a little-endian `u32`, then JSON: a number of frames a second for each channel, not worth
//! another format.

use crate::receiver::ChannelInfo;
use cellwarden_types::Hertz;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Write};
use std::time::Duration;

/// A frame is written in one call, and up to this length arrives whole or not at all (`PIPE_BUF`, POSIX).
const MOST_BYTES: usize = 4096;
const HEAD_BYTES: usize = 4;
/// A text longer than this is cut.
const TEXT_BYTES: usize = 1024;

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Frame {
    /// The device streams.
    Ready {
        /// Its channels, in the order of the configuration.
        channels: Vec<ChannelInfo>,
    },
    /// A slot of the ring was filled.
    Block(Block),
    /// The device was asked, and had nothing to give.
    Beat,
    /// Something that a person may want to know.
    Notice(String),
    /// How warm the device is, in degrees Celsius.
    Temperature(f64),
    /// The stream is over.
    End,
    /// The device failed: the process ends.
    Failed(String),
}

/// A slot with samples of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Block {
    /// The channel, counted as in the configuration.
    pub channel: usize,
    /// Whose turn in the ring it is.
    pub turn: u64,
    /// Samples in the slot.
    pub samples: usize,
    /// Samples that the device lost since the channel's block before.
    pub lost: u64,
    /// Samples since then for which the ring had no room.
    pub dropped: u64,
    /// Samples since then that were thrown away on the way to another centre.
    pub retuned: u64,
    /// What the channel is tuned to.
    pub center: Hertz,
    /// UTC of the host after the read, in nanoseconds.
    pub host_utc_ns: i64,
    /// The device's time of the first sample, where it gives one.
    pub device_ns: Option<i64>,
}

/// A text that fits into a frame.
pub(crate) fn short(text: &str) -> String {
    let end = (0..=TEXT_BYTES.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    text[..end].replace('\n', " ")
}

/// Writes frames.
pub(crate) struct FrameWriter {
    pipe: File,
    buffer: Vec<u8>,
}

impl FrameWriter {
    pub(crate) fn new(pipe: File) -> Self {
        Self { pipe, buffer: Vec::with_capacity(MOST_BYTES) }
    }

    /// Sends a frame, and waits until the pipe has room for it.
    ///
    /// # Errors
    /// If the daemon is gone.
    pub(crate) fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.extend([0; HEAD_BYTES]);
        serde_json::to_writer(&mut self.buffer, frame)?;
        let length = self.buffer.len() - HEAD_BYTES;
        if self.buffer.len() > MOST_BYTES {
            return Err(io::Error::other(format!("a frame of {length} bytes: the device has too many channels")));
        }
        self.buffer[..HEAD_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
        self.pipe.write_all(&self.buffer)
    }
}

/// What came when somebody listened.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    /// A frame.
    Frame(Frame),
    /// Nothing in time.
    Nothing,
    /// The other end is closed.
    Closed,
}

/// Reads frames.
pub(crate) struct FrameReader {
    pipe: File,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were read out of the pipe, and those of them that were taken.
    filled: usize,
    taken: usize,
}

impl FrameReader {
    pub(crate) fn new(pipe: File) -> Self {
        Self { pipe, buffer: vec![0; 16 * MOST_BYTES], filled: 0, taken: 0 }
    }

    /// The next frame, if it comes within `patience`.
    ///
    /// # Errors
    /// If what comes is no frame: the process is to be given up.
    pub(crate) fn next(&mut self, patience: Duration) -> io::Result<Heard> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Heard::Frame(frame));
            }
            self.buffer.copy_within(self.taken..self.filled, 0);
            (self.filled, self.taken) = (self.filled - self.taken, 0);
            let patience = Timespec {
                tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(patience.subsec_nanos()),
            };
            match poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], Some(&patience)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Heard::Nothing),
                Ok(_) => {}
                Err(e) => return Err(e.into()),
            }
            match self.pipe.read(&mut self.buffer[self.filled..])? {
                0 => return Ok(Heard::Closed),
                n => self.filled += n,
            }
        }
    }

    /// A frame that is whole in the buffer.
    fn take(&mut self) -> io::Result<Option<Frame>> {
        let held = &self.buffer[self.taken..self.filled];
        let Some((head, rest)) = held.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if length + HEAD_BYTES > MOST_BYTES {
            return Err(io::Error::other("the capture process sent what is no frame"));
        }
        let Some(text) = rest.get(..length) else { return Ok(None) };
        let frame = serde_json::from_slice(text)?;
        self.taken += HEAD_BYTES + length;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pipe() -> (FrameReader, File) {
        let (from, to) = rustix::pipe::pipe().expect("a pipe");
        (FrameReader::new(File::from(from)), File::from(to))
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let block = (0usize..9, any::<u64>(), 0usize..100_000, any::<u64>(), any::<u64>(), any::<i64>());
        prop_oneof![
            block.prop_map(|(channel, turn, samples, lost, dropped, host_utc_ns)| Frame::Block(Block {
                device_ns: (turn % 2 == 0).then_some(host_utc_ns),
                channel,
                turn,
                samples,
                lost,
                dropped,
                retuned: lost / 2,
                center: Hertz(turn as f64 / 1024.0),
                host_utc_ns
            })),
            Just(Frame::Beat),
            ".{0,3000}".prop_map(|text| Frame::Notice(short(&text))),
            Just(Frame::End),
        ]
    }

    proptest! {
        #[test]
        fn frames_come_as_they_were_sent(frames in prop::collection::vec(frame(), 0..12)) {
            let (mut reader, to) = pipe();
            let mut writer = FrameWriter::new(to);
            for frame in &frames {
                writer.send(frame).expect("there is room");
            }
            drop(writer);
            for frame in frames {
                prop_assert_eq!(reader.next(Duration::ZERO).expect("a frame"), Heard::Frame(frame));
            }
            prop_assert_eq!(reader.next(Duration::ZERO).expect("the end"), Heard::Closed);
        }

        #[test]
        fn rubbish_is_an_error_or_the_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (mut reader, mut to) = pipe();
            to.write_all(&bytes).expect("there is room");
            drop(to);
            while let Ok(Heard::Frame(_)) = reader.next(Duration::ZERO) {}
        }
    }

    #[test]
    fn silence_is_nothing() {
        let (mut reader, _to) = pipe();
        assert_eq!(reader.next(Duration::from_millis(5)).expect("patience"), Heard::Nothing);
    }
}
