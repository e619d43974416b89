//! The wait for a lock: the line, the queue, the deadline, and the signals that end it.
//!
//! Nobody starves. Whoever waits joins the line. From the line a process enters the queue,
//! which has room for one: the process in it gets the lock next. The kernel wakes those who
//! sleep in the line in their order, and a newcomer that finds somebody in the line lets them
//! go first. So a writer that releases the lock and asks again at once passes nobody. Only a
//! process that has stopped in the queue is passed.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs;
use rustix::io::Errno;

use crate::engine::deadline::Deadline;
use crate::engine::signals::Signals;
use crate::error::{Error, LOCK_CALL, QUEUE_CALL, Result, Standstill};
use crate::files::fork::CloseOnFork;
use crate::files::identity::{FileKey, Identity};
use crate::files::lock::file;
use crate::files::lock::held::{self, Own};
use crate::files::lock::wake::{self, Word};
use crate::files::sys::clock;
use crate::files::sys::futex::MappedWords;
use crate::files::sys::lock;
use crate::files::target::Target;
use crate::statistics::{COUNTERS, LATENCIES};

/// How long a wait keeps to the queue while nobody leaves the queue. The process in it is woken
/// when the lock is released, unless it is stopped. Shorter than a person notices.
const QUEUE_PATIENCE: Duration = Duration::from_millis(20);
/// How long the process in the queue sleeps until it looks whether the holder has died.
const LONGEST_SLEEP_IN_QUEUE: Duration = Duration::from_millis(4);
/// How long a process in the line sleeps, at first only [`QUEUE_PATIENCE`]: many may wait.
const LONGEST_SLEEP_IN_LINE: Duration = SIGNAL_INTERVAL;
/// Pauses of a wait that the kernel does not end.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);
/// How long before the deadline a wait looks who holds the lock. The kernel takes some
/// milliseconds for its list of locks.
const HOLDER_LOOK: Duration = Duration::from_millis(15);
/// How often a wait asks for signals that went to another thread.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// A wait for a lock: until when, and for whom.
pub(super) struct Wait<'a> {
    pub(super) target: &'a Target,
    pub(super) deadline: &'a Deadline,
    pub(super) signals: &'a dyn Signals,
}

impl Wait<'_> {
    /// Waits for the lock of `file`, and ends with the lock taken.
    pub(super) fn for_lock(&self, file: &CloseOnFork) -> Result<()> {
        let hurried = self.deadline.left().is_zero();
        // safeguard: queue
        let may_lock = hurried || !self.ask(file, lock::is_awaited)?;
        // safeguard: lock
        if may_lock && self.take(file, LOCK_CALL, lock::try_exclusive)? {
            return Ok(());
        }
        if hurried {
            return Err(self.timed_out(file, None));
        }
        COUNTERS.lock_waits.count();
        let _taken = LATENCIES.lock_wait.time();
        let mut turn = Turn { wait: self, file, place: Place::Outside, sleep: Sleep::default() };
        let outcome = turn.wait();
        // Whatever happened: a child forked past the handlers would stay in the queue.
        let left = turn.leave();
        outcome.and(left)
    }

    /// What `ask` answers; its failure is an error.
    fn ask(&self, file: &CloseOnFork, ask: fn(&File) -> io::Result<bool>) -> Result<bool> {
        let answer = self.used(file.with(ask))?;
        answer.map_err(|error| self.target.failed(QUEUE_CALL, error))
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

    /// The error at the deadline, with the holder of the lock where that was found out before.
    pub(super) fn timed_out(&self, file: &CloseOnFork, holder: Option<u32>) -> Error {
        let told = file.with(|file| {
            let key = fs::fstat(file).map(|stat| Identity::of(&stat).key());
            let own = key.is_ok_and(|key| !matches!(held::by_this_thread(key), Own::No));
            (holder.or_else(|| lock::holder(file)), own)
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

    /// Why the calling thread would wait for itself, if it waited for the lock with this key.
    pub(super) fn standstill(
        &self,
        file: &CloseOnFork,
        key: FileKey,
    ) -> Result<Option<Standstill>> {
        let own = || self.used(file.with(|_| held::by_this_thread(key)));
        let owner = match own()? {
            Own::No => return Ok(None),
            Own::InCall => return Ok(Some(Standstill::Nested)),
            Own::Handed(owner) => owner,
        };
        // Outside `with`, which holds up forks: the owner may need the interpreter.
        // safeguard: handed-edit-is-waited-for
        let why = owner.standstill();
        // While the owner was asked, another thread may have released the lock: then the answer
        // is about frames of Python code that have ended.
        // safeguard: released-while-asked
        let still = matches!(own()?, Own::Handed(now) if Arc::ptr_eq(&now, &owner));
        Ok(why.filter(|_| still))
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

/// Where a process that waits stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Outside,
    Line,
    /// And in the line.
    Queue,
}

/// One wait, from the line to the lock.
struct Turn<'a> {
    wait: &'a Wait<'a>,
    file: &'a CloseOnFork,
    place: Place,
    sleep: Sleep,
}

impl Turn<'_> {
    fn wait(&mut self) -> Result<()> {
        let Wait { target, deadline, signals } = self.wait;
        let begun = Instant::now();
        let (mut asked, mut queue_moved) = (begun, begun);
        let mut holder = None;
        let mut queue_word = None;
        let mut newcomer = true;
        let mut after_others = false;
        let mut longest_in_line = QUEUE_PATIENCE;
        loop {
            let left = deadline.left();
            if self.place == Place::Outside {
                self.wait
                    .used(self.file.with(lock::join_line))?
                    .map_err(|error| target.failed(QUEUE_CALL, error))?;
                self.place = Place::Line;
                // safeguard: line-before-newcomer
                after_others = newcomer && self.wait.ask(self.file, lock::is_in_line)?;
                newcomer = false;
            }
            if self.place == Place::Line {
                // Before the try: see `wake.rs`.
                let word = self.word(Word::Queue)?;
                if queue_word.replace(word) != Some(word) {
                    queue_moved = Instant::now();
                }
                if !after_others && self.wait.take(self.file, QUEUE_CALL, lock::enter_queue)? {
                    self.place = Place::Queue;
                    // Else many who wait long would pass the queue round all the time.
                    asked = Instant::now();
                }
            }
            let in_queue = self.place == Place::Queue;
            let word =
                if in_queue { self.word(Word::Lock)? } else { queue_word.unwrap_or_default() };
            // The process in the queue may be stopped. At the deadline the wait tries the
            // lock itself: it takes a free lock, and can name the holder of a lock
            // that is not free.
            // safeguard: when-to-try-the-lock
            let may_lock = in_queue || left.is_zero() || queue_moved.elapsed() >= QUEUE_PATIENCE;
            if may_lock && self.wait.take(self.file, LOCK_CALL, lock::try_exclusive)? {
                return Ok(());
            }
            if left.is_zero() {
                return Err(self.wait.timed_out(self.file, holder.flatten()));
            }
            if holder.is_none() && left <= HOLDER_LOOK && begun.elapsed() >= HOLDER_LOOK {
                // safeguard: holder-before-deadline
                holder = Some(self.file.with(|file| lock::holder(file)).flatten());
                continue;
            }
            let longest = if in_queue { LONGEST_SLEEP_IN_QUEUE } else { longest_in_line };
            longest_in_line = LONGEST_SLEEP_IN_LINE;
            let until_look = left.checked_sub(HOLDER_LOOK).filter(|_| holder.is_none());
            let until_end = until_look.filter(|look| !look.is_zero()).unwrap_or(left);
            let interrupted = self.sleep(word, longest.min(until_end));
            after_others = false;
            // safeguard: out-of-queue-before-handler
            if interrupted || asked.elapsed() >= SIGNAL_INTERVAL {
                // Leaves the queue first: the signal handler may save this very file.
                self.leave()?;
                // safeguard: signals-end-the-wait
                if signals.pending() {
                    return Err(Error::Interrupted { path: target.given_path.clone() });
                }
                asked = Instant::now();
            }
        }
    }

    fn word(&mut self, word: Word) -> Result<u32> {
        let read = self.wait.used(self.file.with(|file| word.read(file)))?;
        Ok(read.unwrap_or_else(|_| {
            // It would never sleep on a word that it does not know.
            self.sleep.words = None;
            // safeguard: polling-without-words
            self.sleep.polls = true;
            0
        }))
    }

    /// Sleeps until somebody wakes this process, or it has to look. True when a signal cut
    /// the sleep short.
    fn sleep(&mut self, expected: u32, longest: Duration) -> bool {
        let word = if self.place == Place::Queue { Word::Lock } else { Word::Queue };
        let mut words = self.sleep.words.take();
        if words.is_none() && !self.sleep.polls {
            words = self.file.with(|file| MappedWords::of(file).ok()).flatten();
        }
        let Some(words) = words else {
            self.sleep.polls = true;
            let pause = self.sleep.pause;
            self.sleep.pause = (pause * 2).min(LONGEST_PAUSE);
            return clock::sleep(pause.min(longest));
        };
        match words.wait(word.place(), expected, longest) {
            Ok(()) | Err(Errno::AGAIN | Errno::TIMEDOUT) => {}
            // The mapping goes: a signal handler may fork.
            Err(Errno::INTR) => return true,
            // The file system has no words to wait on, or somebody has truncated the file.
            Err(_) => {
                self.sleep.polls = true;
                return false;
            }
        }
        self.sleep.words = Some(words);
        false
    }

    /// Leaves queue and line, and wakes the next in the line.
    fn leave(&mut self) -> Result<()> {
        // In a child that a signal handler forks this mapping would be missing, and its place
        // taken by another.
        let words = self.sleep.words.take();
        if self.place == Place::Outside {
            return Ok(());
        }
        let was_in_queue = self.place == Place::Queue;
        self.place = Place::Outside;
        let left = self.file.with(|file| {
            lock::leave_queue_and_line(file)?;
            if was_in_queue {
                // Where this fails, the next in the line looks soon.
                let _ = wake::after_queue(file, words);
            }
            Ok(())
        });
        self.wait.used(left)?.map_err(|error: io::Error| self.wait.target.failed(QUEUE_CALL, error))
    }
}

/// How a wait sleeps.
struct Sleep {
    words: Option<MappedWords>,
    /// Whether nothing wakes this process, and it looks again after each pause.
    polls: bool,
    pause: Duration,
}

impl Default for Sleep {
    fn default() -> Self {
        Self { words: None, polls: false, pause: FIRST_PAUSE }
    }
}
