//! A parser of JSON by the letter of RFC 8259. It hands each value to a [`Builder`].
//!
//! The parser stops without a reason at text that it does not read: `json` then reads
//! the text, or finds the reason.
//!
//! It is not built on jiter. The iterator of jiter 0.19, tried in its place, gives the
//! same values. But it takes up to 1.5 times as long (as long where a document is nearly
//! all numbers), and when memory runs out in a string with escapes it ends the process,
//! where a load must raise.

use super::buffer::Buffer;
use super::decimal::{POWERS_OF_TEN, nearest_float};
use super::{escape, scan};
use crate::stack;

/// The bytes of stack that one level of nesting takes, and some to spare.
const FRAME: usize = if cfg!(debug_assertions) { 8 << 10 } else { 320 };

/// The greatest depth of containers that the codec handles without asking. Below it lies
/// whatever limit of recursion the interpreter has, which only `json` knows.
pub(super) const MAX_DEPTH: usize = 200;

/// The most digits of an integer. The interpreter's own limit
/// (`sys.set_int_max_str_digits`) is never lower.
const MAX_DIGITS: usize = 600;

/// Makes values. Every `None` ends the parse.
pub trait Builder {
    /// A value.
    type Value;

    /// Makes null.
    fn null(&mut self) -> Self::Value;
    /// Makes true or false.
    fn boolean(&mut self, value: bool) -> Self::Value;
    /// Makes an integer.
    fn integer(&mut self, number: i64) -> Option<Self::Value>;
    /// Makes an integer that may not fit into 64 bits.
    fn large_integer(&mut self, digits: &str) -> Option<Self::Value>;
    /// Makes a float.
    fn float(&mut self, number: f64) -> Option<Self::Value>;
    /// Makes a string. Escapes are already replaced.
    fn string(&mut self, text: StringText<'_>) -> Option<Self::Value>;
    /// Makes a key out of the first `length` bytes of `text`. They are UTF-8, without
    /// escapes.
    fn key(&mut self, text: &[u8], length: usize, is_ascii: bool) -> Option<Self::Value>;
    /// Makes a list of the values from `from` on, and removes these from `values`.
    fn list(&mut self, values: &mut Vec<Self::Value>, from: usize) -> Option<Self::Value>;
    /// Makes an empty dictionary.
    fn dict(&mut self) -> Option<Self::Value>;
    /// Adds a value to a dictionary. Of two values with equal keys, the later counts.
    fn insert(
        &mut self,
        dict: &mut Self::Value,
        key: Self::Value,
        value: Self::Value,
    ) -> Option<()>;
}

/// The text of a string.
#[derive(Clone, Copy, Debug)]
pub enum StringText<'a> {
    /// ASCII.
    Ascii(&'a [u8]),
    /// Any other text.
    Utf8(&'a str),
}

/// The value of a whole text; `None` where the parser stops.
pub fn parse<B: Builder>(text: &[u8], builder: &mut B) -> Option<B::Value> {
    let utf8 = simdutf8::basic::from_utf8(text).ok()?;
    let mut parser = Parser {
        utf8,
        text,
        at: 0,
        depth: 0,
        // safeguard: codec-fits-the-stack
        max_depth: stack::levels(FRAME).min(MAX_DEPTH),
        values: Vec::new(),
        unescaped: Buffer::default(),
        builder,
    };
    parser.skip_whitespace();
    let value = parser.value()?;
    parser.skip_whitespace();
    (parser.at == text.len()).then_some(value)
}

struct Parser<'a, B: Builder> {
    utf8: &'a str,
    /// The bytes of `utf8`.
    text: &'a [u8],
    at: usize,
    depth: usize,
    max_depth: usize,
    /// The values of the lists that are open, outermost list first.
    values: Vec<B::Value>,
    /// The text of a string with escapes, after their replacement.
    unescaped: Buffer,
    builder: &'a mut B,
}

impl<'a, B: Builder> Parser<'a, B> {
    #[inline(always)]
    fn next(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline(always)]
    fn skip_whitespace(&mut self) {
        if self.next().is_some_and(|byte| byte <= b' ') {
            self.at += scan::whitespace_prefix(&self.text[self.at..]);
        }
    }

    #[inline(always)]
    fn value(&mut self) -> Option<B::Value> {
        match self.next()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b'{' => self.dict(),
            b'[' => self.list(),
            b't' => self.word(b"true").map(|()| self.builder.boolean(true)),
            b'f' => self.word(b"false").map(|()| self.builder.boolean(false)),
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
                let key = self.key()?;
                self.skip_whitespace();
                if self.next()? != b':' {
                    return None;
                }
                self.at += 1;
                self.skip_whitespace();
                let value = self.value()?;
                self.builder.insert(&mut dict, key, value)?;
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
        // safeguard: parse-depth
        if self.depth == self.max_depth {
            return None;
        }
        self.depth += 1;
        self.at += 1;
        self.skip_whitespace();
        Some(())
    }

    #[inline(always)]
    fn close(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// Whether a comma follows a value, and not the bracket.
    #[inline(always)]
    fn goes_on(&mut self, bracket: u8) -> Option<bool> {
        self.skip_whitespace();
        match self.next()? {
            b',' => {
                self.at += 1;
                self.skip_whitespace();
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
        let length = scan::plain_prefix(rest);
        if *rest.get(length)? == b'"' {
            self.at += length + 1;
            return self.builder.string(StringText::Ascii(&rest[..length]));
        }
        self.other_string(rest, length)
    }

    #[inline(always)]
    fn key(&mut self) -> Option<B::Value> {
        if self.next()? != b'"' {
            return None;
        }
        self.at += 1;
        let rest = &self.text[self.at..];
        let mut length = scan::plain_prefix(rest);
        let mut is_ascii = true;
        if *rest.get(length)? >= 0x80 {
            is_ascii = false;
            length += scan::unescaped_prefix(&rest[length..]);
        }
        if *rest.get(length)? == b'"' {
            self.at += length + 1;
            return self.builder.key(rest, length, is_ascii);
        }
        self.other_string(rest, length)
    }

    /// A string that has escapes or is not ASCII. Its first `plain` bytes are plain.
    #[inline(never)]
    fn other_string(&mut self, rest: &'a [u8], plain: usize) -> Option<B::Value> {
        let start = self.text.len() - rest.len();
        if *rest.get(plain)? != b'\\' {
            let length = plain + scan::unescaped_prefix(&rest[plain..]);
            if *rest.get(length)? == b'"' {
                self.at = start + length + 1;
                let text = self.utf8.get(start..start + length)?;
                return self.builder.string(StringText::Utf8(text));
            }
        }
        self.unescaped.clear();
        let mut rest = rest;
        loop {
            rest = &rest[self.unescaped.write_unescaped(rest).ok()?..];
            match *rest.first()? {
                b'"' => break,
                b'\\' => {
                    let (character, after) = escape::unicode(rest.strip_prefix(br"\u")?)?;
                    let mut encoded = [0; 8];
                    let length = character.encode_utf8(&mut encoded).len();
                    self.unescaped.write_word(encoded, length).ok()?;
                    rest = after;
                }
                _ => return None,
            }
        }
        self.at = self.text.len() - rest.len() + 1;
        let text = self.unescaped.bytes();
        self.builder.string(if text.is_ascii() {
            StringText::Ascii(text)
        } else {
            StringText::Utf8(simdutf8::basic::from_utf8(text).ok()?)
        })
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
                // The exponent may be of any size: the general way below reads it.
                5.. => digits = usize::MAX,
                _ => exponent += power.cast_signed() * if negative { -1 } else { 1 },
            }
        }
        let number = match nearest_float(mantissa, digits, exponent) {
            Some(magnitude) if self.text[start] == b'-' => -magnitude,
            Some(magnitude) => magnitude,
            None => str::from_utf8(&self.text[start..self.at]).ok()?.parse().ok()?,
        };
        self.builder.float(number)
    }

    /// Reads digits, and appends them to a number. The result means something for up to
    /// 19 digits.
    #[inline(always)]
    fn digits(&mut self, number: u64) -> u64 {
        let mut number = number;
        // Eight digits at once: with a jump for each digit, the processor would guess
        // wrongly at the end of each number.
        while let Some(eight) = self.text[self.at..].first_chunk::<8>() {
            let (count, value) = scan::digits(*eight);
            number = number.wrapping_mul(POWERS_OF_TEN[count]).wrapping_add(value);
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
