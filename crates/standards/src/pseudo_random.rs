//! The pseudo-random sequence that LTE, NB-IoT and NR hop, shift and scramble with.

/// Steps of both shift registers before the sequence begins. TS 36.211 clause 7.2, TS 38.211 clause 5.2.1.
const SKIPPED: usize = 1600;

/// The first `length` bits c(n) of the length-31 Gold sequence of `c_init`.
///
/// # Source
/// 3GPP TS 36.211 clause 7.2; TS 38.211 clause 5.2.1.
pub fn bits(c_init: u32, length: usize) -> Vec<u8> {
    let (mut first, mut second) = (1u32, c_init & 0x7fff_ffff);
    let mut out = Vec::with_capacity(length);
    for n in 0..SKIPPED + length {
        if n >= SKIPPED {
            out.push(((first ^ second) & 1) as u8);
        }
        let next_first = (first >> 3) ^ first;
        let next_second = (second >> 3) ^ (second >> 2) ^ (second >> 1) ^ second;
        first = (first >> 1) | ((next_first & 1) << 30);
        second = (second >> 1) | ((next_second & 1) << 30);
    }
    out
}

/// The number that consecutive bits make, the first of them its lowest.
pub fn number(bits: &[u8]) -> u32 {
    bits.iter().rev().fold(0, |sum, &bit| 2 * sum + u32::from(bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recurrences as the clause writes them, over arrays.
    fn by_definition(c_init: u32, length: usize) -> Vec<u8> {
        let n = SKIPPED + length;
        let (mut x1, mut x2) = (vec![0u8; n + 31], vec![0u8; n + 31]);
        x1[0] = 1;
        for (i, x) in x2.iter_mut().take(31).enumerate() {
            *x = ((c_init >> i) & 1) as u8;
        }
        for i in 0..n {
            x1[i + 31] = (x1[i + 3] + x1[i]) % 2;
            x2[i + 31] = (x2[i + 3] + x2[i + 2] + x2[i + 1] + x2[i]) % 2;
        }
        (0..length).map(|i| (x1[i + SKIPPED] + x2[i + SKIPPED]) % 2).collect()
    }

    #[test]
    fn sequence_is_the_clauses() {
        for c_init in [0, 1, 35, 503, 0x1234_5678, 0x7fff_ffff] {
            assert_eq!(bits(c_init, 200), by_definition(c_init, 200), "{c_init}");
        }
    }

    #[test]
    fn bits_are_as_often_one_as_zero() {
        let ones: u32 = bits(17, 20_000).iter().map(|&b| u32::from(b)).sum();
        assert!((9_700..10_300).contains(&ones), "{ones}");
        assert_eq!(number(&[1, 0, 1, 1]), 13);
    }
}
