//! What is said of a sensor.

use serde::{Deserialize, Serialize};

/// How well a sensor hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// Nothing speaks against it.
    Fine,
    /// Something is not as it was: somebody should look.
    Suspect,
    /// It does not hear what it should.
    Deaf,
}

impl Judgement {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Suspect => "suspect",
            Self::Deaf => "deaf",
        }
    }
}

/// Bursts that stay away, beyond chance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Of which standard.
    pub standard: String,
    /// Hours of listening.
    pub hours: f64,
    /// Bursts that were heard in them.
    pub heard: u64,
    /// Bursts that the commissioning lets expect.
    pub expected: f64,
    /// The probability of so few or fewer.
    pub chance: f64,
}

/// A sensor's judgement, and what it stands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The sensor.
    pub sensor: String,
    /// How well it hears.
    pub judgement: Judgement,
    /// Why, in words.
    pub reason: String,
    /// Whether there was something to compare: `fine` without it only says that nothing is known.
    pub compared: bool,
    /// The floor against its value at commissioning, in dB: the median of ten minutes.
    pub floor_change_db: Option<f64>,
    /// The median of the ambient carriers' changes, in dB.
    pub ambient_change_db: Option<f64>,
    /// Ambient carriers that were measured, and are strong enough to tell.
    pub carriers: usize,
    /// Of those, how many are lost.
    pub carriers_lost: usize,
    /// Standards that are silent beyond chance.
    pub silences: Vec<Silence>,
}
