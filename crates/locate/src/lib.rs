//! From burst records to hits per cell block.
//!
//! In go the bursts of every sensor that listened, as records and never as samples; out come hits:
//! one phone's activity each, with the block it was in. [`associate`] joins what several sensors
//! heard of one emission, [`track`] joins emissions into activities, [`place`] weighs the blocks,
//! [`activity`] names what the phone did, [`confidence`] says how sure that it is one.
//!
//! ```
//! use cellwarden_locate::{SensorInfo, join};
//! let sensors = [SensorInfo { name: "a".into(), start_time: None, noise_dbfs_per_hz: -157.0 }];
//! assert!(join(vec![], &sensors, None).is_empty());
//! ```

pub mod activity;
pub mod associate;
pub mod confidence;
pub mod hit;
pub mod place;
pub mod site;
pub mod track;

pub use associate::{Emission, Heard};
pub use hit::{JoinConfig, Joiner, SensorInfo, join};
pub use place::{Placement, Placer};
pub use site::{Site, SiteError};
