//! Who may use a sidecar: everyone who may write in the data folder.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, FileType, Mode, OFlags, Stat};
use rustix::io::{self, Errno};
use rustix::path::Arg;
use rustix::process::geteuid;

use crate::files::layout;
use crate::files::sys::access_list::{self, AccessList};
use crate::files::sys::{listing, open};
use crate::files::target::Target;

/// How many names of a folder are looked at to tell whether it is part of a sidecar.
const MOST_NAMES: usize = 1000;
/// Whether `made`, in the sidecar of `folder`, has the group and the mode of the folder, and
/// for root the owner too.
pub(super) fn is_alike(folder: &Stat, made: &Stat) -> bool {
    let is_folder = FileType::from_raw_mode(made.st_mode) == FileType::Directory;
    let shared = folder.st_mode & if is_folder { 0o7777 } else { 0o666 };
    (folder.st_gid, shared) == (made.st_gid, made.st_mode & 0o7777)
        && (folder.st_uid == made.st_uid || !geteuid().is_root())
}

/// The folder of a data file, and who may use it.
pub(super) struct DataFolder<'a> {
    folder: &'a File,
    stat: Stat,
    list: AccessList,
}

impl<'a> DataFolder<'a> {
    pub(super) fn of(target: &'a Target) -> io::Result<Self> {
        let folder = &target.folder;
        let stat = fs::fstat(folder)?;
        // An access list that cannot be read counts as a list for the owner and for others
        // alone: the group's bits of the mode are then the mask of the list.
        let list = AccessList::of(folder, stat.st_mode)
            .unwrap_or_else(|_| AccessList::of_mode(stat.st_mode & 0o707));
        Ok(Self { folder, stat, list })
    }

    /// Shares a file or folder of the sidecar: see [`super::share`]. Whether anything was
    /// changed.
    pub(super) fn share(&self, made: impl AsFd) -> io::Result<bool> {
        let stat = fs::fstat(&made)?;
        if !is_own(&stat) || !self.is_of_sidecar(&made, &stat).unwrap_or(false) {
            return Ok(false);
        }
        let owner =
            (geteuid().is_root() && stat.st_uid != self.stat.st_uid).then_some(self.stat.st_uid);
        let group = (stat.st_gid != self.stat.st_gid).then_some(self.stat.st_gid);
        let given = access_list::give(&made, owner, group);
        let mut changed = (owner.is_some() && given.owner.is_none())
            || (group.is_some() && given.group.is_none());
        // An owner or group that it could not be given to gets rights by name.
        let foreign_owner =
            stat.st_uid != self.stat.st_uid && (owner.is_none() || given.owner.is_some());
        let foreign_group = group.filter(|_| given.group.is_some());
        let mut list = self.list.clone();
        if foreign_owner || foreign_group.is_some() {
            list = list.in_other_hands(foreign_owner.then_some(self.stat.st_uid), foreign_group);
        }
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let (rights, special) =
            if is_folder { (0o7, self.stat.st_mode & 0o7000) } else { (0o6, 0) };
        list = list.limited(rights, if foreign_owner { rights } else { 0 });

        let there = access_list::read(&made, access_list::ACCESS).unwrap_or(None);
        let set = |value| access_list::write(&made, access_list::ACCESS, value);
        let wanted = (!list.is_mode()).then(|| list.value());
        let mut listed = false;
        if there != wanted {
            listed = set(wanted.as_deref()).is_ok();
            if !listed && wanted.is_some() {
                list = list.without_names();
                listed = there.is_some() && set(None).is_ok();
            }
            // With the old list still there, a mode would change the mask of that list.
            if !listed && there.is_some() {
                return Ok(changed);
            }
        }
        let shared = list.mode() | special;
        if changed || listed || stat.st_mode & 0o7777 != shared {
            // Where a filter refuses set-id bits, all other bits are set.
            let set = |bits| fs::fchmod(&made, Mode::from_raw_mode(bits));
            let _ = set(shared).or_else(|_| set(shared & !0o6000));
            // Perhaps only in part: the kernel sets no set-group-id bit for a foreign group.
            changed |= fs::fstat(&made)?.st_mode != stat.st_mode;
        }
        Ok(changed || listed)
    }

    /// Whether a folder with the name of a part of the sidecar is a part of the sidecar.
    /// Anybody who may rename in the data folder can give that name to a private folder of
    /// this user, to have the folder shared.
    fn is_of_sidecar(&self, made: impl AsFd, stat: &Stat) -> io::Result<bool> {
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !is_folder || (is_alike(&self.stat, stat) && self.list.is_mode()) {
            return Ok(true);
        }
        // A folder that may not be changed anyway is not listed at each save.
        if fs::fchmod(&made, Mode::from_raw_mode(stat.st_mode & 0o7777)).is_err() {
            return Ok(false);
        }
        // safeguard: private-folder-not-shared
        listing::all_first(&made, MOST_NAMES, layout::is_name_of_sidecar)
    }

    /// Shares the whole sidecar. The folder of the sidecar comes last: the next save sees by
    /// its mode whether a writer was killed here.
    pub(super) fn share_sidecar(&self) -> io::Result<()> {
        // Each folder from the folder above it, and through no symlink, so that nobody leads
        // root elsewhere.
        let sidecar = open_folder(self.folder, layout::FOLDER)?;
        if !is_own(&fs::fstat(&sidecar)?) {
            return Ok(());
        }
        let locks = open_folder(&sidecar, layout::within_sidecar(layout::LOCKS))?;
        let changed = self.share(&locks)?;
        // Both are as alike as the kernel lets them be: the rest is shared already.
        // safeguard: unsharable-locks-not-listed
        if !changed && is_alike(&fs::fstat(&locks)?, &fs::fstat(&sidecar)?) {
            return Ok(());
        }
        if let Ok(temp) = open_folder(&sidecar, layout::within_sidecar(layout::TEMP)) {
            self.share(&temp)?;
            self.passes_on_to(&temp)?;
        }
        for path in [layout::JOURNAL_LOCK, layout::JOURNAL] {
            self.share_file(&sidecar, layout::within_sidecar(path))?;
        }
        let is_lock = |name: &OsStr, _| layout::is_lock(name).then(|| name.to_owned());
        for lock in listing::list(&locks, ".", is_lock)? {
            self.share_file(&locks, lock.as_os_str())?;
        }
        self.share(&sidecar).map(drop)
    }

    pub(super) fn share_file(&self, folder: impl AsFd, name: impl Arg + Copy) -> io::Result<()> {
        let file = match open::to_read(folder, name, OFlags::NOFOLLOW) {
            Ok(file) => file,
            // Gone, another user's, or a symlink, which this package does not make.
            Err(Errno::NOENT | Errno::ACCESS | Errno::LOOP) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let stat = fs::fstat(&file)?;
        // Root gives away no file that somebody may have put here by a link or a rename.
        let expected = [geteuid().as_raw(), self.stat.st_uid].contains(&stat.st_uid);
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        // safeguard: files-shared-by-root
        if expected && regular && stat.st_nlink == 1 && is_text_of_sidecar(&file)? {
            self.share(&file)?;
        }
        Ok(())
    }

    /// Gives the folder of temporary files the default access list of this folder. Whether new
    /// files get the same list and group in both.
    pub(super) fn passes_on_to(&self, temp: impl AsFd) -> io::Result<bool> {
        let wanted = access_list::read(self.folder, access_list::DEFAULT)?;
        let stat = fs::fstat(&temp)?;
        let mut there = access_list::read(&temp, access_list::DEFAULT)?;
        if there != wanted
            && is_own(&stat)
            && access_list::write(&temp, access_list::DEFAULT, wanted.as_deref()).is_ok()
        {
            there.clone_from(&wanted);
        }
        let for_its_group = |stat: &Stat| stat.st_mode & Mode::SGID.bits();
        Ok(there == wanted
            && stat.st_gid == self.stat.st_gid
            && for_its_group(&stat) == for_its_group(&self.stat))
    }
}

/// Whether a file has the text of a lock or a journal. A private file of this user, to which
/// somebody has given the name of a lock, must not be shared.
fn is_text_of_sidecar(file: &File) -> io::Result<bool> {
    let mut start = [0; layout::INDEX_PLACE + 8];
    let length = io::pread(file, &mut start[..], layout::SYNC_STAMP_PLACE)?;
    // Whatever value they have.
    // safeguard: words-are-of-a-lock
    start[layout::LOCK_WORD_PLACE..layout::QUEUE_WORD_PLACE + 4].fill(0);
    let (start, index) = start[..length].split_at(length.min(layout::INDEX_PLACE));
    let end = start.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let (line, rest) = start.split_at(end);
    // In the lock of a journal, the line is the folder_id.
    let is_first_line = line.is_empty()
        || [layout::CONTENT_SYNCED, layout::NAME_SYNCED]
            .iter()
            .any(|synced| line.starts_with(synced.as_bytes()))
        || line.strip_suffix(b"\n").is_some_and(layout::is_random);
    let is_index = index.is_empty() || index[0] == b'-' || index.starts_with(b"backups ");
    // A save that took a private file for its lock has left the rest of the private text.
    let is_lock = is_first_line && is_index && rest.iter().all(|&byte| byte == 0);
    Ok(is_lock || start.starts_with(b"{\n  \"format\": "))
}

pub(super) fn is_own(made: &Stat) -> bool {
    geteuid().is_root() || made.st_uid == geteuid().as_raw()
}

pub(super) fn open_folder(folder: impl AsFd, path: &str) -> io::Result<OwnedFd> {
    open::folder(folder, path, OFlags::NOFOLLOW)
}

pub(super) fn is_symlink(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}
