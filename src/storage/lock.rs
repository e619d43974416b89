//! One writer at a time per data file, across threads and processes.
//!
//! `flock` on a sidecar file: the kernel drops it when its holder dies, it
//! excludes the threads of one process too (each opens the file anew), and,
//! being beside the data file and not on it, it is not moved away by the
//! rename that publishes new content.
//!
//! Nobody starves. A writer that lets go and asks again at once would always be
//! faster than one that looks every millisecond. So the lock is behind a
//! turnstile, a lock of its own on a byte of the same file: whoever is in the
//! turnstile gets the lock next, and while the lock is held all others have the
//! same chance to be the next in it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{self, AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};

use super::fork::Uninherited;
use super::identity::{FileKey, Identity};
use super::sidecar;
use super::target::Target;
use crate::error::{Error, OPEN_LOCK, Result};
use crate::statistics::{COUNTERS, LATENCIES};

/// Told while a wait goes on: whether a signal handler wants the wait to end.
pub trait Signals {
    /// True ends the wait with [`Error::Interrupted`].
    fn pending(&self) -> bool;
}

const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);
/// How often a wait asks for signals that went to another thread.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// The lock of a folder's journal, seen from that folder. Not among the locks
/// of data files, one of which may be called `journal`.
pub const JOURNAL: &str = ".oasis_data/journal.lock";

/// How often the opening of a lock file starts over: another writer may make
/// it, or an operator remove it, at the same moment.
const OPEN_ATTEMPTS: usize = 100;

/// The right to write one data file, until dropped.
#[derive(Debug)]
pub struct Lock {
    file: Uninherited,
    key: FileKey,
}

/// The locks of this process and the thread that took each. Touched only
/// inside [`Uninherited::with`], so that no fork finds it half changed.
static TAKEN: Mutex<Vec<(FileKey, ThreadId)>> = Mutex::new(Vec::new());

fn taken() -> MutexGuard<'static, Vec<(FileKey, ThreadId)>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Called in a forked child, which has no locks.
pub fn after_fork_in_child() {
    taken().clear();
}

/// When waiting ends. One for all the locks that a call needs.
#[derive(Debug)]
pub struct Deadline {
    timeout: Duration,
    /// None is further away than the clock reaches.
    end: Option<Instant>,
}

impl Deadline {
    /// In so long.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        Self { timeout, end: Instant::now().checked_add(timeout) }
    }

    /// At once: a lock is taken if it is free.
    #[must_use]
    pub fn now() -> Self {
        Self::after(Duration::ZERO)
    }

    fn left(&self) -> Duration {
        self.end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()))
    }
}

/// A wait for a lock: until when, and for whom.
struct Wait<'a> {
    target: &'a Target,
    deadline: &'a Deadline,
    signals: &'a dyn Signals,
}

impl Lock {
    /// Takes the lock of the file `target`.
    ///
    /// # Errors
    ///
    /// [`Error::LockTimeout`] at the deadline, [`Error::Interrupted`] for a
    /// signal, [`Error::AlreadyLocked`] where this thread would wait for
    /// itself; a failing syscall is an error, never taken for contention.
    pub fn of_file(target: &Target, deadline: &Deadline, signals: &dyn Signals) -> Result<Self> {
        Self::acquire(target, &path_of(target), deadline, signals)
    }

    /// Takes the lock of the journal in the target's folder.
    ///
    /// # Errors
    ///
    /// As for [`Lock::of_file`].
    pub fn of_journal(target: &Target, deadline: &Deadline, signals: &dyn Signals) -> Result<Self> {
        Self::acquire(target, Path::new(JOURNAL), deadline, signals)
    }

    fn acquire(
        target: &Target,
        path: &Path,
        deadline: &Deadline,
        signals: &dyn Signals,
    ) -> Result<Self> {
        let wait = Wait { target, deadline, signals };
        loop {
            let file = Uninherited::open(|| open(target, path))?;
            let key = wait.used(file.with(|file| fs::fstat(file)))?;
            let key =
                Identity::of(&key.map_err(|errno| target.failed("fstat of its lock", errno))?)
                    .key();
            let me = (key, std::thread::current().id());
            if wait.used(file.with(|_| taken().contains(&me)))? {
                return Err(Error::AlreadyLocked { path: target.spelt.clone() });
            }
            let waited = wait.for_turn_and_lock(&file);
            // On every way out: a child forked past the handlers would keep it.
            wait.used(file.with(leave_turnstile))?
                .map_err(|error| target.failed("fcntl of its lock", error))?;
            waited?;
            if is_current(target, path, key)? {
                wait.used(file.with(|_| taken().push(me)))?;
                return Ok(Self { file, key });
            }
            if deadline.left().is_zero() {
                return Err(wait.timed_out(&file));
            }
        }
    }

    /// Which file the lock is on.
    #[must_use]
    pub fn key(&self) -> FileKey {
        self.key
    }

    /// Writes into the lock file, for whoever holds the lock next. What cannot be written
    /// is missed by nobody: it only saves work.
    pub fn write_at(&self, bytes: &[u8], offset: u64) {
        let _ = self.file.with(|file| file.write_all_at(bytes, offset));
    }

    /// What is in the lock file from `offset` on, but no more than `most` bytes.
    #[must_use]
    pub fn read_at(&self, most: usize, offset: u64) -> Option<Vec<u8>> {
        let mut found = vec![0; most];
        let count = self.file.with(|file| file.read_at(&mut found, offset))?.ok()?;
        found.truncate(count);
        Some(found)
    }

    /// Leaves a note in the lock file.
    pub fn leave_note(&self, note: &str) {
        self.write_at(note.as_bytes(), 0);
    }

    /// Whether this is the note that was left last.
    #[must_use]
    pub fn has_note(&self, note: &str) -> bool {
        let mut found = vec![0; note.len()];
        let read = self.file.with(|file| file.read_exact_at(&mut found, 0));
        matches!(read, Some(Ok(()))) && found == note.as_bytes()
    }

    /// To be called before the call that took it returns: see [`super::fork::Descriptor`].
    ///
    /// # Errors
    ///
    /// When its `fstat` fails.
    pub fn keep(&self) -> rustix::io::Result<()> {
        self.file.keep()
    }

    /// Whether it is still this process's: not in a child forked since, nor where the
    /// application has closed its descriptor.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.file.with(|_| ()).is_some()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would not be enough: a child forked past the handlers still
        // shares the description, and would keep the lock. An error cannot
        // leave the lock behind either, since the close follows.
        self.file.with_or_without(|file| {
            taken().retain(|(key, _)| *key != self.key);
            file.map(fs2::FileExt::unlock)
        });
    }
}

impl Wait<'_> {
    /// Goes through the turnstile to the lock, and stays in both.
    fn for_turn_and_lock(&self, file: &Uninherited) -> Result<()> {
        let mut pause = FIRST_PAUSE;
        let mut asked = Instant::now();
        let mut waiting = None;
        let mut in_turnstile = false;
        loop {
            in_turnstile = in_turnstile || self.take(file, enter_turnstile)?;
            if in_turnstile && self.take(file, fs2::FileExt::try_lock_exclusive)? {
                return Ok(());
            }
            let left = self.deadline.left();
            if left.is_zero() {
                return Err(self.timed_out(file));
            }
            waiting.get_or_insert_with(|| {
                COUNTERS.lock_waits.count();
                LATENCIES.lock_wait.time()
            });
            let interrupted = sleep(pause.min(left));
            if interrupted || asked.elapsed() >= SIGNAL_INTERVAL {
                // Out of the turnstile: a signal handler may want to save this
                // very file.
                let _ = self.used(file.with(leave_turnstile))?;
                in_turnstile = false;
                if self.signals.pending() {
                    return Err(Error::Interrupted { path: self.target.spelt.clone() });
                }
                asked = Instant::now();
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Whether `take` succeeds; contention is no error.
    fn take(&self, file: &Uninherited, take: fn(&File) -> io::Result<()>) -> Result<bool> {
        match self.used(file.with(take))? {
            Ok(()) => Ok(true),
            Err(error) if contended(&error) => Ok(false),
            Err(error) => Err(self.target.failed("flock", error)),
        }
    }

    /// What using the lock's file gave; in a child that a signal handler forked
    /// meanwhile it is not ours any more.
    fn used<T>(&self, result: Option<T>) -> Result<T> {
        result.ok_or_else(|| Error::Interrupted { path: self.target.spelt.clone() })
    }

    fn timed_out(&self, file: &Uninherited) -> Error {
        let holder = file.with(holder).flatten();
        Error::LockTimeout {
            path: self.target.spelt.clone(),
            waited: self.deadline.timeout,
            holder,
        }
    }
}

/// Whether the locked file is still the one that others would lock: an operator
/// may have removed `.oasis_data` since it was opened.
fn is_current(target: &Target, path: &Path, held: FileKey) -> Result<bool> {
    match fs::statat(&target.folder, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => Ok(Identity::of(&named).key() == held),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(target.failed("fstatat of its lock", errno)),
    }
}

/// Whether somebody holds the lock of the journal in the target's folder, for
/// one who may only read.
#[must_use]
pub fn journal_is_held(target: &Target) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = Uninherited::open(|| {
        fs::openat(&target.folder, JOURNAL, flags, Mode::empty()).map(File::from)
    });
    let Ok(file) = opened else { return false };
    let tried = file.with(|file| {
        let tried = fs2::FileExt::try_lock_shared(file);
        // Not by the close alone, as everywhere.
        let _ = fs2::FileExt::unlock(file);
        tried
    });
    matches!(tried, Some(Err(error)) if contended(&error))
}

/// The turnstile is a lock of another kind on the same file: the two kinds do
/// not see each other, and one descriptor serves for both.
fn enter_turnstile(file: &File) -> io::Result<()> {
    turnstile(file, libc::F_WRLCK)
}

fn leave_turnstile(file: &File) -> io::Result<()> {
    turnstile(file, libc::F_UNLCK)
}

#[allow(clippy::cast_possible_truncation, reason = "these constants are single digits")]
fn turnstile(file: &File, kind: i32) -> io::Result<()> {
    let (l_type, l_whence) = (kind as i16, libc::SEEK_SET as i16);
    let byte = libc::flock { l_type, l_whence, l_start: 0, l_len: 1, l_pid: 0 };
    fcntl(file, FcntlArg::F_OFD_SETLK(&byte)).map(drop).map_err(io::Error::from)
}

fn path_of(target: &Target) -> PathBuf {
    let mut name = sidecar::stem(&target.name).into_os_string();
    name.push(".lock");
    Path::new(sidecar::LOCKS).join(name)
}

fn open(target: &Target, path: &Path) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..OPEN_ATTEMPTS {
        // Not O_CREAT at once: in a sticky, world-writable folder the kernel
        // (fs.protected_regular) refuses it for a file of another owner.
        match fs::openat(&target.folder, path, flags, Mode::empty()) {
            Ok(file) => return Ok(File::from(file)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(target.failed(OPEN_LOCK, errno)),
        }
        let create = flags | OFlags::CREATE | OFlags::EXCL;
        match fs::openat(&target.folder, path, create, Mode::from_raw_mode(0o666)) {
            Ok(file) => {
                sidecar::share(target, &file)?;
                return Ok(File::from(file));
            }
            Err(Errno::EXIST) => {}
            Err(Errno::NOENT) => sidecar::create(target)?,
            Err(errno) => return Err(target.failed(OPEN_LOCK, errno)),
        }
    }
    // Something that is there and not there, such as a dangling symlink.
    Err(target.failed(OPEN_LOCK, Errno::LOOP))
}

/// Only "would block" is contention.
fn contended(error: &io::Error) -> bool {
    error.raw_os_error() == fs2::lock_contended_error().raw_os_error()
}

/// Sleeps; true when a signal cut it short.
fn sleep(pause: Duration) -> bool {
    let request = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
    matches!(nanosleep(&request), NanosleepRelativeResult::Interrupted(_))
}

/// The process that holds the `flock` of `file`, from the kernel's own list:
/// nothing has to be written into the lock file, and nothing in it can be stale.
fn holder(file: &File) -> Option<u32> {
    let stat = fs::fstat(file).ok()?;
    // The kernel gives the list out page by page, and can pass over a line when
    // a lock before it goes meanwhile.
    (0..3).find_map(|_| listed_holder(&std::fs::read_to_string("/proc/locks").ok()?, &stat))
}

/// A device that `stat` and the list number differently (btrfs) is passed over
/// when the inode alone decides.
fn listed_holder(list: &str, stat: &Stat) -> Option<u32> {
    let device = format!("{:02x}:{:02x}", fs::major(stat.st_dev), fs::minor(stat.st_dev));
    let mut same_inode = None;
    for line in list.lines() {
        // 1: FLOCK  ADVISORY  WRITE 1234 fd:01:131091 0 EOF
        let mut fields = line.split_whitespace().skip(1);
        if fields.next() != Some("FLOCK") {
            continue;
        }
        let Some(pid) = fields.nth(2).and_then(|pid| pid.parse().ok()) else { continue };
        let Some((on, inode)) = fields.next().and_then(|place| place.rsplit_once(':')) else {
            continue;
        };
        if inode.parse() == Ok(stat.st_ino) {
            if on == device {
                return Some(pid);
            }
            same_inode = Some(pid);
        }
    }
    same_inode
}
