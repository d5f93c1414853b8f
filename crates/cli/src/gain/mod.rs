//! Gain by a measured procedure: as high as it may be without a phone beside the sensor clipping.
//!
//! [`measure`] steps through the gains of a device and listens at each; [`choose`] reads out of that where the receiver's own
//! noise is heard, what a dBm is there, and which gain it has to be; [`kept`] keeps it for the daemon.

pub mod choose;
pub mod kept;
pub mod measure;
