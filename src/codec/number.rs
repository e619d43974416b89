//! Numbers as Python writes them.

use super::buffer::{Buffer, OutOfMemory};

/// Appends the text of an integer.
#[inline(always)]
pub(super) fn integer(number: i64, out: &mut Buffer) -> Result<(), OutOfMemory> {
    // Most are counts and days: without a branch for each digit.
    if let number @ 0..1000 = number.cast_unsigned() {
        let digits = (number / 100) | (number / 10 % 10) << 8 | (number % 10) << 16;
        let zeros = usize::from(number < 100) + usize::from(number < 10);
        return out.word(((digits | 0x30_3030) >> (8 * zeros)).to_le_bytes(), 3 - zeros);
    }
    out.raw(itoa::Buffer::new().format(number).as_bytes())
}

/// Appends `repr` of a finite float: the shortest digits that read back as the
/// same number, in the notation that only Python chooses.
#[inline(always)]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "a guess, and the comparison says whether it is right to the bit"
)]
pub(super) fn float(number: f64, out: &mut Buffer) -> Result<(), OutOfMemory> {
    let magnitude = number.abs();
    // Most are amounts with two places at most. If a decimal of 15 digits or
    // less reads back as the number, then no other one does, nor a shorter one.
    let hundredths = (magnitude * 100.0 + 0.5) as u64;
    if hundredths < 1_000_000_000_000_000 && hundredths as f64 / 100.0 == magnitude {
        return decimal(number.is_sign_negative(), hundredths, out);
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(number);
    if (1e-4..1e16).contains(&magnitude) {
        // Plain digits here and there.
        return out.raw(text.as_bytes());
    }
    with_exponent(text, out)
}

#[inline(always)]
fn decimal(negative: bool, hundredths: u64, out: &mut Buffer) -> Result<(), OutOfMemory> {
    let mut whole = itoa::Buffer::new();
    let whole = whole.format(hundredths / 100).as_bytes();
    let digit = |value: u64| b'0' + (value % 10) as u8;
    let (tenth, hundredth) = (digit(hundredths / 10), digit(hundredths));
    if negative {
        out.raw(b"-")?;
    }
    out.raw(whole)?;
    if hundredth == b'0' { out.raw(&[b'.', tenth]) } else { out.raw(&[b'.', tenth, hundredth]) }
}

/// zmij writes 1.5e-7 and 0.000015 where Python writes 1.5e-07 and 1.5e-05.
#[cold]
fn with_exponent(text: &str, out: &mut Buffer) -> Result<(), OutOfMemory> {
    if let Some((mantissa, exponent)) = text.split_once('e') {
        let (sign, digits) = exponent.split_at(1);
        let padding = if digits.len() < 2 { "0" } else { "" };
        return [mantissa, "e", sign, padding, digits]
            .into_iter()
            .try_for_each(|part| out.raw(part.as_bytes()));
    }
    let (sign, magnitude) = text.split_at(usize::from(text.starts_with('-')));
    let (first, rest) = magnitude.trim_start_matches(['0', '.']).split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    [sign, first, point, rest, "e-05"].into_iter().try_for_each(|part| out.raw(part.as_bytes()))
}
