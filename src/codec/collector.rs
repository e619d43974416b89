//! The cyclic garbage collector, held back while a tree is built: it would walk
//! what is there so far again and again, and find nothing.
#![allow(unsafe_code, reason = "the interpreter's own switch")]

use std::marker::PhantomData;

use pyo3::ffi;
use pyo3::prelude::*;

/// Holds the collector back until it is dropped, and then leaves it as it was.
pub(super) struct Held<'py> {
    enabled: bool,
    /// The interpreter's lock, without which somebody else might use the switch.
    lock: PhantomData<Python<'py>>,
}

impl<'py> Held<'py> {
    pub(super) fn new(_: Python<'py>) -> Self {
        // SAFETY: attached to the interpreter; it sets a flag.
        let enabled = unsafe { ffi::PyGC_Disable() } != 0;
        Self { enabled, lock: PhantomData }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.enabled {
            // SAFETY: as above.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
