//! What the kernel tells of a file. Only `statx` tells the birth time and the marks (see
//! `chattr(1)`); where there is no `statx` (an old kernel, a sandbox), a `stat` has the rest.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{self, AtFlags, RawMode, Stat, Statx, StatxAttributes, StatxFlags};
use rustix::io::{Errno, Result};
use rustix::path::Arg;

/// A point in time in nanoseconds since 1970; wide, because a file's stamp may be any 64-bit
/// number of seconds.
pub type Nanoseconds = i128;

/// The fields that a load needs.
const ASKED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// What the kernel tells of a file.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
    /// When the inode was made, where the file system keeps that and it was asked for.
    pub birth: Option<Nanoseconds>,
    /// Bytes.
    pub size: i64,
    /// When the content was written, or what a program has set.
    pub mtime: Nanoseconds,
    /// When anything of the file was changed.
    pub ctime: Nanoseconds,
    /// The type and the mode.
    pub mode: RawMode,
}

/// Of the file at `path`, seen from an open folder.
///
/// # Errors
///
/// When the file cannot be looked at.
pub(crate) fn at(folder: impl AsFd, path: &Path) -> Result<Told> {
    let flags = AtFlags::empty();
    told(&fs::statx(&folder, path, flags, ASKED), || fs::statat(&folder, path, flags))
}

/// Of an open file.
///
/// # Errors
///
/// When the file cannot be looked at.
pub(crate) fn of_open(file: impl AsFd) -> Result<Told> {
    told(&fs::statx(&file, c"", AtFlags::EMPTY_PATH, ASKED), || fs::fstat(&file))
}

fn told(statx: &Result<Statx>, stat: impl FnOnce() -> Result<Stat>) -> Result<Told> {
    match statx {
        Ok(statx) => Ok(statx.into()),
        Err(Errno::NOSYS | Errno::PERM) => stat().as_ref().map(Told::from).map_err(|errno| *errno),
        Err(errno) => Err(*errno),
    }
}

/// What may keep a file from being replaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// Whether a mount begins at it.
    pub(crate) is_mounted: bool,
    /// Whether not even root may change it.
    pub(crate) is_immutable: bool,
    /// Whether root too may only add to it.
    pub(crate) is_append_only: bool,
    /// The owner.
    pub(crate) owner: u32,
    /// The type and the mode.
    pub(crate) mode: RawMode,
}

/// Of the file at `path`, seen from an open folder; nothing where that cannot be told.
pub(crate) fn marks(folder: impl AsFd, path: impl Arg, flags: AtFlags) -> Option<Marks> {
    let told = fs::statx(folder, path, flags, StatxFlags::MODE | StatxFlags::UID).ok()?;
    let has = |mark| told.stx_attributes.contains(mark);
    Some(Marks {
        is_mounted: has(StatxAttributes::MOUNT_ROOT),
        is_immutable: has(StatxAttributes::IMMUTABLE),
        is_append_only: has(StatxAttributes::APPEND),
        owner: told.stx_uid,
        mode: told.stx_mode.into(),
    })
}

impl From<&Statx> for Told {
    fn from(statx: &Statx) -> Self {
        let known = StatxFlags::from_bits_retain(statx.stx_mask).contains(StatxFlags::BTIME);
        let birth = nanoseconds(statx.stx_btime.tv_sec, statx.stx_btime.tv_nsec);
        Self {
            device: fs::makedev(statx.stx_dev_major, statx.stx_dev_minor),
            inode: statx.stx_ino,
            // Some file systems say that they have birth times, but have none of an old file.
            // safeguard: identity-birth-time
            birth: (known && birth != 0).then_some(birth),
            size: statx.stx_size.cast_signed(),
            mtime: nanoseconds(statx.stx_mtime.tv_sec, statx.stx_mtime.tv_nsec),
            // safeguard: identity-ctime
            ctime: nanoseconds(statx.stx_ctime.tv_sec, statx.stx_ctime.tv_nsec),
            mode: statx.stx_mode.into(),
        }
    }
}

impl From<&Stat> for Told {
    // Not `from`: the types of a stat's fields differ between targets.
    #[allow(clippy::useless_conversion, reason = "st_dev and st_ino are u64 on some targets only")]
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev.into(),
            inode: stat.st_ino.into(),
            birth: None,
            size: stat.st_size,
            mtime: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            ctime: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            mode: stat.st_mode,
        }
    }
}

/// A time of which the kernel tells the seconds and the rest apart.
pub(crate) fn nanoseconds(
    seconds: impl Into<i128>,
    nanoseconds: impl TryInto<i128>,
) -> Nanoseconds {
    seconds.into() * 1_000_000_000 + nanoseconds.try_into().unwrap_or(0)
}
