//! How much of its stack a thread has left: one that runs over ends the process.
#![allow(unsafe_code, reason = "the C library's own questions, one block for each")]

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::{io, thread};

/// What is kept for whatever is called at the innermost level, and for the guard
/// pages that some C libraries count as stack.
const RESERVE: usize = if cfg!(debug_assertions) { 48 << 10 } else { 20 << 10 };

/// Bytes that are room enough for whatever needs much.
const ROOM: usize = if cfg!(debug_assertions) { 1 << 20 } else { 160 << 10 };

thread_local! {
    /// The addresses of this thread's stack, once they were asked for.
    static STACK: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// How many calls of that many bytes each fit into what is left of the stack.
pub(crate) fn levels(frame: usize) -> usize {
    left().saturating_sub(RESERVE) / frame
}

/// Bytes that are left of this thread's stack; as many as can be where that is not
/// known.
pub(crate) fn left() -> usize {
    let here = 0_u8;
    let here = (&raw const here).addr();
    let (start, end) = STACK.get().unwrap_or_else(|| {
        let stack = stack().map_or((0, 0), |stack| (stack.start, stack.end));
        STACK.set(Some(stack));
        stack
    });
    // On a stack that somebody made himself (a coroutine's) nothing is known.
    if (start..end).contains(&here) { here - start } else { usize::MAX }
}

/// Acts where there is room for what needs much of it: in a thread of its own, if this
/// one has too little left.
pub(crate) fn with_room<T: Send>(act: impl Send + FnOnce() -> io::Result<T>) -> io::Result<T> {
    if left() >= ROOM {
        return act();
    }
    thread::scope(|scope| {
        let roomy = thread::Builder::new().stack_size(ROOM).spawn_scoped(scope, act)?;
        roomy.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Where this thread's stack lies. Of the main thread, the C library reads it in
/// /proc, which may be missing: nothing is known then.
#[cfg(not(target_vendor = "apple"))]
fn stack() -> Option<Range<usize>> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut start, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the call fills in the attributes, unless it fails.
    if unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: they were filled in, are read, and then given back, once.
    let failed = unsafe {
        let failed =
            libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        failed
    };
    (failed == 0).then(|| start.addr()..start.addr().saturating_add(size))
}

/// Where this thread's stack lies.
#[cfg(target_vendor = "apple")]
fn stack() -> Option<Range<usize>> {
    // SAFETY: both only tell of the calling thread.
    let (end, size) = unsafe {
        let thread = libc::pthread_self();
        (libc::pthread_get_stackaddr_np(thread).addr(), libc::pthread_get_stacksize_np(thread))
    };
    Some(end.saturating_sub(size)..end)
}
