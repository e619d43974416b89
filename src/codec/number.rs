//! Numbers as Python writes them.

use super::buffer::{Buffer, OutOfMemory};

/// Appends the text of an integer.
#[inline]
pub(super) fn integer(number: i64, out: &mut Buffer) -> Result<(), OutOfMemory> {
    out.raw(itoa::Buffer::new().format(number).as_bytes())
}

/// Appends `repr` of a finite float: the shortest digits that read back as the
/// same number, in the notation that only Python chooses.
#[inline]
pub(super) fn float(number: f64, out: &mut Buffer) -> Result<(), OutOfMemory> {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(number);
    let magnitude = number.abs();
    if (1e-4..1e16).contains(&magnitude) || magnitude == 0.0 {
        // Plain digits here and there.
        return out.raw(text.as_bytes());
    }
    with_exponent(text, out)
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
