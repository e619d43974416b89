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
    let word = |from: usize| {
        if from >= length {
            return 0;
        }
        match text[from..].first_chunk::<8>() {
            Some(bytes) => {
                u64::from_le_bytes(*bytes) & u64::MAX >> (64 - 8 * (length - from).min(8))
            }
            // At the end of the text.
            None => text[from..length].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        }
    };
    [word(0), word(8), word(16)]
}

#[inline(always)]
fn same(one: &Words, other: &Words) -> bool {
    (one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) == 0
}

#[inline(always)]
fn place(words: &Words) -> usize {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mixed = words.iter().fold(0_u64, |mixed, &word| (mixed.rotate_left(5) ^ word).wrapping_mul(ODD));
    (mixed >> (64 - PLACES.trailing_zeros())) as usize
}
