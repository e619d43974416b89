//! Numbers as Python writes them.

use super::buffer::{Buffer, OutOfMemory};

/// Appends the text of an integer.
#[inline(always)]
pub(super) fn integer(number: i64, out: &mut Buffer) -> Result<(), OutOfMemory> {
    match number.cast_unsigned() {
        // Most integers are counts and days: three digits at once, without a jump for each.
        number @ 0..1000 => {
            let digits = (number / 100) | (number / 10 % 10) << 8 | (number % 10) << 16;
            let zeros = usize::from(number < 100) + usize::from(number < 10);
            out.write_word(((digits | 0x30_3030) >> (8 * zeros)).to_le_bytes(), 3 - zeros)
        }
        number @ 1000..EIGHT_DIGITS => {
            let at_least = |power: u64| usize::from(number >= power);
            let zeros = 4
                - at_least(10_000)
                - at_least(100_000)
                - at_least(1_000_000)
                - at_least(10_000_000);
            out.write_word((eight_digits(number) >> (8 * zeros)).to_le_bytes(), 8 - zeros)
        }
        _ => long_integer(number, out),
    }
}

#[inline(never)]
fn long_integer(number: i64, out: &mut Buffer) -> Result<(), OutOfMemory> {
    out.write(itoa::Buffer::new().format(number).as_bytes())
}

/// The first number that has more than eight digits.
const EIGHT_DIGITS: u64 = 100_000_000;

/// The digits of a number below [`EIGHT_DIGITS`], as a little-endian word, with zeros before
/// them. All are found at once, without a jump for each.
#[inline(always)]
fn eight_digits(number: u64) -> u64 {
    // Splits the number into halves, these into pairs, and these into digits. For numbers
    // so small, the multiplication and the shift are the division by 100, and that by 10.
    let halves = (number / 10_000) | (number % 10_000) << 32;
    let high = ((halves * 10_486) >> 20) & 0x7F_0000_007F;
    let pairs = high | (halves - 100 * high) << 16;
    let high = ((pairs * 103) >> 10) & 0x000F_000F_000F_000F;
    (high | (pairs - 10 * high) << 8) | 0x3030_3030_3030_3030
}

/// Appends the `repr` of a finite float: the shortest digits that read back as the
/// same number, in Python's notation.
#[inline(always)]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "a guess, and the comparison tells whether it is right to the bit"
)]
pub(super) fn float(number: f64, out: &mut Buffer) -> Result<(), OutOfMemory> {
    let magnitude = number.abs();
    // Most floats are amounts with at most two decimals. A decimal of at most 15
    // digits that reads back as the number is the shortest text that does.
    let hundredths = (magnitude * 100.0 + 0.5) as u64;
    // safeguard: exact-decimal
    if hundredths < 1_000_000_000_000_000 && hundredths as f64 / 100.0 == magnitude {
        return decimal(number.is_sign_negative(), hundredths, out);
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(number);
    if (1e-4..1e16).contains(&magnitude) {
        // Python and zmij both write these without an exponent.
        return out.write(text.as_bytes());
    }
    with_exponent(text, out)
}

/// Appends a number of hundredths as a decimal.
#[inline(always)]
fn decimal(negative: bool, hundredths: u64, out: &mut Buffer) -> Result<(), OutOfMemory> {
    if negative {
        out.write(b"-")?;
    }
    integer((hundredths / 100).cast_signed(), out)?;
    let (tenth, hundredth) = ((hundredths / 10 % 10) as u8, (hundredths % 10) as u8);
    let places = [b'.', b'0' + tenth, b'0' + hundredth, 0, 0, 0, 0, 0];
    out.write_word(places, 2 + usize::from(hundredth > 0))
}

/// Appends a number in Python's notation with an exponent: zmij writes 1.5e-7 and
/// 0.000015 where Python writes 1.5e-07 and 1.5e-05.
#[cold]
fn with_exponent(text: &str, out: &mut Buffer) -> Result<(), OutOfMemory> {
    if let Some((mantissa, exponent)) = text.split_once('e') {
        let (sign, digits) = exponent.split_at(1);
        let padding = if digits.len() < 2 { "0" } else { "" };
        return [mantissa, "e", sign, padding, digits]
            .into_iter()
            .try_for_each(|part| out.write(part.as_bytes()));
    }
    let (sign, magnitude) = text.split_at(usize::from(text.starts_with('-')));
    let (first, rest) = magnitude.trim_start_matches(['0', '.']).split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    [sign, first, point, rest, "e-05"].into_iter().try_for_each(|part| out.write(part.as_bytes()))
}
