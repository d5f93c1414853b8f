//! The permission to keep samples: who gave it, why, for how long, for which bands, and who alone can read them.
//!
//! Samples of a registration can hold a subscriber's identity in clear. Without a [`Permit`] nothing here writes one, and
//! only a permission that is good at this time gives a permit.

use age::x25519::Recipient;
use cellwarden_types::{Hertz, UtcNanos};
use serde::{Deserialize, Serialize};

/// Longest that a permission may still run.
pub const DAYS_MOST: f64 = 31.0;
const DAY_S: f64 = 86_400.0;

/// A range of frequencies, in hertz.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandRange {
    /// Lower edge.
    pub low_hz: f64,
    /// Upper edge.
    pub high_hz: f64,
}

/// A permission as the configuration has it. It allows nothing by itself: see [`check`](Self::check).
///
/// ```toml
/// reason = "court order 12/2026, test of the detector in block B"
/// granted_by = "the governor"
/// from = "2026-03-01T00:00:00Z"
/// until = "2026-03-08T00:00:00Z"
/// recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]
/// bands = [{ low_hz = 880e6, high_hz = 915e6 }]
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// Why samples are needed.
    pub reason: String,
    /// Who allowed it.
    pub granted_by: String,
    /// From when.
    pub from: UtcNanos,
    /// Until when, at most 31 days ahead.
    pub until: UtcNanos,
    /// Public keys of `age` (`age1…`, from `age-keygen`). Their private halves belong on another machine.
    pub recipients: Vec<String>,
    /// A recording must lie within one of these as a whole.
    pub bands: Vec<BandRange>,
}

/// Why a permission is no good, or allows nothing now.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PermissionError {
    /// A text is missing.
    #[error("permission: {field} is empty: say it, it goes into the log")]
    Empty {
        /// Which.
        field: &'static str,
    },
    /// It ends before it begins.
    #[error("permission: until {until} is not after from {from}")]
    Order {
        /// Its beginning.
        from: UtcNanos,
        /// Its end.
        until: UtcNanos,
    },
    /// It runs too long.
    #[error("permission: until {until} is {days:.1} days ahead, at most 31 are allowed: renew it when it ends")]
    TooLong {
        /// Its end.
        until: UtcNanos,
        /// From now.
        days: f64,
    },
    /// A private key stands where a public one belongs.
    #[error(
        "permission: recipient {index} is a private key: the box must not hold it. Take it out, put its public key \
         (age1…) there, and make a new pair, because this one may have been read"
    )]
    PrivateKey {
        /// Counted from 1.
        index: usize,
    },
    /// Something else is no public key.
    #[error("permission: recipient {index} is no public key of age: want one like age1… (age-keygen prints it)")]
    Recipient {
        /// Counted from 1.
        index: usize,
    },
    /// A band makes no sense.
    #[error("permission: band {index} must have 0 <= low_hz < high_hz")]
    Band {
        /// Counted from 1.
        index: usize,
    },
    /// Not yet.
    #[error("samples are not permitted before {from}")]
    NotYet {
        /// The permission's beginning.
        from: UtcNanos,
    },
    /// No more.
    #[error("samples are not permitted since {until}: the permission is over")]
    Over {
        /// The permission's end.
        until: UtcNanos,
    },
    /// Not these.
    #[error("samples of {low} to {high} are not permitted: no band of the permission holds them all")]
    OutOfBand {
        /// Lower edge of the recording.
        low: Hertz,
        /// Its upper edge.
        high: Hertz,
    },
}

impl Permission {
    /// Checks it, and turns it into a grant.
    ///
    /// # Errors
    /// If anything of it is not as it must be.
    pub fn check(self, now: UtcNanos) -> Result<Grant, PermissionError> {
        for (field, text) in [("reason", &self.reason), ("granted_by", &self.granted_by)] {
            if text.trim().is_empty() {
                return Err(PermissionError::Empty { field });
            }
        }
        let (from, until) = (self.from, self.until);
        if until <= from {
            return Err(PermissionError::Order { from, until });
        }
        let days = until.seconds_since(now) / DAY_S;
        if days > DAYS_MOST {
            return Err(PermissionError::TooLong { until, days });
        }
        if self.recipients.is_empty() {
            return Err(PermissionError::Empty { field: "recipients" });
        }
        if self.bands.is_empty() {
            return Err(PermissionError::Empty { field: "bands" });
        }
        let mut recipients = Vec::new();
        for (i, text) in self.recipients.iter().enumerate() {
            let (index, text) = (i + 1, text.trim());
            // Never the text itself in a message: it may be a secret.
            if text.to_ascii_uppercase().contains("SECRET-KEY") || text.contains("PRIVATE KEY") {
                return Err(PermissionError::PrivateKey { index });
            }
            recipients.push(text.parse::<Recipient>().map_err(|_| PermissionError::Recipient { index })?);
        }
        for (i, band) in self.bands.iter().enumerate() {
            let sound = band.low_hz >= 0.0 && band.low_hz < band.high_hz && band.high_hz.is_finite();
            if !sound {
                return Err(PermissionError::Band { index: i + 1 });
            }
        }
        Ok(Grant { permission: self, recipients })
    }
}

/// A permission that was checked. It holds for its time only, so ask it for a [`Permit`] each time.
#[derive(Clone)]
pub struct Grant {
    permission: Permission,
    recipients: Vec<Recipient>,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Grant").field(&self.permission).finish()
    }
}

impl Grant {
    /// What was permitted, for the log.
    pub fn permission(&self) -> &Permission {
        &self.permission
    }

    /// The token that lets samples be written, if this is the time and the recording lies in a permitted band. The event
    /// belongs into the log.
    ///
    /// # Errors
    /// Before or after the time, or outside of the bands.
    pub fn permit(
        &self,
        now: UtcNanos,
        center: Hertz,
        width: Hertz,
    ) -> Result<(Permit<'_>, VaultEvent), PermissionError> {
        let half = 0.5 * width.0.abs();
        let (low, high) = (center.0 - half, center.0 + half);
        // Written so that what is no number lies in no band.
        if !self.permission.bands.iter().any(|b| b.low_hz <= low && high <= b.high_hz) {
            return Err(PermissionError::OutOfBand { low: Hertz(low), high: Hertz(high) });
        }
        let permit = Permit { grant: self, low: Hertz(low), high: Hertz(high) };
        permit.check(now)?;
        let p = &self.permission;
        let event = VaultEvent::Permitted {
            time: now,
            reason: p.reason.clone(),
            granted_by: p.granted_by.clone(),
            from: p.from,
            until: p.until,
            recipients: self.recipients.iter().map(ToString::to_string).collect(),
            low_hz: low,
            high_hz: high,
        };
        Ok((permit, event))
    }
}

/// The right to write samples of one range of frequencies. Only [`Grant::permit`] makes one, it cannot be copied, and
/// everything that writes samples takes one.
///
/// ```compile_fail
/// // No permission, no permit: its fields are private.
/// let permit = cellwarden_evidence::Permit {};
/// ```
#[derive(Debug)]
pub struct Permit<'a> {
    grant: &'a Grant,
    low: Hertz,
    high: Hertz,
}

impl Permit<'_> {
    /// Whether it still holds.
    ///
    /// # Errors
    /// Before or after the permitted time.
    pub fn check(&self, now: UtcNanos) -> Result<(), PermissionError> {
        let p = &self.grant.permission;
        if now < p.from {
            return Err(PermissionError::NotYet { from: p.from });
        }
        if now >= p.until {
            return Err(PermissionError::Over { until: p.until });
        }
        Ok(())
    }

    /// Whether it holds for these samples.
    ///
    /// # Errors
    /// If they lie outside of what it was made for, or this is not the time.
    pub(crate) fn check_for(&self, now: UtcNanos, center: Hertz, width: Hertz) -> Result<(), PermissionError> {
        let half = 0.5 * width.0.abs();
        let (low, high) = (Hertz(center.0 - half), Hertz(center.0 + half));
        if !(self.low.0 <= low.0 && high.0 <= self.high.0) {
            return Err(PermissionError::OutOfBand { low, high });
        }
        self.check(now)
    }

    /// What it rests on.
    pub fn permission(&self) -> &Permission {
        &self.grant.permission
    }

    pub(crate) fn recipients(&self) -> impl Iterator<Item = &dyn age::Recipient> {
        self.grant.recipients.iter().map(|r| r as &dyn age::Recipient)
    }
}

/// What happened with samples: each belongs into the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[must_use = "it belongs into the log"]
pub enum VaultEvent {
    /// Samples may be written.
    Permitted {
        /// When.
        time: UtcNanos,
        /// Why.
        reason: String,
        /// By whom.
        granted_by: String,
        /// From when.
        from: UtcNanos,
        /// Until when.
        until: UtcNanos,
        /// Who can read them.
        recipients: Vec<String>,
        /// Lower edge.
        low_hz: f64,
        /// Upper edge.
        high_hz: f64,
    },
    /// Encrypted samples were written.
    Written {
        /// When.
        time: UtcNanos,
        /// The file of the samples.
        file: String,
        /// Of which sensor.
        sensor: String,
        /// How many.
        samples: u64,
        /// Under which permission.
        reason: String,
    },
    /// Encrypted samples were deleted.
    Deleted {
        /// When.
        time: UtcNanos,
        /// Which file.
        file: String,
        /// Why.
        why: String,
    },
}
