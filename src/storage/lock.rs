//! One writer at a time per data file, across threads and processes.
//!
//! `flock` on a sidecar file: the kernel drops it when its holder dies, it
//! excludes the threads of one process too (each opens the file anew), and,
//! being beside the data file and not on it, it is not moved away by the
//! rename that publishes new content.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};

use super::fork::Uninherited;
use super::identity::Identity;
use super::sidecar;
use super::target::Target;
use crate::error::{Error, Result};
use crate::statistics::COUNTERS;

/// Told while a wait goes on: whether a signal handler wants the wait to end.
pub trait Signals {
    /// True ends the wait with [`Error::Interrupted`].
    fn pending(&self) -> bool;
}

const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);
/// How often a wait asks for signals that went to another thread.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// The right to write one data file, until dropped.
#[derive(Debug)]
pub struct Lock {
    file: Uninherited,
}

impl Lock {
    /// Takes the lock of `target`, waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::LockTimeout`] at the deadline, [`Error::Interrupted`] for a
    /// signal; a failing syscall is an error, never taken for contention.
    pub fn acquire(target: &Target, timeout: Duration, signals: &dyn Signals) -> Result<Self> {
        let deadline = Instant::now().checked_add(timeout);
        let path = path_of(target);
        loop {
            let file = Uninherited::open(|| open(target, &path))?;
            let lock = Self { file };
            lock.wait(target, timeout, deadline, signals)?;
            if lock.is_current(target, &path)? {
                return Ok(lock);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(lock.timed_out(target, timeout));
            }
        }
    }

    fn wait(
        &self,
        target: &Target,
        timeout: Duration,
        deadline: Option<Instant>,
        signals: &dyn Signals,
    ) -> Result<()> {
        let mut pause = FIRST_PAUSE;
        let mut asked = Instant::now();
        let mut waited = false;
        loop {
            match self.file.with(fs2::FileExt::try_lock_exclusive) {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) if contended(&error) => {}
                Some(Err(error)) => return Err(target.failed("flock", error)),
                // A signal handler forked, and this is the child.
                None => return Err(Error::Interrupted { path: target.spelt.clone() }),
            }
            if !waited {
                COUNTERS.lock_waits.count();
                waited = true;
            }
            let now = Instant::now();
            let left =
                deadline.map_or(LONGEST_PAUSE, |deadline| deadline.saturating_duration_since(now));
            if left.is_zero() {
                return Err(self.timed_out(target, timeout));
            }
            let interrupted = sleep(pause.min(left));
            if interrupted || asked.elapsed() >= SIGNAL_INTERVAL {
                asked = Instant::now();
                if signals.pending() {
                    return Err(Error::Interrupted { path: target.spelt.clone() });
                }
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn timed_out(&self, target: &Target, waited: Duration) -> Error {
        let holder = self.file.with(holder).flatten();
        Error::LockTimeout { path: target.spelt.clone(), waited, holder }
    }

    /// Whether the locked file is still the one that others would lock: an
    /// operator may have removed `.oasis_data` since it was opened.
    fn is_current(&self, target: &Target, path: &Path) -> Result<bool> {
        let held = match self.file.with(|file| fs::fstat(file)) {
            Some(held) => held.map_err(|errno| target.failed("fstat of its lock", errno))?,
            None => return Err(Error::Interrupted { path: target.spelt.clone() }),
        };
        match fs::statat(&target.folder, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) => Ok(Identity::of(&named).key() == Identity::of(&held).key()),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(target.failed("fstatat of its lock", errno)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would not be enough: a child forked past the handlers still
        // shares the description, and would keep the lock. An error cannot
        // leave the lock behind either, since the close follows.
        let _ = self.file.with(fs2::FileExt::unlock);
    }
}

fn path_of(target: &Target) -> PathBuf {
    let mut name = sidecar::stem(&target.name).into_os_string();
    name.push(".lock");
    Path::new(sidecar::LOCKS).join(name)
}

fn open(target: &Target, path: &Path) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        // Not O_CREAT at once: in a sticky, world-writable folder the kernel
        // (fs.protected_regular) refuses it for a file of another owner.
        match fs::openat(&target.folder, path, flags, Mode::empty()) {
            Ok(file) => return Ok(File::from(file)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(target.failed("open of its lock", errno)),
        }
        let create = flags | OFlags::CREATE | OFlags::EXCL;
        match fs::openat(&target.folder, path, create, Mode::from_raw_mode(0o666)) {
            Ok(file) => {
                let folder = fs::fstat(&target.folder)
                    .map_err(|errno| target.failed("fstat of its folder", errno))?;
                sidecar::share(target, path, &folder)?;
                return Ok(File::from(file));
            }
            Err(Errno::EXIST) => {}
            Err(Errno::NOENT) => sidecar::create(target)?,
            Err(errno) => return Err(target.failed("open of its lock", errno)),
        }
    }
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
/// A device that `stat` and the list number differently (btrfs) is passed over
/// when the inode alone decides.
fn holder(file: &File) -> Option<u32> {
    let stat = fs::fstat(file).ok()?;
    let device = format!("{:02x}:{:02x}", fs::major(stat.st_dev), fs::minor(stat.st_dev));
    let list = std::fs::read_to_string("/proc/locks").ok()?;
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
