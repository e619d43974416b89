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
/// Whether what was made for a folder has its group, mode and, as far as that can be
/// changed, owner.
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
        // A list that cannot be read lets in its owner and all others: the group's
        // bits would then be those of the mask.
        let list = AccessList::of(folder, stat.st_mode)
            .unwrap_or_else(|_| AccessList::of_mode(stat.st_mode & 0o707));
        Ok(Self { folder, stat, list })
    }

    /// Whether anything had to be changed, and could be.
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
        // Whoever it could not be given to keeps their rights by name.
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
            // A mode would be the mask of the list that is still there.
            if !listed && there.is_some() {
                return Ok(changed);
            }
        }
        let shared = list.mode() | special;
        if changed || listed || stat.st_mode & 0o7777 != shared {
            // Where a filter refuses set-id bits, those alone are missing.
            let set = |bits| fs::fchmod(&made, Mode::from_raw_mode(bits));
            let _ = set(shared).or_else(|_| set(shared & !0o6000));
            // It may have been set in part: no bit for a group that is not this user's.
            changed |= fs::fstat(&made)?.st_mode != stat.st_mode;
        }
        Ok(changed || listed)
    }

    /// Whether a folder that is called as part of a sidecar is one. Whoever may rename in
    /// the data folder can give that name to a private folder of this user's, to have it
    /// shared.
    fn is_of_sidecar(&self, made: impl AsFd, stat: &Stat) -> io::Result<bool> {
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !is_folder || (is_alike(&self.stat, stat) && self.list.is_mode()) {
            return Ok(true);
        }
        // What may not be changed need not be looked through, at each save.
        if fs::fchmod(&made, Mode::from_raw_mode(stat.st_mode & 0o7777)).is_err() {
            return Ok(false);
        }
        // safeguard: private-folder-not-shared
        listing::all_first(&made, MOST_NAMES, layout::is_name_of_sidecar)
    }

    /// Shares all of the sidecar, its lock files last but for the sidecar itself:
    /// by that it is known whether a writer was killed in here.
    pub(super) fn share_sidecar(&self) -> io::Result<()> {
        // Each from the one above it, and through no symlink, lest root be led
        // elsewhere.
        let sidecar = open_folder(self.folder, layout::FOLDER)?;
        if !is_own(&fs::fstat(&sidecar)?) {
            return Ok(());
        }
        let locks = open_folder(&sidecar, layout::within_sidecar(layout::LOCKS))?;
        let changed = self.share(&locks)?;
        // As far as the kernel lets them both are alike, and it costs no more.
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
        let is_lock = |name: &OsStr, _| layout::stem_of_lock(name).map(|_| name.to_owned());
        for lock in listing::list(&locks, ".", is_lock)? {
            self.share_file(&locks, lock.as_os_str())?;
        }
        self.share(&sidecar).map(drop)
    }

    pub(super) fn share_file(&self, folder: impl AsFd, name: impl Arg + Copy) -> io::Result<()> {
        let file = match open::to_read(folder, name, OFlags::NOFOLLOW) {
            Ok(file) => file,
            // Gone, another user's, or nothing of this package.
            Err(Errno::NOENT | Errno::ACCESS | Errno::LOOP) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let stat = fs::fstat(&file)?;
        // Root gives nothing away that somebody else may have put here by a link
        // or a rename.
        let expected = [geteuid().as_raw(), self.stat.st_uid].contains(&stat.st_uid);
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        // safeguard: files-shared-by-root
        if expected && regular && stat.st_nlink == 1 && is_text_of_sidecar(&file)? {
            self.share(&file)?;
        }
        Ok(())
    }

    /// Has new files in the folder of temporary files made as in this one. Whether
    /// they are.
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

/// Whether a file has the text of a lock or a journal: a private file of this user's, to
/// which somebody else has given the name of such, is not to be shared.
fn is_text_of_sidecar(file: &File) -> io::Result<bool> {
    let mut start = [0; layout::INDEX_PLACE + 8];
    let length = io::pread(file, &mut start[..], layout::SYNC_STAMP_PLACE)?;
    let (start, index) = start[..length].split_at(length.min(layout::INDEX_PLACE));
    let end = start.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let (note, rest) = start.split_at(end);
    let is_note = note.is_empty()
        || note.starts_with(b"synced ")
        || note.strip_suffix(b"\n").is_some_and(layout::is_random);
    let is_index = index.is_empty() || index[0] == b'-' || index.starts_with(b"backups ");
    // What a save has written over a private file leaves the rest of it.
    let is_lock = is_note && is_index && rest.iter().all(|&byte| byte == 0);
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
