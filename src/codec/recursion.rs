//! The interpreter's recursion, held to what the thread's stack has room for.
#![allow(unsafe_code, reason = "the interpreter's own count of its recursion")]

use std::marker::PhantomData;

use pyo3::ffi;
use pyo3::prelude::*;

use crate::stack;

/// Bytes of stack that a level of recursion takes at most where the interpreter runs
/// `json`, in Python 3.10 to 3.13 (470 where it writes, 150 where it reads), and some
/// to spare.
const FRAME: usize = 640;

/// The most levels of recursion in C that Python 3.12 and 3.13 allow, whatever
/// `sys.setrecursionlimit` was told.
const MOST_IN_C: usize = 10_000;

/// Until it is dropped, `json` finds only as many levels of recursion left in this
/// thread as its stack has room for: `sys.setrecursionlimit` takes any number, and
/// before Python 3.14 nobody looks at the stack.
///
/// Nobody else's limit changes: the levels that do not fit are entered here.
pub(super) struct Limited<'py> {
    entered: usize,
    /// The interpreter's lock, and the thread whose levels these are.
    lock: PhantomData<Python<'py>>,
}

impl<'py> Limited<'py> {
    /// For a text, which is nested no deeper than it has brackets.
    pub(super) fn of(py: Python<'py>, text: &[u8]) -> Self {
        let fit = stack::levels(FRAME);
        let brackets = text.iter().filter(|&&byte| matches!(byte, b'[' | b'{'));
        // No further than needed: a text may be large.
        if brackets.take(fit.saturating_add(1)).count() <= fit {
            return Self { entered: 0, lock: PhantomData };
        }
        Self::new(py)
    }

    pub(super) fn new(py: Python<'py>) -> Self {
        let mut limited = Self { entered: 0, lock: PhantomData };
        let fit = stack::levels(FRAME);
        if most(py) <= fit {
            return limited;
        }
        // How many are left is nowhere to be read: all of them are taken, and then as
        // many given back.
        // SAFETY: attached; each call is made up for by one in `leave`, and where it
        // fails it leaves an exception, which is taken.
        while unsafe { ffi::Py_EnterRecursiveCall(c" in a thread whose stack is small".as_ptr()) }
            == 0
        {
            limited.entered += 1;
        }
        drop(PyErr::take(py));
        limited.leave(fit);
        limited
    }

    /// Whether there are fewer levels than the interpreter would allow.
    pub(super) fn has_fewer_levels(&self) -> bool {
        self.entered > 0
    }

    fn leave(&mut self, levels: usize) {
        let levels = levels.min(self.entered);
        for _ in 0..levels {
            // SAFETY: attached, and there is a call that this makes up for.
            unsafe { ffi::Py_LeaveRecursiveCall() };
        }
        self.entered -= levels;
    }
}

impl Drop for Limited<'_> {
    fn drop(&mut self) {
        self.leave(usize::MAX);
    }
}

/// The most levels there may be left.
fn most(py: Python<'_>) -> usize {
    match py.version_info() {
        // These look at the stack themselves.
        version if version >= (3, 14) => 0,
        version if version >= (3, 12) => MOST_IN_C,
        // SAFETY: attached; it only tells.
        _ => usize::try_from(unsafe { ffi::Py_GetRecursionLimit() }).unwrap_or(0),
    }
}
