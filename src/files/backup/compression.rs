//! Compressing backups with gzip: begun at the end of a save, done without its lock.
//!
//! The process that compresses a backup holds a lock on the inode of the plain backup, so
//! that no other process does the same work. A plain backup that is gone before its
//! compressor has removed it was pruned.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use rustix::fs::{self, AtFlags, Stat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::files::backup::{self, Backup};
use crate::files::identity::Identity;
use crate::files::layout;
use crate::files::sys::lock;
use crate::files::target::Target;
use crate::files::temporary::Temporary;
use crate::stack;

/// A compression that has begun.
pub struct Begun<'a> {
    plain: Plain<'a>,
    temporary: Temporary<'a>,
}

/// Begins to compress the plain backups that are larger than `above`. To be called under
/// the target's lock: another writer would take a temporary file that is not locked yet for
/// a dead writer's. The errors are for the log.
#[must_use]
pub fn begin(
    target: &Target,
    backups: impl Iterator<Item = Backup>,
    above: u64,
) -> (Vec<Begun<'_>>, Vec<Error>) {
    let (mut begun, mut failures) = (Vec::new(), Vec::new());
    for backup in backups.filter(|backup| !backup.compressed) {
        match Begun::begin(target, &backup, above) {
            Ok(compression) => begun.extend(compression),
            Err(error) => failures.push(error),
        }
    }
    (begun, failures)
}

impl<'a> Begun<'a> {
    fn begin(target: &'a Target, backup: &Backup, above: u64) -> Result<Option<Self>> {
        let Some(plain) = Plain::take(target, backup)? else { return Ok(None) };
        // safeguard: no-room-for-gz
        if backup.compressed_name().len() > layout::LONGEST_NAME {
            return Ok(None);
        }
        let small = u64::try_from(plain.stat.st_size).is_ok_and(|size| size <= above);
        // A backup with a second name may be the live file, or change through that name.
        // safeguard: live-file-not-compressed
        if plain.stat.st_nlink != 1 || small {
            return Ok(None);
        }
        let temporary = Temporary::resembling(target, &plain.stat, &plain.file)?;
        Ok(Some(Self { plain, temporary }))
    }

    /// Compresses the backup, without the target's lock.
    ///
    /// # Errors
    ///
    /// When a syscall fails; the backup is then there, plain or compressed or both.
    pub fn finish(self, sync: bool) -> Result<()> {
        let Self { plain, mut temporary } = self;
        let encode = |file: &File| {
            // The encoder alone takes 50 KiB of the stack.
            stack::with_large_stack(|| {
                let mut encoder = GzEncoder::new(file, Compression::default());
                io::copy(&mut &plain.file, &mut encoder)?;
                encoder.finish().map(drop)
            })
        };
        temporary.fill_with(encode)?;
        if sync {
            // safeguard: compressed-backup-sync
            temporary.sync()?;
        }
        temporary.rename(&plain.compressed_name)?;
        // safeguard: compressed-backup-directory-sync
        if sync {
            plain.target.sync_folder()?;
        }
        plain.give_way()
    }
}

/// Removes the plain form of a backup that is there in both forms, if the compressed form is
/// complete.
///
/// # Errors
///
/// When a syscall fails on the plain form.
pub fn remove_superseded(target: &Target, backup: &Backup) -> Result<()> {
    let Some(plain) = Plain::take(target, backup)? else { return Ok(()) };
    let compressed_name = backup.compressed_name();
    let complete = target
        .open_to_read(compressed_name.as_os_str())
        .map_err(io::Error::from)
        .and_then(|compressed| {
            stack::with_large_stack(|| {
                let compressed = MultiGzDecoder::new(BufReader::new(compressed));
                is_same(BufReader::new(compressed), BufReader::new(&plain.file))
            })
        });
    match complete {
        Ok(true) => plain.give_way(),
        // The compressed form is not whole: the plain form stays.
        // safeguard: plain-form-stays
        Ok(false) | Err(_) => Ok(()),
    }
}

/// A plain backup that nobody else is compressing.
struct Plain<'a> {
    target: &'a Target,
    name: OsString,
    compressed_name: OsString,
    file: File,
    stat: Stat,
}

impl<'a> Plain<'a> {
    /// Opens and locks the plain backup; nothing where it is gone, or where another process
    /// compresses it.
    fn take(target: &'a Target, backup: &Backup) -> Result<Option<Self>> {
        let name = backup.plain_name();
        let file = match target.open_to_read(name) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(target.failed("open of a backup", errno)),
        };
        // safeguard: compressor-lock
        match lock::try_exclusive(&file) {
            Ok(()) => {}
            Err(error) if lock::is_contended(&error) => return Ok(None),
            Err(error) => return Err(target.failed("flock of a backup", error)),
        }
        let stat = fs::fstat(&file).map_err(|errno| target.failed("fstat of a backup", errno))?;
        let compressed_name = backup.compressed_name();
        let name = name.to_owned();
        let plain = Self { target, name, compressed_name, file, stat };
        Ok(plain.is_there()?.then_some(plain))
    }

    /// Whether the plain backup still has its name.
    fn is_there(&self) -> Result<bool> {
        match fs::statat(&self.target.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Identity::of(&stat).key() == Identity::of(&self.stat).key()),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.target.failed("fstatat of a backup", errno)),
        }
    }

    /// Removes the plain backup, which the compressed backup replaces. If the plain backup was
    /// pruned during the compression, removes the compressed backup.
    fn give_way(&self) -> Result<()> {
        if !(self.is_there()? && backup::unlink(self.target, &self.name)?) {
            // safeguard: pruned-compressed-form
            backup::unlink(self.target, &self.compressed_name)?;
        }
        Ok(())
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
