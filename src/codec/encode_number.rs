//! Numbers as Python writes them.

use super::buffer::{Buffer, OutOfMemory};

/// Appends the text of an integer.
#[inline(always)]
pub(super) fn integer(number: i64, out: &mut Buffer) -> Result<(), OutOfMemory> {
    // Most integers are counts and days: three digits at once, without a jump for each.
    if let number @ 0..1000 = number.cast_unsigned() {
        let digits = (number / 100) | (number / 10 % 10) << 8 | (number % 10) << 16;
        let zeros = usize::from(number < 100) + usize::from(number < 10);
        return out.write_word(((digits | 0x30_3030) >> (8 * zeros)).to_le_bytes(), 3 - zeros);
    }
    out.write(itoa::Buffer::new().format(number).as_bytes())
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
    let mut whole = itoa::Buffer::new();
    let whole = whole.format(hundredths / 100).as_bytes();
    let digit = |value: u64| b'0' + (value % 10) as u8;
    let (tenth, hundredth) = (digit(hundredths / 10), digit(hundredths));
    if negative {
        out.write(b"-")?;
    }
    out.write(whole)?;
    if hundredth == b'0' { out.write(&[b'.', tenth]) } else { out.write(&[b'.', tenth, hundredth]) }
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
