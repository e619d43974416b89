//! How much of its stack a thread has left.
//!
//! An overflow of the stack ends the process, and Python lets its users make threads
//! with stacks as small as 32 KiB. So the codec asks here how deep it may go
//! ([`levels`]), the face refuses a call for which too little is left ([`remaining`]),
//! and gzip, which needs much, gets a thread with a larger stack
//! ([`with_large_stack`]).
#![allow(unsafe_code, reason = "calls of the C library, one block for each")]

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::{io, thread};

/// The bytes that stay free for the calls made at the innermost level, and for the
/// guard pages that some C libraries count as stack.
const RESERVE: usize = if cfg!(debug_assertions) { 48 << 10 } else { 20 << 10 };

/// The bytes of stack that [`with_large_stack`] makes sure of.
const LARGE: usize = if cfg!(debug_assertions) { 1 << 20 } else { 160 << 10 };

thread_local! {
    /// The first address of this thread's stack and the one after its last, once they
    /// are known; two zeros where they cannot be known.
    static STACK: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// The number of nested calls, of `frame` bytes each, for which this thread has stack.
pub(crate) fn levels(frame: usize) -> usize {
    remaining().saturating_sub(RESERVE) / frame
}

/// The bytes that are left of this thread's stack; `usize::MAX` where that is unknown.
pub(crate) fn remaining() -> usize {
    let here = 0_u8;
    let here = (&raw const here).addr();
    let (start, end) = STACK.get().unwrap_or_else(|| {
        let stack = stack().map_or((0, 0), |stack| (stack.start, stack.end));
        STACK.set(Some(stack));
        stack
    });
    // A library of coroutines may run this on a stack of its own, which is unknown.
    if (start..end).contains(&here) { here - start } else { usize::MAX }
}

/// Calls `act` with much stack: in a thread of its own, if this one has too little left.
pub(crate) fn with_large_stack<T: Send>(
    act: impl Send + FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    // safeguard: large-encoder-stack
    if remaining() >= LARGE {
        return act();
    }
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(LARGE).spawn_scoped(scope, act)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The addresses of this thread's stack. For the main thread the C library reads /proc;
/// without /proc they are unknown.
#[cfg(not(target_vendor = "apple"))]
fn stack() -> Option<Range<usize>> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut start, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the call fills in the attributes, unless it fails.
    if unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the attributes were filled in. They are read, and then destroyed once.
    let failed = unsafe {
        let failed =
            libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        failed
    };
    (failed == 0).then(|| start.addr()..start.addr().saturating_add(size))
}

/// The addresses of this thread's stack.
#[cfg(target_vendor = "apple")]
fn stack() -> Option<Range<usize>> {
    // SAFETY: both calls only read, and the thread is the calling one.
    let (end, size) = unsafe {
        let thread = libc::pthread_self();
        (libc::pthread_get_stackaddr_np(thread).addr(), libc::pthread_get_stacksize_np(thread))
    };
    Some(end.saturating_sub(size)..end)
}
