//! LTE-M uplink: machines on an LTE carrier, which are not to be taken for phones.
//!
//! Their waveform is LTE's; what they do and no phone does is to send the same again at once. Two such things are proof: the
//! same preamble before an answer to it can have been missed, and in coverage enhancement mode B the same subframe.
//!
//! What of LTE-M has no proof stays `lte`, because a phone may send it just so: a PUSCH of mode A, of which each repetition
//! is scrambled anew (TS 36.211 clause 5.3.1, N_acc = 1) and so differs as a phone's next subframe does; a PUSCH or
//! preamble that is sent once; the PUCCH. A phone that uses coverage enhancement itself, which it may (TS 36.306 clause
//! 4.3.4), is a machine here.

pub mod preambles;
pub mod runs;
pub mod subframes;
