//! Pauses the cyclic garbage collector while objects are made: it would visit the
//! unfinished document again and again, and find no garbage.
#![allow(unsafe_code, reason = "the interpreter's own switch")]

use std::marker::PhantomData;

use pyo3::ffi;
use pyo3::prelude::*;

/// Pauses the collector until it is dropped. A collector that was off stays off.
pub(super) struct GcPause<'py> {
    was_enabled: bool,
    /// The interpreter's lock: without it another thread could use the switch.
    lock: PhantomData<Python<'py>>,
}

impl<'py> GcPause<'py> {
    pub(super) fn start(_: Python<'py>) -> Self {
        // SAFETY: attached to the interpreter; the call sets a flag.
        let was_enabled = unsafe { ffi::PyGC_Disable() } != 0;
        Self { was_enabled, lock: PhantomData }
    }
}

impl Drop for GcPause<'_> {
    fn drop(&mut self) {
        // safeguard: collector-left-as-it-was
        if self.was_enabled {
            // SAFETY: attached to the interpreter; the call sets a flag.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
