//! Containers read in place, while no Python code runs.
#![allow(unsafe_code, reason = "borrowed objects, behind a proof that they stay")]

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

/// The proof that no Python code runs as long as it is borrowed: no container changes,
/// and no object ends.
///
/// What a container holds is borrowed together with the proof. Whatever can run Python
/// code goes through [`NoMutation::interrupt`], which takes the proof for itself: the
/// compiler then refuses to use what was borrowed before.
pub(super) struct NoMutation {
    interruptions: usize,
}

impl NoMutation {
    /// # Safety
    ///
    /// As long as the proof is borrowed, the caller keeps the interpreter's lock, runs
    /// no Python code, and makes no object that the garbage collector tracks.
    pub(super) unsafe fn promise() -> Self {
        Self { interruptions: 0 }
    }

    /// Runs what may be Python code.
    #[inline(always)]
    pub(super) fn interrupt<T>(&mut self, act: impl FnOnce() -> T) -> T {
        self.interruptions = self.interruptions.wrapping_add(1);
        act()
    }

    /// How often Python code may have run so far.
    pub(super) fn interruptions(&self) -> usize {
        self.interruptions
    }
}

/// A list or a tuple.
pub(super) trait Array {
    /// The item at an index, if the array is that long now.
    fn item<'a, 'py>(
        array: &'a Bound<'py, Self>,
        index: usize,
        proof: &'a NoMutation,
    ) -> Option<Borrowed<'a, 'py, PyAny>>
    where
        Self: Sized;
}

impl Array for PyList {
    #[inline(always)]
    fn item<'a, 'py>(
        array: &'a Bound<'py, Self>,
        index: usize,
        _: &'a NoMutation,
    ) -> Option<Borrowed<'a, 'py, PyAny>> {
        let index = index.cast_signed();
        // SAFETY: the object is a list, whose length was just compared. It keeps the item
        // alive as long as it does not change, which is for 'a.
        unsafe {
            (index < ffi::PyList_GET_SIZE(array.as_ptr())).then(|| {
                Borrowed::from_ptr(array.py(), ffi::PyList_GET_ITEM(array.as_ptr(), index))
            })
        }
    }
}

impl Array for PyTuple {
    #[inline(always)]
    fn item<'a, 'py>(
        array: &'a Bound<'py, Self>,
        index: usize,
        _: &'a NoMutation,
    ) -> Option<Borrowed<'a, 'py, PyAny>> {
        let index = index.cast_signed();
        // SAFETY: the object is a tuple, and keeps its items alive; the index is below
        // its length.
        unsafe {
            (index < ffi::PyTuple_GET_SIZE(array.as_ptr())).then(|| {
                Borrowed::from_ptr(array.py(), ffi::PyTuple_GET_ITEM(array.as_ptr(), index))
            })
        }
    }
}

/// Goes through a dictionary as the iterator of `dict.items()` does.
pub(super) struct Pairs {
    position: isize,
    length: usize,
    left: usize,
    interruptions: usize,
}

/// A key and its value, borrowed.
type Pair<'a, 'py> = (Borrowed<'a, 'py, PyAny>, Borrowed<'a, 'py, PyAny>);

impl Pairs {
    #[inline(always)]
    pub(super) fn of(dict: &Bound<'_, PyDict>, proof: &NoMutation) -> Self {
        let length = dict.len();
        Self { position: 0, length, left: length, interruptions: proof.interruptions }
    }

    /// The next pair. Raises what Python's own iterator raises when the dictionary has
    /// changed between two pairs.
    #[inline(always)]
    pub(super) fn next<'a, 'py>(
        &mut self,
        dict: &'a Bound<'py, PyDict>,
        proof: &'a NoMutation,
    ) -> Result<Option<Pair<'a, 'py>>, &'static str> {
        let undisturbed = proof.interruptions == self.interruptions;
        if undisturbed && self.left == 0 {
            return Ok(None);
        }
        // safeguard: changed-dictionary
        if !undisturbed && dict.len() != self.length {
            return Err("dictionary changed size during iteration");
        }
        let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the object is a dictionary. It keeps its keys and values alive as long
        // as it does not change, which is for 'a.
        unsafe {
            let object = dict.as_ptr();
            if ffi::PyDict_Next(object, &raw mut self.position, &raw mut key, &raw mut value) == 0 {
                return Ok(None);
            }
            let Some(left) = self.left.checked_sub(1) else {
                return Err("dictionary keys changed during iteration");
            };
            self.left = left;
            let py = dict.py();
            Ok(Some((Borrowed::from_ptr(py, key), Borrowed::from_ptr(py, value))))
        }
    }
}
