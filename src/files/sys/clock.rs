//! The clocks from which the kernel stamps files: the time of the last timer tick. And sleep.

use std::time::Duration;

use rustix::thread::{NanosleepRelativeResult, nanosleep};
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

/// Sleeps; true where a signal cut it short, which the standard library's sleep hides.
pub(crate) fn sleep(pause: Duration) -> bool {
    let request = Timespec {
        tv_sec: pause.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: pause.subsec_nanos().into(),
    };
    matches!(nanosleep(&request), NanosleepRelativeResult::Interrupted(_))
}
