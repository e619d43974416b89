//! Keeps `json`'s recursion within the thread's stack.
//!
//! `sys.setrecursionlimit` takes any number, and before Python 3.14 the interpreter
//! compares its recursion with that number only, never with the stack: a deep document
//! in a thread with a small stack ends the process. The codec's own recursion needs
//! none of this: it stops by itself, at a depth computed by [`stack::levels`].
#![allow(unsafe_code, reason = "the interpreter's own count of its recursion")]

use std::marker::PhantomData;

use pyo3::ffi;
use pyo3::prelude::*;

use crate::stack;

/// The bytes of stack that one level of recursion takes where Python 3.10 to 3.13 runs
/// `json` (470 to write, 150 to read), and some to spare.
const FRAME: usize = 640;

/// The most levels of recursion in C that Python 3.12 and 3.13 allow, whatever
/// `sys.setrecursionlimit` was told.
const MAX_LEVELS_IN_C: usize = 10_000;

/// The levels of recursion with which Python 3.13 drops what it has put off: more than the
/// hundred that it wants to be left, of about 100 bytes each.
const LEVELS_TO_DROP: usize = 160;

/// A lower limit of recursion for this thread, until it is dropped: only as many levels
/// as its stack has room for.
///
/// The limits of other threads stay. This thread enters the levels that do not fit, so
/// that `json` finds them used up.
pub(super) struct RecursionLimit<'py> {
    entered: usize,
    /// The levels that were left for `json`.
    fitting: usize,
    /// The interpreter's lock, and the thread whose levels were entered.
    lock: PhantomData<Python<'py>>,
}

impl<'py> RecursionLimit<'py> {
    /// For the decoding of a text, which is nested no deeper than it has brackets.
    pub(super) fn for_text(py: Python<'py>, text: &[u8]) -> Self {
        let fitting = stack::levels(FRAME);
        let brackets = text.iter().filter(|&&byte| matches!(byte, b'[' | b'{'));
        // Counts no further than needed: a text may be large.
        if brackets.take(fitting.saturating_add(1)).count() <= fitting {
            return Self { entered: 0, fitting, lock: PhantomData };
        }
        Self::new(py)
    }

    pub(super) fn new(py: Python<'py>) -> Self {
        let fitting = stack::levels(FRAME);
        let mut limit = Self { entered: 0, fitting, lock: PhantomData };
        // safeguard: json-fits-the-stack
        if max_levels(py) <= fitting {
            return limit;
        }
        // The interpreter tells nobody how many levels are left. So this enters all of
        // them, and then leaves as many as fit.
        // SAFETY: attached; `leave` makes up for each call that succeeds. The call that
        // fails sets an exception, which is taken below.
        while unsafe { ffi::Py_EnterRecursiveCall(c" in a thread whose stack is small".as_ptr()) }
            == 0
        {
            limit.entered += 1;
        }
        drop(PyErr::take(py));
        limit.leave(fitting);
        limit
    }

    /// Whether the limit is lower than the interpreter's own.
    pub(super) fn is_lower(&self) -> bool {
        self.entered > 0
    }

    fn leave(&mut self, levels: usize) {
        let levels = levels.min(self.entered);
        for _ in 0..levels {
            // SAFETY: attached, and `new` entered a level for each call.
            unsafe { ffi::Py_LeaveRecursiveCall() };
        }
        self.entered -= levels;
    }
}

impl Drop for RecursionLimit<'_> {
    fn drop(&mut self) {
        if self.entered > 0 {
            // Python 3.13 puts off the end of nested objects (the tracebacks of what `json`
            // raised) where few levels are left, and then nests it by all levels there are.
            // The end of a list makes up for it now, by no more levels than fit.
            self.leave(LEVELS_TO_DROP.saturating_sub(self.fitting));
            // SAFETY: attached; the list is new, and nobody else has it.
            unsafe { ffi::Py_XDECREF(ffi::PyList_New(0)) };
        }
        self.leave(usize::MAX);
    }
}

/// The most levels of recursion that this interpreter may have left.
fn max_levels(py: Python<'_>) -> usize {
    match py.version_info() {
        // From 3.14 on the interpreter looks at the stack itself.
        version if version >= (3, 14) => 0,
        version if version >= (3, 12) => MAX_LEVELS_IN_C,
        // SAFETY: attached; the call only reads.
        _ => usize::try_from(unsafe { ffi::Py_GetRecursionLimit() }).unwrap_or(0),
    }
}
