//! Which bytes a path leads to, as far as `stat` can tell.

use rustix::fs::Stat;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Linux stamps files with the time of the last timer tick (at most 10 ms
/// apart), so two writes within one tick can carry the same stamp. And it stamps
/// at the start of a write, which can take longer when its writer has to wait.
const TICK: i128 = 200_000_000;

/// ext3, small-inode ext4 and FAT keep whole seconds, FAT even ones.
const COARSE_TICK: i128 = 2_100_000_000;

/// A point in time in nanoseconds since 1970; wide, because a file's stamp may
/// be any 64-bit number of seconds.
type Nanoseconds = i128;

/// What identifies the content behind a path. Compared with `==` only: a stamp
/// may as well go back (a restore, a clock set back) as forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    key: FileKey,
    size: i64,
    mtime: Nanoseconds,
    ctime: Nanoseconds,
}

/// Which file, whatever its content. Unique only while a descriptor or a name
/// keeps the inode alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileKey {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Reads the signature out of a `stat`.
    #[must_use]
    // Not `from`: the types of a stat's fields differ between targets.
    #[allow(clippy::useless_conversion, reason = "st_dev and st_ino are u64 on some targets only")]
    pub fn of(stat: &Stat) -> Self {
        Self {
            key: FileKey { device: stat.st_dev.into(), inode: stat.st_ino.into() },
            size: stat.st_size,
            mtime: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            ctime: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// How many bytes are in it.
    #[must_use]
    pub fn size(&self) -> u64 {
        u64::try_from(self.size).unwrap_or_default()
    }

    /// Which file this is.
    #[must_use]
    pub fn key(&self) -> FileKey {
        self.key
    }

    /// A line that tells this content of this file from every other: what a save
    /// notes when it has synced it.
    #[must_use]
    pub fn note(&self) -> String {
        // Of one length, so that a new one leaves nothing of the one before.
        let Self { key: FileKey { inode, .. }, size, mtime, ctime } = self;
        format!("synced {inode:>20} {size:>20} {mtime:>30} {ctime:>30}\n")
    }

    /// A short text that tells this content of this file from every other, across
    /// a rename or another change of the ctime.
    #[must_use]
    pub fn content(&self) -> String {
        format!("{} {} {}", self.key.inode, self.size, self.mtime)
    }

    /// Whether this is the same content of the same file, as far as can be told
    /// across a rename.
    #[must_use]
    pub fn differs_by_ctime_only(&self, other: &Self) -> bool {
        Self { ctime: other.ctime, ..*self } == *other
    }

    /// Whether the file system seems to keep whole seconds.
    #[must_use]
    pub fn is_coarse(&self) -> bool {
        self.ctime % 10_000_000 == 0
    }

    /// Whether every change after `read_at` must show in the stamps. Until
    /// then a write could still fall into the tick that the file's ctime names,
    /// and leave this identity as it is. A ctime, unlike an mtime, cannot be
    /// set by hand. A clock set back puts the ctime into the future: not
    /// settled either.
    #[must_use]
    pub fn settled(&self, read_at: Instant) -> bool {
        let tick = if self.is_coarse() { COARSE_TICK } else { TICK };
        read_at.0 - self.ctime > tick
    }
}

/// A moment on the clock that file stamps are taken from.
#[derive(Clone, Copy, Debug)]
pub struct Instant(Nanoseconds);

impl Instant {
    /// Now, by the clock with which the kernel stamps files.
    #[must_use]
    pub fn now() -> Self {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::RealtimeCoarse);
        Self(nanoseconds(tv_sec, tv_nsec))
    }
}

fn nanoseconds(seconds: impl Into<i128>, nanoseconds: impl TryInto<i128>) -> Nanoseconds {
    seconds.into() * 1_000_000_000 + nanoseconds.try_into().unwrap_or(0)
}
