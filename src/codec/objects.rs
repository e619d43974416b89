//! The codec's own way to the interpreter's objects, where pyo3's is slow, or
//! panics when memory runs out.
#![allow(unsafe_code, reason = "the one place for it, behind a safe face")]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyStringData};

use super::encode::Stop;

/// The characters of a string, as they lie in it.
#[inline]
pub(super) fn characters<'a>(text: &'a Bound<'_, PyString>) -> Result<PyStringData<'a>, Stop> {
    // SAFETY: the bit field is read as every C compiler for Linux lays it out;
    // the parity tests read strings of each kind.
    unsafe { text.data() }.map_err(|_| Stop::NotCovered)
}

/// The value of an integer, if it has 64 bits.
#[inline]
pub(super) fn small_integer(integer: &Bound<'_, PyInt>) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: an integer, for which the call neither fails nor runs any code.
    let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(integer.as_ptr(), &raw mut overflow) };
    (overflow == 0).then_some(number)
}
