//! cellwarden's vocabulary: units, time, blocks of samples, and the records that cross crates.
//!
//! Nothing in here computes on samples or talks to the world. One definition each of a unit, a
//! block, a burst and a hit, so that a value keeps its meaning from the radio to the report.
//!
//! ```
//! use cellwarden_types::{Hertz, SampleFormat, UtcNanos};
//! assert_eq!("902.4M".parse::<Hertz>().unwrap(), Hertz(902.4e6));
//! assert_eq!(SampleFormat::Cs16.bytes_per_sample(), 4);
//! let t: UtcNanos = "2026-03-01T06:00:00.001Z".parse().unwrap();
//! assert_eq!(t.to_string(), "2026-03-01T06:00:00.001000000Z");
//! ```

pub mod block;
pub mod health;
pub mod record;
pub mod request;
pub mod sample;
pub mod table;
pub mod text;
pub mod time;
pub mod units;

pub use block::{Gap, GapReason, IqBlock};
pub use health::{AmbientCarrier, BoxHealth, SelfTestCount, SensorHealth, SensorState};
pub use record::{Activity, Burst, Detail, Evidence, Hit, HitState, Kind, Record, SensorLedger, Standard, Summary};
pub use sample::SampleFormat;
pub use time::{SampleCount, SampleIndex, UtcNanos};
pub use units::{Hertz, db, undb};
