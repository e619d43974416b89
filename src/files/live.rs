//! The file that a save replaces, opened once: its content is compared with the new content, its
//! attributes are taken over, and a lease on it tells whether it can become a backup.

use std::fs::File;

use rustix::buffer::spare_capacity;
use rustix::fs::{self, Stat};
use rustix::io::retry_on_intr;

use crate::error::{Error, Result};
use crate::files::fork::CloseOnFork;
use crate::files::identity::Identity;
use crate::files::target::{Target, require_regular};

/// Bytes that the comparison reads first: most contents differ early.
const FIRST_PIECE: usize = 4 << 10;
/// Bytes that it reads at a time after those.
const PIECE: usize = 64 << 10;

/// The file that has the name of a target now.
#[derive(Debug)]
pub struct Live {
    file: CloseOnFork,
    /// What the file was when it was opened.
    pub stat: Stat,
}

impl Live {
    /// Opens the file. To be called once its `stat` has told that it is a regular file: to open a
    /// device may have an effect on it.
    ///
    /// # Errors
    ///
    /// That of `call` when it cannot be opened, and where it is no regular file any more.
    pub fn open(target: &Target, call: &'static str) -> Result<Self> {
        // A forked child with this descriptor would keep its lease, and so keep others waiting.
        let file = CloseOnFork::open(|| target.open_to_read(target.name.as_os_str()))
            .map_err(|errno| target.failed(call, errno))?;
        let stat = used(target, &file, |file| fs::fstat(file))?;
        let stat = stat.map_err(|errno| target.failed("fstat", errno))?;
        require_regular(&target.given_path, stat.st_mode)?;
        Ok(Self { file, stat })
    }

    /// Uses the file, briefly: see [`CloseOnFork::with`].
    ///
    /// # Errors
    ///
    /// [`Error::LockGone`] in a child that was forked since.
    pub fn with<T>(&self, target: &Target, act: impl FnOnce(&File) -> T) -> Result<T> {
        used(target, &self.file, act)
    }

    /// Uses the file where it still is this process's.
    pub fn if_own<T>(&self, act: impl FnOnce(&File) -> T) -> Option<T> {
        self.file.with(act)
    }

    /// A second descriptor of the file, for calls that take long: they would hold up forks.
    ///
    /// # Errors
    ///
    /// When there can be none.
    pub fn second(&self, target: &Target) -> Result<File> {
        self.with(target, File::try_clone)?.map_err(|error| target.failed("fcntl", error))
    }

    /// The file with its identity, if its content is `bytes`. Reads no further than the first
    /// piece that differs. What another program writes during the comparison counts as written
    /// after this save.
    ///
    /// # Errors
    ///
    /// When a read fails.
    pub fn if_same(&self, target: &Target, bytes: &[u8]) -> Result<Option<Same>> {
        let mut piece = Vec::new();
        let mut rest = bytes;
        let mut offset = 0;
        loop {
            piece.clear();
            piece.reserve(if offset == 0 { FIRST_PIECE } else { PIECE }.min(bytes.len() + 1));
            let read = |file: &File| {
                retry_on_intr(|| rustix::io::pread(file, spare_capacity(&mut piece), offset))
            };
            let count = self.with(target, read)?;
            offset += count.map_err(|errno| target.failed("read", errno))? as u64;
            match rest.strip_prefix(piece.as_slice()) {
                Some(_) if piece.is_empty() => break,
                Some(further) => rest = further,
                None => return Ok(None),
            }
        }
        if !rest.is_empty() {
            return Ok(None);
        }
        let identity = Identity::of(&self.stat);
        Ok(Some(Same { identity, descriptor: self.second(target)? }))
    }
}

fn used<T>(target: &Target, file: &CloseOnFork, act: impl FnOnce(&File) -> T) -> Result<T> {
    file.with(act).ok_or_else(|| Error::LockGone { path: target.given_path.clone() })
}

/// A file with the content that a save is about to write.
#[derive(Debug)]
pub struct Same {
    /// The identity before the comparison.
    pub identity: Identity,
    /// The file.
    pub descriptor: File,
}
