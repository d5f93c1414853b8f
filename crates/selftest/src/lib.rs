//! Whether a sensor's processing still finds what it should: known weak bursts, added to its samples in memory.
//!
//! In: the [`IqBlock`](cellwarden_types::IqBlock)s of one sensor. Out: its [`Burst`](cellwarden_types::Burst)s, and how many of
//! the test bursts were found. **Nothing is transmitted**: numbers are added to a copy of numbers, behind the receiver.
//!
//! A [`TestedDetector`] owns its detector, and nobody else can feed it. What the detector finds is held against the places of
//! the test bursts before anything leaves: so a test burst cannot become a hit, a record or evidence.
//!
//! What it says of the antenna: nothing. The bursts are as far above the detector's own floor in a sensor without antenna.
//! What it hides: a real burst of which at least half lies in a test burst's time (1 ms at most) and channel.
//!
//! ```
//! use cellwarden_detect::DetectConfig;
//! use cellwarden_selftest::{SelfTestConfig, TestedDetector};
//! use cellwarden_types::{Hertz, IqBlock, SampleFormat};
//! let mut detector = TestedDetector::new("east".into(), DetectConfig::default(), Some(SelfTestConfig { every_s: 10.0 }));
//! let mut block = IqBlock::empty("east".into(), SampleFormat::Cs16, Hertz(2.4e6), Hertz(902.4e6));
//! block.bytes = vec![0; 4 * 24_000];
//! let mut bursts = Vec::new();
//! detector.process(&block, &mut bursts);
//! detector.finish(&mut bursts);
//! let kinds: Vec<&str> = detector.results().iter().map(|r| r.kind.name()).collect();
//! assert_eq!(kinds, ["normal", "prach", "pusch"]);
//! ```

mod add;
mod band;
mod config;
mod course;
mod place;
mod tested;
mod wave;

pub use config::SelfTestConfig;
pub use tested::TestedDetector;
pub use wave::TestKind;
