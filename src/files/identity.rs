//! Which bytes a path leads to, as far as `stat` can tell.
//!
//! The cache keeps no file open, so an inode number can come back as that of another file.
//! Why the stamps or the bytes tell the two files apart:
//!
//! - The number comes back within the tick in which the old file was last changed: the entry
//!   was read in that tick or before it ended. The entry is not past its racy window, and a
//!   hit compares the bytes.
//! - The number comes back later: however coarse the stamps, the new file's ctime is no
//!   earlier than the read, which was more than a tick after the entry's ctime.
//! - The number comes back after the clock was set back: the same ctime can come again. A hit
//!   sees that the clock is behind what it was at the read ([`Instant::is_ahead_of_the_clock`]),
//!   and the file is read again.
//! - The number comes back while the clock was set back for a moment, which no later look can
//!   see: then the ctime, the mtime and the birth time would have to be the old stamps to the
//!   nanosecond. Where a file system has no birth time (ramfs, small-inode ext4), a hit always
//!   compares the bytes.

use std::fmt::{self, Display, Formatter};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{RawMode, Stat};

use crate::files::layout;
use crate::files::sys::clock;
use crate::files::sys::stat::{self, Nanoseconds, Told};

/// The racy window of most file systems. Linux stamps files with the time of the last timer
/// tick, and ticks are at most 10 ms apart: two writes within one tick can have the same
/// stamp. And the stamp is that of the start of a write, which can take longer than a tick
/// when its writer has to wait.
const TICK: i128 = 200_000_000;

/// The racy window where stamps are whole seconds (ext3, small-inode ext4) or even seconds
/// (FAT).
const COARSE_TICK: i128 = 2_100_000_000;

/// How far the clock may be set back before stamps are doubted. Even without that much time,
/// the two windows above are longer than the ticks of their file systems.
const SET_BACK: i128 = 100_000_000;

/// What identifies the content behind a path. Compared with `==` only: a stamp
/// may as well go back (a restore, a clock set back) as forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    key: FileKey,
    /// When the inode was made, where the file system keeps that and it was asked for.
    birth: Option<Nanoseconds>,
    size: i64,
    mtime: Nanoseconds,
    ctime: Nanoseconds,
}

/// What of a file is known to be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synced {
    /// Its content: after a power cut, another file may have the name.
    Content,
    /// And that the name is this file's.
    ContentAndName,
}

/// Which file, whatever its content. Unique only while a descriptor or a name keeps the
/// inode in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileKey {
    device: u64,
    inode: u64,
}

impl FileKey {
    /// The device and the inode as one number.
    #[must_use]
    pub fn number(self) -> u128 {
        u128::from(self.device) << 64 | u128::from(self.inode)
    }
}

impl Display for FileKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.device, self.inode)
    }
}

impl Identity {
    /// Of the file at `path`, seen from an open folder, with its birth time; and the mode.
    ///
    /// # Errors
    ///
    /// When the file cannot be looked at.
    pub fn at(folder: impl AsFd, path: &Path) -> rustix::io::Result<(Self, RawMode)> {
        stat::at(folder, path).map(|told| (Self::of_told(&told), told.mode))
    }

    /// Of the file at `path`; `None` where there is no file that can be looked at.
    #[must_use]
    pub fn of_file(path: &Path) -> Option<Self> {
        Self::at(rustix::fs::CWD, path).ok().map(|(identity, _)| identity)
    }

    /// Of an open file, with its birth time; and the mode.
    ///
    /// # Errors
    ///
    /// When the file cannot be looked at.
    pub fn of_open(file: impl AsFd) -> rustix::io::Result<(Self, RawMode)> {
        stat::of_open(file).map(|told| (Self::of_told(&told), told.mode))
    }

    /// Of what a `stat` told, which has no birth time.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Self::of_told(&stat.into())
    }

    /// Of what the kernel told.
    #[must_use]
    pub fn of_told(told: &Told) -> Self {
        let Told { device, inode, birth, size, mtime, ctime, mode: _ } = *told;
        Self { key: FileKey { device, inode }, birth, size, mtime, ctime }
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

    /// Whether it has a birth time.
    #[must_use]
    pub fn has_birth(&self) -> bool {
        self.birth.is_some()
    }

    /// The sync stamp: a line that tells this content of this file from every other, and what
    /// of it is synced. A save leaves it in the lock file.
    #[must_use]
    pub fn sync_stamp(&self, synced: Synced) -> String {
        // Always of one length, so that a new stamp covers the old stamp.
        let Self { key: FileKey { inode, .. }, size, mtime, ctime, .. } = self;
        let synced = match synced {
            Synced::Content => layout::CONTENT_SYNCED,
            Synced::ContentAndName => layout::NAME_SYNCED,
        };
        format!("{synced}{inode:>20} {size:>20} {mtime:>30} {ctime:>30}\n")
    }

    /// A short text that tells this content of this file from every other content. A rename,
    /// which changes the ctime, leaves it as it is.
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

    /// Whether every change after `read_at` must show in the stamps. Within the racy window a
    /// write could still fall into the tick that the file's ctime names, and leave this
    /// identity as it is. A ctime, unlike an mtime, cannot be set by hand. A clock set back
    /// puts the ctime into the future: the stamps then cannot be trusted either.
    #[must_use]
    pub fn is_past_racy_window(&self, read_at: Instant) -> bool {
        let tick = if self.is_coarse() { COARSE_TICK } else { TICK };
        // safeguard: racy-window
        read_at.realtime - self.ctime > tick
    }
}

/// A moment on the clock that file stamps are taken from.
#[derive(Clone, Copy, Debug)]
pub struct Instant {
    realtime: Nanoseconds,
    /// On the clock that cannot be set.
    monotonic: Nanoseconds,
}

impl Instant {
    /// Now, by the clock with which the kernel stamps files.
    #[must_use]
    pub fn now() -> Self {
        let mut monotonic = clock::monotonic();
        loop {
            let realtime = clock::realtime();
            let again = clock::monotonic();
            // Otherwise a tick, or a pause of the process, came between the two clocks.
            if again == monotonic {
                return Self { realtime, monotonic };
            }
            monotonic = again;
        }
    }

    /// The moment at which the two clocks show these times, in nanoseconds.
    #[must_use]
    pub const fn shown(realtime: i128, monotonic: i128) -> Self {
        Self { realtime, monotonic }
    }

    /// Whether the clock was set back between this moment and a `later` moment, and is still
    /// behind: a file that is written now can get a stamp from before.
    #[must_use]
    pub fn is_ahead_of(&self, later: &Self) -> bool {
        let behind = (self.realtime - self.monotonic) - (later.realtime - later.monotonic);
        behind > SET_BACK
    }

    /// The same for the present moment. For a hit of the cache, which must not take long.
    #[must_use]
    pub fn is_ahead_of_the_clock(&self) -> bool {
        // In this order, a tick or a pause between the two clocks makes the clock seem behind,
        // and the file is read without need. In the other order a clock that is behind could
        // go unseen.
        let realtime = clock::realtime();
        self.is_ahead_of(&Self { realtime, monotonic: clock::monotonic() })
    }
}
