//! The names of dictionaries, which come again and again: each is made once.

use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;

/// Names up to this length are kept.
const LONGEST: usize = 24;

/// Places for names; each name has one, and the last that came is in it.
const PLACES: usize = 256;

type Words = [u64; LONGEST / 8];

pub(super) struct Names([Option<(Words, Py<PyAny>)>; PLACES]);

static NAMES: Mutex<Names> = Mutex::new(Names([const { None }; PLACES]));

/// The names, unless somebody else is using them.
pub(super) fn names() -> Option<MutexGuard<'static, Names>> {
    NAMES.try_lock().ok()
}

impl Names {
    /// The name in the first `length` bytes of `text`, in which there is no
    /// zero; made anew if it is not there.
    #[inline(always)]
    pub(super) fn get<'py>(
        &mut self,
        py: Python<'py>,
        text: &[u8],
        length: usize,
        make: impl FnOnce(&[u8]) -> Option<Bound<'py, PyAny>>,
    ) -> Option<Bound<'py, PyAny>> {
        if length > LONGEST {
            return make(&text[..length]);
        }
        let words = words(text, length);
        let place = &mut self.0[place(&words)];
        if let Some((kept, name)) = place
            && same(kept, &words)
        {
            return Some(name.bind(py).clone());
        }
        let name = make(&text[..length])?;
        *place = Some((words, name.clone().unbind()));
        Some(name)
    }
}

/// The bytes, with zeros behind them.
#[inline(always)]
fn words(text: &[u8], length: usize) -> Words {
    let mut padded = [0; LONGEST];
    let bytes = text.first_chunk::<LONGEST>().unwrap_or_else(|| {
        // At the end of the text.
        padded[..length].copy_from_slice(&text[..length]);
        &padded
    });
    let (words, _) = bytes.as_chunks::<8>();
    let word = |index: usize| {
        let there = length.saturating_sub(index * 8).min(8);
        u64::from_le_bytes(words[index]) & MASKS[there]
    };
    [word(0), word(1), word(2)]
}

/// The first so many bytes of a word.
const MASKS: [u64; 9] = [
    0,
    0xFF,
    0xFFFF,
    0xFF_FFFF,
    0xFFFF_FFFF,
    0xFF_FFFF_FFFF,
    0xFFFF_FFFF_FFFF,
    0xFF_FFFF_FFFF_FFFF,
    u64::MAX,
];

#[inline(always)]
fn same(one: &Words, other: &Words) -> bool {
    (one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) == 0
}

#[inline(always)]
fn place(words: &Words) -> usize {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mixed = words[0] ^ words[1].rotate_left(23) ^ words[2].rotate_left(47);
    let index = mixed.wrapping_mul(ODD) >> (64 - PLACES.trailing_zeros());
    usize::try_from(index).unwrap_or(0)
}
