//! Compressed backups: gzip, made after the save and without its lock.
//!
//! Whoever compresses a backup holds a lock on the plain one's inode: two do
//! not do the same work, and a plain one that is gone before its compressor has
//! removed it was pruned.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use rustix::fs::{self, AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::atomic;
use super::backup::{self, Backup};
use super::identity::Identity;
use super::target::Target;
use super::temporary::Temporary;
use crate::error::{Error, Result};

/// Compresses the plain backups of `target` that are larger than `above`, those
/// that a killed process has missed included. What fails is for the log: the
/// backups are as they were.
#[must_use]
pub fn compress(target: &Target, above: u64, sync: bool) -> Vec<Error> {
    let backups = match backup::list(target) {
        Ok(backups) => backups,
        Err(error) => return vec![error],
    };
    let plain = backups.iter().filter(|backup| !backup.compressed);
    plain.filter_map(|backup| compress_one(target, backup, above, sync).err()).collect()
}

fn compress_one(target: &Target, backup: &Backup, above: u64, sync: bool) -> Result<()> {
    let Some(plain) = Plain::take(target, backup)? else { return Ok(()) };
    // With a second name it may be the live file, or change with the other.
    if plain.stat.st_nlink != 1 || u64::try_from(plain.stat.st_size).is_ok_and(|size| size <= above)
    {
        return Ok(());
    }
    let mut temporary = match Temporary::resembling(target, &plain.stat, &plain.file) {
        // Swept before it could be locked: left to the next save.
        Err(error) if is(&error, &[Errno::AGAIN]) => return Ok(()),
        created => created?,
    };
    let encode = |file: &File| {
        let mut encoder = GzEncoder::new(file, Compression::default());
        io::copy(&mut &plain.file, &mut encoder)?;
        encoder.finish().map(drop)
    };
    temporary.fill_with(encode, sync)?;
    match temporary.rename(&backup.compressed_name()) {
        Err(error) if is(&error, &[Errno::NOENT]) => return Ok(()),
        renamed => renamed?,
    }
    if sync {
        atomic::sync_folder(target)?;
    }
    plain.give_way()
}

/// Removes the plain form of a backup that is there in both, once the
/// compressed one is known to be complete.
///
/// # Errors
///
/// When a syscall fails on the plain one.
pub fn settle(target: &Target, backup: &Backup) -> Result<()> {
    let Some(plain) = Plain::take(target, backup)? else { return Ok(()) };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let complete = fs::openat(&target.folder, backup.compressed_name(), flags, Mode::empty())
        .map_err(io::Error::from)
        .and_then(|compressed| {
            let compressed = MultiGzDecoder::new(BufReader::new(File::from(compressed)));
            is_same(BufReader::new(compressed), BufReader::new(&plain.file))
        });
    match complete {
        Ok(true) => plain.give_way(),
        // The plain one is what counts then.
        Ok(false) | Err(_) => Ok(()),
    }
}

/// The content of a gzip file, or an error where memory runs out.
///
/// # Errors
///
/// When a read fails, the file is no whole gzip file, or there is no memory for
/// its content.
pub fn gunzip(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Grows by `try_reserve`, whatever the file says of its size.
    MultiGzDecoder::new(BufReader::new(file)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A plain backup that nobody else is compressing.
struct Plain<'a> {
    target: &'a Target,
    name: &'a OsStr,
    compressed_name: std::ffi::OsString,
    file: File,
    stat: Stat,
}

impl<'a> Plain<'a> {
    /// Opens and locks it; nothing where it is gone, or another's to compress.
    fn take(target: &'a Target, backup: &'a Backup) -> Result<Option<Self>> {
        let name = backup.plain_name();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match fs::openat(&target.folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(target.failed("open of a backup", errno)),
        };
        match fs2::FileExt::try_lock_exclusive(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(target.failed("flock of a backup", error)),
        }
        let stat = fs::fstat(&file).map_err(|errno| target.failed("fstat of a backup", errno))?;
        let compressed_name = backup.compressed_name();
        let plain = Self { target, name, compressed_name, file, stat };
        Ok(plain.is_there()?.then_some(plain))
    }

    /// Whether it still has its name.
    fn is_there(&self) -> Result<bool> {
        match fs::statat(&self.target.folder, self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Identity::of(&stat).key() == Identity::of(&self.stat).key()),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.target.failed("fstatat of a backup", errno)),
        }
    }

    /// Removes it in favour of its compressed form. If it was pruned meanwhile,
    /// that one goes instead.
    fn give_way(&self) -> Result<()> {
        let goes = if self.is_there()? { self.name } else { &self.compressed_name };
        match fs::unlinkat(&self.target.folder, goes, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.target.failed("unlink of a backup", errno)),
        }
    }
}

fn is_same(mut first: impl BufRead, mut second: impl BufRead) -> io::Result<bool> {
    loop {
        let (one, other) = (first.fill_buf()?, second.fill_buf()?);
        let length = one.len().min(other.len());
        if one[..length] != other[..length] {
            return Ok(false);
        }
        if length == 0 {
            return Ok(one.len() == other.len());
        }
        first.consume(length);
        second.consume(length);
    }
}

fn is(error: &Error, errnos: &[Errno]) -> bool {
    error.errno().is_some_and(|errno| errnos.contains(&Errno::from_raw_os_error(errno)))
}
