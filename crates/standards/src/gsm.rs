//! GSM: timing, bursts, training sequences, uplink multiframes.
//!
//! Sequences are slices of bits, the first transmitted first.

/// Symbols per second. TS 45.002 clause 5.2.1: 1625/6 kHz.
pub const SYMBOL_RATE: f64 = 1_625_000.0 / 6.0;
/// Symbols of a timeslot. TS 45.002 clause 5.2.1.
pub const SLOT_SYMBOLS: f64 = 156.25;
/// Timeslots of a TDMA frame. TS 45.002 clause 4.3.1.
pub const FRAME_SLOTS: u32 = 8;
/// Symbols of a TDMA frame. TS 45.002 clause 4.3.1.
pub const FRAME_SYMBOLS: f64 = 1250.0;
/// Seconds of a TDMA frame, 60/13 ms. TS 45.002 clause 4.3.1.
pub const FRAME_SECONDS: f64 = FRAME_SYMBOLS / SYMBOL_RATE;
/// Width of a channel in hertz. TS 45.005 clause 2.
pub const CHANNEL_HZ: f64 = 200e3;
/// Bandwidth-time product of the GMSK pulse. TS 45.004 clause 2.4.
pub const GMSK_BT: f64 = 0.3;
/// Modulation index. TS 45.004 clause 2.5: a symbol turns the phase by a quarter turn.
pub const GMSK_INDEX: f64 = 0.5;

/// Symbols of a normal burst without guard. TS 45.002 clause 5.2.3.
pub const NORMAL_BURST_SYMBOLS: usize = 148;
/// Where the training sequence of a normal burst begins. TS 45.002 clause 5.2.3.
pub const NORMAL_TSC_START: usize = 61;
/// Symbols of an access burst without guard. TS 45.002 clause 5.2.7.
pub const ACCESS_BURST_SYMBOLS: usize = 88;
/// Where the synchronisation sequence of an access burst begins. TS 45.002 clause 5.2.7.
pub const ACCESS_SYNC_START: usize = 8;
/// Encrypted bits of an access burst. TS 45.002 clause 5.2.7.
pub const ACCESS_DATA_SYMBOLS: usize = 36;
/// Tail bits at either end of a normal burst and at the end of an access burst, all zero.
/// TS 45.002 clause 5.2.3.
pub const TAIL_SYMBOLS: usize = 3;
/// Bits of a normal burst's training sequence. TS 45.002 clause 5.2.3.
pub const TSC_SYMBOLS: usize = 26;
/// Bits of an access burst's synchronisation sequence. TS 45.002 clause 5.2.7.
pub const ACCESS_SYNC_SYMBOLS: usize = 41;

/// Reads a sequence written in ASCII zeros and ones.
const fn bits<const N: usize>(text: &str) -> [u8; N] {
    let text = text.as_bytes();
    assert!(text.len() == N, "a sequence has another length than its type");
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        out[i] = text[i] - b'0';
        i += 1;
    }
    out
}

/// Training sequences of normal bursts, set 1, by code. TS 45.002 Table 5.2.3a.
pub const TSC: [[u8; TSC_SYMBOLS]; 8] = [
    bits("00100101110000100010010111"),
    bits("00101101110111100010110111"),
    bits("01000011101110100100001110"),
    bits("01000111101101000100011110"),
    bits("00011010111001000001101011"),
    bits("01001110101100000100111010"),
    bits("10100111110110001010011111"),
    bits("11101111000100101110111100"),
];

/// The names of [`TSC`] in records.
pub const TSC_NAMES: [&str; 8] = ["TSC0", "TSC1", "TSC2", "TSC3", "TSC4", "TSC5", "TSC6", "TSC7"];

/// Synchronisation sequences of access bursts, TS0 (plain RACH) to TS2. TS 45.002 clause 5.2.7.
pub const ACCESS_SYNC: [[u8; ACCESS_SYNC_SYMBOLS]; 3] = [
    bits("01001011011111111001100110101010001111000"),
    bits("01010100111110001000011000101111001001101"),
    bits("11101111001001110101011000001101101110111"),
];

/// The names of [`ACCESS_SYNC`] in records.
pub const ACCESS_SYNC_NAMES: [&str; 3] = ["TS0", "TS1", "TS2"];

/// Extended tail bits before the synchronisation sequence. TS 45.002 clause 5.2.7.
pub const EXTENDED_TAIL: [u8; 8] = bits("00111010");

/// The mixed bits of a dummy burst (downlink only). TS 45.002 clause 5.2.6.
pub const DUMMY: [u8; 142] = bits(
    "1111101101110110000010100100111000001001000100000001111100011100010111000101110001010111010010100011001100111001111010011111000100101111101010",
);

/// Synchronisation sequence of the SCH burst (downlink only). TS 45.002 clause 5.2.5.
pub const SCH_SYNC: [u8; 64] = bits("1011100101100010000001000000111100101101010001010111011000011011");

/// Frames of the traffic multiframe. TS 45.002 clause 4.3.1.
pub const TRAFFIC_MULTIFRAME: u32 = 26;
/// Frames of the control multiframe. TS 45.002 clause 4.3.1.
pub const CONTROL_MULTIFRAME: u32 = 51;
/// First of four uplink frames of SDCCH/8 subchannels 0-7 in the 51-multiframe. TS 45.002 clause 7, Table 4.
pub const SDCCH8_UPLINK: [u32; 8] = [15, 19, 23, 27, 31, 35, 39, 43];
/// First of four uplink frames of SACCH/C8 subchannels 0-7 in two 51-multiframes. TS 45.002 clause 7, Table 4.
pub const SACCH8_UPLINK: [u32; 8] = [47, 51, 55, 59, 98, 0, 4, 8];

/// Whether a TCH/F in an even or odd timeslot transmits in a frame; the SACCH counts.
/// TS 45.002 clause 7, Table 1: even slots rest in frame 25, odd ones in frame 12.
pub const fn tch_full_transmits(frame: u32, timeslot: u8) -> bool {
    let rest = if timeslot % 2 == 0 { 25 } else { 12 };
    frame % TRAFFIC_MULTIFRAME != rest
}

/// Whether an SDCCH/8 subchannel or its SACCH transmits in a frame. TS 45.002 clause 7, Table 4.
pub const fn sdcch8_transmits(frame: u32, subchannel: u8) -> bool {
    let sub = (subchannel % 8) as usize;
    let main = (frame % CONTROL_MULTIFRAME).wrapping_sub(SDCCH8_UPLINK[sub]) < 4;
    let slow = (frame % (2 * CONTROL_MULTIFRAME)).wrapping_sub(SACCH8_UPLINK[sub]) < 4;
    main || slow
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bipolar(bit: u8) -> i32 {
        1 - 2 * i32::from(bit)
    }

    #[test]
    fn middle_sixteen_of_each_tsc_correlate_to_zero_beside_the_peak() {
        for (code, tsc) in TSC.iter().enumerate() {
            for lag in -5i32..=5 {
                let sum: i32 = (5..21).map(|i| bipolar(tsc[i as usize]) * bipolar(tsc[(i + lag) as usize])).sum();
                assert_eq!(sum, if lag == 0 { 16 } else { 0 }, "TSC{code} at {lag}");
            }
        }
    }

    #[test]
    fn sequences_differ() {
        assert_eq!(TSC.iter().collect::<std::collections::BTreeSet<_>>().len(), TSC.len());
        assert_ne!(ACCESS_SYNC[0], ACCESS_SYNC[1]);
        assert_eq!(NORMAL_TSC_START, TAIL_SYMBOLS + 57 + 1);
        assert_eq!(ACCESS_BURST_SYMBOLS, 8 + ACCESS_SYNC_SYMBOLS + ACCESS_DATA_SYMBOLS + TAIL_SYMBOLS);
    }

    #[test]
    fn multiframes_hold_as_many_bursts_as_they_should() {
        assert_eq!((0..26).filter(|&f| tch_full_transmits(f, 2)).count(), 25);
        assert!(!tch_full_transmits(25, 2) && !tch_full_transmits(12, 3));
        for sub in 0..8 {
            assert_eq!((0..102).filter(|&f| sdcch8_transmits(f, sub)).count(), 12, "subchannel {sub}");
        }
    }
}
