//! What a box can watch: shares of spectrum and time, and the probability to catch a phone.
//!
//! In go radios at places, bands and a machine ([`Request`], partly from the `[plan]` [`Section`] of a file); out comes
//! a [`Plan`]. [`radio`] knows radios, [`demand`] bands, [`activity`] when a phone transmits, [`catch`] how likely
//! enough of it is heard, [`dwell`] how long to stay at each centre, [`host`] what a machine computes.
//!
//! ```
//! use cellwarden_plan::activity::Activity;
//! use cellwarden_plan::catch::probability;
//! use cellwarden_plan::schedule::{Range, Schedule};
//! let band = &cellwarden_plan::demand::bands(&["B8".into()], Some("fr")).unwrap()[0];
//! // Half a second at 900 MHz, half a second elsewhere, 20 ms deaf after each change.
//! let hop = Schedule::over(&[Range::about(897.5e6, 40e6), Range::about(847e6, 40e6)], 0.5, 0.02).unwrap();
//! assert!(probability(Activity::LocationUpdate, band, &[hop], 500) > 0.9);
//! ```
//!
//! Limits: a phone is taken to be heard well (what is too weak or collides is another matter), on one carrier, by a
//! typical course of its activity; receivers do not know of each other; UMTS, NR and time-division LTE have no detector
//! yet.

pub mod activity;
pub mod catch;
pub mod coverage;
pub mod demand;
mod draw;
pub mod dwell;
pub mod host;
pub mod plan;
pub mod radio;
pub mod request;
pub mod schedule;
pub mod section;
mod warning;

pub use draw::Draw;
pub use plan::{Plan, plan};
pub use request::{Place, Request, Station};
pub use section::Section;
