//! The clocks from which the kernel stamps files: the time of the last timer tick.

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::files::sys::stat::{Nanoseconds, nanoseconds};

/// The clock that can be set, since 1970.
pub(crate) fn realtime() -> Nanoseconds {
    read(ClockId::RealtimeCoarse)
}

/// The clock that cannot be set.
pub(crate) fn monotonic() -> Nanoseconds {
    read(ClockId::MonotonicCoarse)
}

fn read(clock: ClockId) -> Nanoseconds {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    nanoseconds(tv_sec, tv_nsec)
}
