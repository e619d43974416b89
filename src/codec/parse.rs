//! The text half of reading: JSON by the letter of RFC 8259, handed value by
//! value to whoever builds them. Whatever is not plainly that is given up on,
//! without a reason: `json` finds it.

use super::buffer::Buffer;
use super::scan;
use crate::stack;

/// Deeper documents are left to `json`, which knows the interpreter's limit.
const MAX_DEPTH: usize = 200;

/// Bytes of stack for each level, and some to spare.
const FRAME: usize = if cfg!(debug_assertions) { 8 << 10 } else { 320 };

/// Digits of an integer up to which it is read: the interpreter's own limit
/// (`sys.set_int_max_str_digits`) can be no lower.
const MAX_DIGITS: usize = 600;

/// Makes values. Every `None` ends the parse.
pub trait Builder {
    /// What it makes.
    type Value;

    /// Makes null.
    fn null(&mut self) -> Self::Value;
    /// Makes true or false.
    fn truth(&mut self, truth: bool) -> Self::Value;
    /// Makes an integer.
    fn integer(&mut self, number: i64) -> Option<Self::Value>;
    /// Makes an integer that may have more than 64 bits.
    fn large_integer(&mut self, digits: &str) -> Option<Self::Value>;
    /// Makes a float.
    fn float(&mut self, number: f64) -> Option<Self::Value>;
    /// Makes a string of characters without escapes.
    fn string(&mut self, characters: Characters<'_>) -> Option<Self::Value>;
    /// Makes a name out of the first `length` bytes of `text`.
    fn name(&mut self, text: &[u8], length: usize, ascii: bool) -> Option<Self::Value>;
    /// Makes a list of the values from `from` on, which it takes off.
    fn list(&mut self, values: &mut Vec<Self::Value>, from: usize) -> Option<Self::Value>;
    /// Makes an empty dictionary.
    fn dict(&mut self) -> Option<Self::Value>;
    /// Adds a value; the later of two with equal names counts.
    fn insert(
        &mut self,
        dict: &mut Self::Value,
        name: Self::Value,
        value: Self::Value,
    ) -> Option<()>;
}

/// The characters of a string.
#[derive(Clone, Copy, Debug)]
pub enum Characters<'a> {
    /// All of them ASCII.
    Ascii(&'a [u8]),
    /// Perhaps UTF-8: that is not known yet.
    Encoded(&'a [u8]),
}

/// The value of a whole text.
pub fn parse<B: Builder>(text: &[u8], builder: &mut B) -> Option<B::Value> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        deepest: stack::levels(FRAME).min(MAX_DEPTH),
        values: Vec::new(),
        unescaped: Buffer::default(),
        builder,
    };
    parser.blanks();
    let value = parser.value()?;
    parser.blanks();
    (parser.at == text.len()).then_some(value)
}

struct Parser<'a, B: Builder> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    /// The depth that is gone down to.
    deepest: usize,
    /// Of the lists that are open, outermost first.
    values: Vec<B::Value>,
    unescaped: Buffer,
    builder: &'a mut B,
}

impl<'a, B: Builder> Parser<'a, B> {
    #[inline(always)]
    fn next(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline(always)]
    fn blanks(&mut self) {
        if self.next().is_some_and(|byte| byte <= b' ') {
            self.at += scan::blanks(&self.text[self.at..]);
        }
    }

    #[inline(always)]
    fn value(&mut self) -> Option<B::Value> {
        match self.next()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b'{' => self.dict(),
            b'[' => self.list(),
            b't' => self.word(b"true").map(|()| self.builder.truth(true)),
            b'f' => self.word(b"false").map(|()| self.builder.truth(false)),
            b'n' => self.word(b"null").map(|()| self.builder.null()),
            _ => None,
        }
    }

    #[inline(always)]
    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    fn list(&mut self) -> Option<B::Value> {
        self.open()?;
        let from = self.values.len();
        if self.next()? != b']' {
            loop {
                let value = self.value()?;
                self.push(value)?;
                if !self.goes_on(b']')? {
                    break;
                }
            }
        }
        self.close();
        self.builder.list(&mut self.values, from)
    }

    fn dict(&mut self) -> Option<B::Value> {
        self.open()?;
        let mut dict = self.builder.dict()?;
        if self.next()? != b'}' {
            loop {
                let name = self.name()?;
                self.blanks();
                if self.next()? != b':' {
                    return None;
                }
                self.at += 1;
                self.blanks();
                let value = self.value()?;
                self.builder.insert(&mut dict, name, value)?;
                if !self.goes_on(b'}')? {
                    break;
                }
            }
        }
        self.close();
        Some(dict)
    }

    #[inline(always)]
    fn open(&mut self) -> Option<()> {
        if self.depth == self.deepest {
            return None;
        }
        self.depth += 1;
        self.at += 1;
        self.blanks();
        Some(())
    }

    #[inline(always)]
    fn close(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// Whether there is a comma, and not the bracket, behind a value.
    #[inline(always)]
    fn goes_on(&mut self, bracket: u8) -> Option<bool> {
        self.blanks();
        match self.next()? {
            b',' => {
                self.at += 1;
                self.blanks();
                Some(true)
            }
            other if other == bracket => Some(false),
            _ => None,
        }
    }

    #[inline(always)]
    fn push(&mut self, value: B::Value) -> Option<()> {
        if self.values.len() == self.values.capacity() {
            self.values.try_reserve(1).ok()?;
        }
        self.values.push(value);
        Some(())
    }

    #[inline(always)]
    fn string(&mut self) -> Option<B::Value> {
        self.at += 1;
        let rest = &self.text[self.at..];
        let length = scan::plain(rest);
        if *rest.get(length)? == b'"' {
            self.at += length + 1;
            return self.builder.string(Characters::Ascii(&rest[..length]));
        }
        self.other_string(rest, length)
    }

    #[inline(always)]
    fn name(&mut self) -> Option<B::Value> {
        if self.next()? != b'"' {
            return None;
        }
        self.at += 1;
        let rest = &self.text[self.at..];
        let mut length = scan::plain(rest);
        let mut ascii = true;
        if *rest.get(length)? >= 0x80 {
            ascii = false;
            length += scan::unescaped(&rest[length..]);
        }
        if *rest.get(length)? == b'"' {
            self.at += length + 1;
            return self.builder.name(rest, length, ascii);
        }
        self.other_string(rest, length)
    }

    /// A string that is not all ASCII, or has escapes, behind its first `plain`
    /// bytes.
    #[inline(never)]
    fn other_string(&mut self, rest: &'a [u8], plain: usize) -> Option<B::Value> {
        let length = plain + scan::unescaped(&rest[plain..]);
        if *rest.get(length)? == b'"' {
            self.at += length + 1;
            return self.builder.string(Characters::Encoded(&rest[..length]));
        }
        self.unescaped.clear();
        let mut rest = rest;
        loop {
            let length = scan::unescaped(rest);
            self.unescaped.raw(&rest[..length]).ok()?;
            match *rest.get(length)? {
                b'"' => {
                    self.at = self.text.len() - rest.len() + length + 1;
                    return self.builder.string(Characters::Encoded(self.unescaped.bytes()));
                }
                b'\\' => {
                    let (character, after) = escaped(&rest[length + 1..])?;
                    rest = after;
                    let mut encoded = [0; 8];
                    let length = character.encode_utf8(&mut encoded).len();
                    self.unescaped.word(encoded, length).ok()?;
                }
                _ => return None,
            }
        }
    }

    #[inline(always)]
    fn number(&mut self) -> Option<B::Value> {
        let start = self.at;
        let negative = self.text[start] == b'-';
        self.at += usize::from(negative);
        let first = self.at;
        let whole = self.digits(0);
        let digits = self.at - first;
        if digits == 0 || (digits > 1 && self.text[first] == b'0') {
            return None;
        }
        if matches!(self.next(), Some(b'.' | b'e' | b'E')) {
            return self.float(start, first, whole);
        }
        if digits <= 18 {
            let whole = whole.cast_signed();
            return self.builder.integer(if negative { -whole } else { whole });
        }
        if digits > MAX_DIGITS {
            return None;
        }
        self.builder.large_integer(str::from_utf8(&self.text[start..self.at]).ok()?)
    }

    /// The rest of a number with a point or an exponent, correctly rounded.
    #[inline(always)]
    fn float(&mut self, start: usize, first: usize, whole: u64) -> Option<B::Value> {
        let mut digits = self.at - first;
        let mut mantissa = whole;
        let mut exponent = 0_i64;
        if self.next() == Some(b'.') {
            self.at += 1;
            let point = self.at;
            mantissa = self.digits(mantissa);
            let places = self.at - point;
            if places == 0 {
                return None;
            }
            digits += places;
            exponent = -i64::try_from(places).ok()?;
        }
        if matches!(self.next(), Some(b'e' | b'E')) {
            self.at += 1;
            let negative = self.next() == Some(b'-');
            self.at += usize::from(matches!(self.next(), Some(b'-' | b'+')));
            let from = self.at;
            let power = self.digits(0);
            match self.at - from {
                0 => return None,
                // However large, it is read below.
                5.. => digits = usize::MAX,
                _ => exponent += power.cast_signed() * if negative { -1 } else { 1 },
            }
        }
        let places = usize::try_from(exponent.unsigned_abs()).ok()?;
        let magnitude = if digits > 19 {
            None
        } else if exponent < 0 {
            POWERS.get(places).map(|&power| quotient(mantissa, power))
        } else {
            POWERS
                .get(places)
                .and_then(|&power| mantissa.checked_mul(power))
                .map(|it| quotient(it, 1))
        };
        let number = match magnitude {
            Some(magnitude) if self.text[start] == b'-' => -magnitude,
            Some(magnitude) => magnitude,
            None => str::from_utf8(&self.text[start..self.at]).ok()?.parse().ok()?,
        };
        self.builder.float(number)
    }

    /// Goes on over digits, and appends them to a number; which means something
    /// for 19 of them at most.
    #[inline(always)]
    fn digits(&mut self, number: u64) -> u64 {
        let mut number = number;
        // Without a branch for each digit, which would be guessed wrongly at
        // the end of each number.
        while let Some(eight) = self.text[self.at..].first_chunk::<8>() {
            let (count, value) = scan::digits(*eight);
            number = number.wrapping_mul(POWERS[count]).wrapping_add(value);
            self.at += count;
            if count < 8 {
                return number;
            }
        }
        while let Some(digit @ b'0'..=b'9') = self.next() {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        number
    }
}

/// The powers of ten that have 64 bits.
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut index = 1;
    while index < powers.len() {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};

/// The float nearest to a fraction.
#[inline(always)]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "it rounds as it should; a quotient has 64 bits"
)]
fn quotient(dividend: u64, divisor: u64) -> f64 {
    if dividend <= 1 << 53 {
        // Both are exact as floats: nothing is rounded but the result.
        return dividend as f64 / divisor as f64;
    }
    let (up, down) = (dividend.leading_zeros(), divisor.leading_zeros());
    let (dividend, divisor) = (u128::from(dividend << up) << 63, u128::from(divisor << down));
    let quotient = dividend / divisor;
    let rest = dividend - quotient * divisor;
    // At least 63 bits: ten more than stay, so the last of them can stand for
    // whatever the division has left over.
    let quotient = quotient as u64 | u64::from(rest != 0);
    quotient as f64 * f64::from_bits(u64::from(1023 - 63 + down - up) << 52)
}

/// The character of an escape, without its backslash, and the text behind it.
/// Half of a surrogate pair is no character.
fn escaped(text: &[u8]) -> Option<(char, &[u8])> {
    let (&letter, after) = text.split_first()?;
    let character = match letter {
        b'"' | b'\\' | b'/' => letter.into(),
        b'b' => '\x08',
        b'f' => '\x0C',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let (unit, after) = unit(after)?;
            if let Some(character) = char::from_u32(unit.into()) {
                return Some((character, after));
            }
            let (low, after) = self::unit(after.strip_prefix(br"\u")?)?;
            return char::decode_utf16([unit, low]).next()?.ok().map(|pair| (pair, after));
        }
        _ => return None,
    };
    Some((character, after))
}

fn unit(text: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, after) = text.split_first_chunk::<4>()?;
    let value = digits
        .iter()
        .try_fold(0, |value, &digit| Some(value * 16 + char::from(digit).to_digit(16)?))?;
    Some((u16::try_from(value).ok()?, after))
}
