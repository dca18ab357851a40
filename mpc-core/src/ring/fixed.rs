//! Fixed point: a real number r stands in Z_2^64 as round(r * 2^f), f fractional bits, two's complement.

/// Fractional bits of inputs, weights and activations unless stated otherwise.
pub const FRAC_BITS: u32 = 16;

/// round(`value` * 2^`frac_bits`) as an element of Z_2^64, or `None` where `value` is not finite or the
/// result does not lie within +-2^62 (the range in which truncation is exact).
pub fn encode(value: f64, frac_bits: u32) -> Option<u64> {
    let scaled = (value * (frac_bits as f64).exp2()).round();
    (scaled.abs() < 2f64.powi(62)).then_some(scaled as i64 as u64)
}

/// The real number that an element of Z_2^64 with `frac_bits` fractional bits stands for.
pub fn decode(word: u64, frac_bits: u32) -> f64 {
    word as i64 as f64 / (frac_bits as f64).exp2()
}

/// The number with `frac_bits` fractional bits nearest to `value`; in a tie, the lower one.
pub fn round(value: f64, frac_bits: u32) -> f64 {
    let unit = f64::from(frac_bits).exp2();
    (value * unit - 0.5).ceil() / unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_the_nearest_and_ties_down() {
        let rounded = [0.0, 0.5, 0.51, 0.75, -0.25, -0.24].map(|value| round(value, 1));
        assert_eq!(rounded, [0.0, 0.5, 0.5, 0.5, -0.5, 0.0]);
    }

    #[test]
    fn encodes_and_refuses() {
        assert_eq!(encode(-1.5, 16), Some((-98304i64) as u64));
        assert_eq!(decode((-98304i64) as u64, 16), -1.5);
        assert_eq!(encode(f64::NAN, 16), None);
        assert_eq!(encode(2f64.powi(46), 16), None);
        assert!(encode(2f64.powi(46) - 1.0, 16).is_some());
    }
}
