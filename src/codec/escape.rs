//! Escapes within a JSON string: written and read.

/// The most bytes of an escape.
pub(super) const MAX: usize = 6;

/// For each ASCII character its bytes in the low bits, and in the highest eight bits their
/// number.
const WORDS: [u64; 128] = {
    let mut words = [0; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        words[byte as usize] = match byte {
            b'"' | b'\\' => two(byte),
            b'\n' => two(b'n'),
            b'\r' => two(b'r'),
            b'\t' => two(b't'),
            0x08 => two(b'b'),
            0x0C => two(b'f'),
            0..0x20 => u64::from_le_bytes([
                b'\\',
                b'u',
                b'0',
                b'0',
                b'0' + (byte >> 4),
                hex(byte & 15),
                0,
                6,
            ]),
            _ => u64::from_le_bytes([byte, 0, 0, 0, 0, 0, 0, 1]),
        };
        byte += 1;
    }
    words
};

const fn two(letter: u8) -> u64 {
    u64::from_le_bytes([b'\\', letter, 0, 0, 0, 0, 0, 2])
}

const fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}

/// What an ASCII character becomes, in the low bytes of a word, and the number of these.
#[inline(always)]
pub(super) fn of(character: u8) -> (u64, usize) {
    let word = WORDS[usize::from(character & 0x7F)];
    (word, (word >> 56) as usize)
}

/// For each second character of an escape of two the character that it stands for; 0 for
/// any other.
const PLAIN: [u8; 256] = {
    let mut plain = [0; 256];
    let mut index = 0;
    let letters = b"\"\\/bfnrt";
    let characters = b"\"\\/\x08\x0C\n\r\t";
    while index < letters.len() {
        plain[letters[index] as usize] = characters[index];
        index += 1;
    }
    plain
};

/// The character of an escape of two characters, and the text after it.
#[inline(always)]
pub(super) fn plain(text: &[u8]) -> Option<(u8, &[u8])> {
    let (&[b'\\', letter], after) = text.split_first_chunk::<2>()? else { return None };
    let character = PLAIN[usize::from(letter)];
    (character != 0).then_some((character, after))
}

/// The character of an escape in hexadecimal digits, which is given from its digits on,
/// and the text after it. Half of a surrogate pair is no character.
pub(super) fn unicode(text: &[u8]) -> Option<(char, &[u8])> {
    let (unit, after) = utf16_unit(text)?;
    if let Some(character) = char::from_u32(unit.into()) {
        return Some((character, after));
    }
    let (low, after) = utf16_unit(after.strip_prefix(br"\u")?)?;
    char::decode_utf16([unit, low]).next()?.ok().map(|pair| (pair, after))
}

/// The number in four hexadecimal digits, and the text after them.
fn utf16_unit(text: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, after) = text.split_first_chunk::<4>()?;
    let value = digits
        .iter()
        .try_fold(0, |value, &digit| Some(value * 16 + char::from(digit).to_digit(16)?))?;
    Some((u16::try_from(value).ok()?, after))
}
