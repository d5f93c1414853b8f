//! The acceptance of a box: what each sensor hears of an authorised phone, place by place.
//!
//! [`ask`] asks the running daemon and its store, [`progress`] keeps what was done, [`text`] writes a sheet for people.

pub mod ask;
pub mod progress;
pub mod text;
