//! The wait for a lock: the queue before it, the deadline, and the signals that end it.
//!
//! Nobody starves. A writer that releases the lock and asks again at once would always be
//! faster than a writer that looks every millisecond. So a queue comes before the lock, a
//! lock of its own on a byte of the same file: the writer in the queue gets the lock next,
//! and while the lock is held all others have the same chance to be the next in the queue.
//! Only a process that has stopped in the queue is passed.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs;
use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};

use crate::engine::deadline::Deadline;
use crate::engine::signals::Signals;
use crate::error::{Error, LOCK_CALL, QUEUE_CALL, Result};
use crate::files::fork::CloseOnFork;
use crate::files::identity::{FileKey, Identity};
use crate::files::lock::file;
use crate::files::lock::held::{self, Own};
use crate::files::sys::lock;
use crate::files::target::Target;
use crate::statistics::{COUNTERS, LATENCIES};

/// How long a wait keeps to the queue. The process in the queue takes a free lock within
/// [`LONGEST_PAUSE`], unless it is stopped. Longer than that pause, so that a writer that
/// releases the lock and asks again at once does not pass those who wait; shorter than a
/// person notices.
const QUEUE_PATIENCE: Duration = Duration::from_millis(20);
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);
/// How often a wait asks for signals that went to another thread.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// A wait for a lock: until when, and for whom.
pub(super) struct Wait<'a> {
    pub(super) target: &'a Target,
    pub(super) deadline: &'a Deadline,
    pub(super) signals: &'a dyn Signals,
}

impl Wait<'_> {
    /// Waits in the queue and then for the lock, and ends with both taken. Passes a queue
    /// in which nobody moves.
    pub(super) fn for_turn_and_lock(&self, file: &CloseOnFork) -> Result<()> {
        let mut pause = FIRST_PAUSE;
        let begun = Instant::now();
        let mut asked = begun;
        let mut waiting = None;
        let mut holds_queue = false;
        loop {
            let left = self.deadline.left();
            // safeguard: queue
            holds_queue = holds_queue || self.take(file, QUEUE_CALL, lock::enter_queue)?;
            // The process in the queue may be stopped. At the deadline the wait tries the
            // lock itself: it takes a free lock, and can name the holder of a lock
            // that is not free.
            // safeguard: when-to-try-the-lock
            let may_lock = holds_queue || left.is_zero() || begun.elapsed() >= QUEUE_PATIENCE;
            // safeguard: lock
            if may_lock && self.take(file, LOCK_CALL, lock::try_exclusive)? {
                return Ok(());
            }
            if left.is_zero() {
                return Err(self.timed_out(file));
            }
            waiting.get_or_insert_with(|| {
                COUNTERS.lock_waits.count();
                LATENCIES.lock_wait.time()
            });
            let interrupted = sleep(pause.min(left));
            // safeguard: out-of-queue-before-handler
            if interrupted || asked.elapsed() >= SIGNAL_INTERVAL {
                // Leaves the queue first: the signal handler may save this very file.
                let _ = self.used(file.with(lock::leave_queue))?;
                holds_queue = false;
                // safeguard: signals-end-the-wait
                if self.signals.pending() {
                    return Err(Error::Interrupted { path: self.target.given_path.clone() });
                }
                asked = Instant::now();
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Whether `take` succeeds; contention is no error.
    fn take(
        &self,
        file: &CloseOnFork,
        call: &'static str,
        take: fn(&File) -> io::Result<()>,
    ) -> Result<bool> {
        match self.used(file.with(take))? {
            Ok(()) => Ok(true),
            Err(error) if lock::is_contended(&error) => Ok(false),
            Err(error) => Err(self.target.failed(call, error)),
        }
    }

    /// What using the lock file gave. In a child that a signal handler forked during the
    /// wait the file is the parent's.
    pub(super) fn used<T>(&self, result: Option<T>) -> Result<T> {
        result.ok_or_else(|| Error::Interrupted { path: self.target.given_path.clone() })
    }

    pub(super) fn timed_out(&self, file: &CloseOnFork) -> Error {
        let told = file.with(|file| {
            let key = fs::fstat(file).map(|stat| Identity::of(&stat).key());
            let own = key.is_ok_and(|key| !matches!(held::by_this_thread(key), Own::No));
            (lock::holder(file), own)
        });
        let (holder, by_this_thread) = told.unwrap_or_default();
        Error::LockTimeout {
            path: self.target.given_path.clone(),
            waited: self.deadline.timeout(),
            holder,
            holder_host: None,
            by_this_thread,
        }
    }

    /// Replaces a lock file that this folder shares with another folder, if this process
    /// holds its lock for a file in that other folder: nobody holds the lock for this file,
    /// and to wait could be to wait for oneself. Whether the lock file was replaced.
    pub(super) fn leave_to_another_folder(
        &self,
        path: &Path,
        file: &CloseOnFork,
        key: FileKey,
    ) -> Result<bool> {
        let folder = self.target.folder_key()?;
        let renew = |file: &File| {
            // Where this fails, the folders go on sharing the lock file.
            file::is_current(self.target, path, key).unwrap_or(false)
                && file::renew(self.target, path, file).is_ok()
        };
        let renewed = file.with(|file| held::if_held_elsewhere(key, folder, || renew(file)));
        Ok(self.used(renewed)?.unwrap_or(false))
    }
}

/// Sleeps; true when a signal cut it short.
fn sleep(pause: Duration) -> bool {
    let request = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
    matches!(nanosleep(&request), NanosleepRelativeResult::Interrupted(_))
}
