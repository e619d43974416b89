//! A cache of the strings that are keys of dictionaries. Documents repeat their keys:
//! each is made once, and hashed once.

use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;

/// The longest key that is kept, in bytes.
const MAX_KEY: usize = 24;

/// The number of slots. Each key belongs into one slot, which holds the latest.
const SLOTS: usize = 256;

/// The bytes of a key, with zeros after them.
type Words = [u64; MAX_KEY / 8];

pub(super) struct KeyCache([Option<(Words, Py<PyAny>)>; SLOTS]);

static KEYS: Mutex<KeyCache> = Mutex::new(KeyCache([const { None }; SLOTS]));

/// The process's cache, unless another thread is using it.
pub(super) fn key_cache() -> Option<MutexGuard<'static, KeyCache>> {
    KEYS.try_lock().ok()
}

impl KeyCache {
    /// The key in the first `length` bytes of `text`, which have no zero byte. A key
    /// that is not in the cache is made by `make`, and kept.
    #[inline(always)]
    pub(super) fn get<'py>(
        &mut self,
        py: Python<'py>,
        text: &[u8],
        length: usize,
        make: impl FnOnce(&[u8]) -> Option<Bound<'py, PyAny>>,
    ) -> Option<Bound<'py, PyAny>> {
        if length > MAX_KEY {
            return make(&text[..length]);
        }
        let words = words(text, length);
        let slot = &mut self.0[slot(&words)];
        if let Some((kept, key)) = slot
            && equal(kept, &words)
        {
            return Some(key.bind(py).clone());
        }
        let key = make(&text[..length])?;
        *slot = Some((words, key.clone().unbind()));
        Some(key)
    }
}

/// The first `length` bytes of `text` as words.
#[inline(always)]
fn words(text: &[u8], length: usize) -> Words {
    let mut padded = [0; MAX_KEY];
    let bytes = text.first_chunk::<MAX_KEY>().unwrap_or_else(|| {
        // Near the end of the text.
        padded[..length].copy_from_slice(&text[..length]);
        &padded
    });
    let (words, _) = bytes.as_chunks::<8>();
    let word = |index: usize| {
        let used = length.saturating_sub(index * 8).min(8);
        u64::from_le_bytes(words[index]) & MASKS[used]
    };
    [word(0), word(1), word(2)]
}

/// By a number of bytes: the mask of that many bytes at the start of a word.
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

/// Whether two keys are equal, without a jump for each word.
#[inline(always)]
fn equal(one: &Words, other: &Words) -> bool {
    // safeguard: whole-names-compared
    (one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) == 0
}

/// The slot of a key.
#[inline(always)]
fn slot(words: &Words) -> usize {
    /// Two to the power of 64, divided by the golden ratio: spreads neighbours.
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let mixed = words[0] ^ words[1].rotate_left(23) ^ words[2].rotate_left(47);
    let index = mixed.wrapping_mul(MULTIPLIER) >> (64 - SLOTS.trailing_zeros());
    usize::try_from(index).unwrap_or(0)
}
