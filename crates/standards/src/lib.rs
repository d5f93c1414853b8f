//! Tables of the radio standards: bands, channels, bursts, sequences, each with its source.
//!
//! Nothing here touches samples: the detector and the simulator both read these tables, each with
//! its own signal processing.
//!
//! ```
//! use cellwarden_standards::{band, gsm};
//! let channel = band::gsm_channel(898.03e6).unwrap();
//! assert_eq!((channel.arfcn, channel.band), (40, "GSM900"));
//! assert_eq!(band::lte_band(847e6), Some("B20"));
//! assert_eq!(gsm::TSC[0].len(), 26);
//! ```

pub mod band;
pub mod country;
pub mod gsm;
mod low_papr;
pub mod lte;
mod lte_phi;
mod lte_uplink;
pub mod nbiot;
pub mod nr;
mod nr_prach;
mod prach_roots;
pub mod pseudo_random;
