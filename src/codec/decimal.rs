//! The float nearest to a decimal number, for the usual lengths without a search.

/// The powers of ten that fit into 64 bits.
pub(super) const POWERS_OF_TEN: [u64; 20] = {
    let mut powers = [1; 20];
    let mut index = 1;
    while index < powers.len() {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};

/// The most digits that always fit into 64 bits.
const MAX_DIGITS: usize = 19;

/// The float nearest to `mantissa` times ten to the power of `exponent`; `digits` is
/// the length of the mantissa. `None` where that takes more than 64 bits.
#[inline(always)]
pub(super) fn nearest_float(mantissa: u64, digits: usize, exponent: i64) -> Option<f64> {
    if digits > MAX_DIGITS {
        return None;
    }
    let power = *POWERS_OF_TEN.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
    if exponent < 0 {
        Some(quotient(mantissa, power))
    } else {
        mantissa.checked_mul(power).map(|product| quotient(product, 1))
    }
}

/// The float nearest to a fraction.
#[inline(always)]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the conversion rounds to the nearest float, and the quotient fits into 64 bits"
)]
fn quotient(dividend: u64, divisor: u64) -> f64 {
    if dividend <= 1 << 53 {
        // Both are exact as floats: only the result is rounded.
        return dividend as f64 / divisor as f64;
    }
    let (up, down) = (dividend.leading_zeros(), divisor.leading_zeros());
    let (dividend, divisor) = (u128::from(dividend << up) << 63, u128::from(divisor << down));
    let quotient = dividend / divisor;
    let rest = dividend - quotient * divisor;
    // The quotient has at least 63 bits, ten more than a float keeps. So its last bit
    // can stand for the rest of the division when the quotient is rounded.
    // safeguard: rounded-division
    let quotient = quotient as u64 | u64::from(rest != 0);
    quotient as f64 * f64::from_bits(u64::from(1023 - 63 + down - up) << 52)
}
