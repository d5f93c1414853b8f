//! How a box is doing: windows of 1, 5 and 15 minutes, sensors that went deaf, metrics, and a table for people.
//!
//! In: a [`BoxHealth`](cellwarden_types::BoxHealth) about once a second, from the daemon. Out: an HTTP endpoint
//! ([`Health`]) with `/metrics`, `/healthz` and `/status.json`, and [`table::render`] of the latter.
//!
//! Time in here is that of a clock which never steps: what UTC does is reported, not followed.

pub mod commissioning;
mod counts;
pub mod deaf;
pub mod endpoint;
pub mod error;
pub mod history;
mod metrics;
pub mod processing;
mod server;
mod state;
pub mod status;
pub mod table;
pub mod window;

pub use cellwarden_types::AmbientCarrier;
pub use commissioning::{AmbientLevels, CARRIERS_MOST, Commissioning};
pub use deaf::{Judge, Judgement, Silence, Verdict};
pub use endpoint::{DEFAULT_ADDRESS, Health, HealthConfig};
pub use error::Error;
pub use history::History;
pub use processing::{BandTests, Processing, ProcessingJudge, ProcessingVerdict, TestWindow};
pub use status::Status;
pub use window::{BoxWindow, FloorRange, Lost, SensorWindow, WINDOWS_S, Windows};
