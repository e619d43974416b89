//! Several files as one commit: all of them are replaced, or none, whatever
//! happens in between.
//!
//! Under the locks of all files: the new contents are written and synced beside
//! them, then a journal, which decides; then come the renames, one sync for
//! each folder, and the journal's removal.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use super::atomic;
use super::backup;
use super::folders;
use super::fork;
use super::identity::{FileKey, Identity};
use super::journal::{self, Change, Journal, NO_FILE, Name, Place, Slot};
use super::keeping::BackedUp;
use super::lock::{Deadline, Lock, Signals};
use super::recovery;
use super::remark::Remark;
use super::roll_forward;
use super::sidecar;
use super::snapshot::Same;
use super::store::{Locked, Preparation, Prepared, WriteOptions, Written};
use super::target::Target;
use crate::error::{Error, Result};
use crate::settings::Durability;
use crate::statistics::COUNTERS;

/// Syncs that wait at the same time. The disk's own journal takes those that
/// wait together in one go.
const SYNCS_AT_ONCE: usize = 8;

/// One file of a batch.
#[derive(Debug)]
pub struct Save<'a> {
    /// Which.
    pub path: &'a Path,
    /// Its new content.
    pub bytes: &'a [u8],
    /// What its version must be, if that matters.
    pub if_version: Option<String>,
}

/// Replaces the content of all files, or of none. What happened to each is
/// returned in the order of `saves`.
///
/// # Errors
///
/// [`Error::NamedTwice`] for two paths to one file. After
/// [`Error::Unfinished`] the batch stands, and after [`Error::NotDurable`] too;
/// after any other error all files are as they were.
pub fn save_many(
    saves: &[Save<'_>],
    options: &WriteOptions,
    signals: &dyn Signals,
) -> Result<Vec<Written>> {
    let deadline = Deadline::after(options.timeout);
    let files = lock_files(saves, options, &deadline, signals)?;
    let mut written: Vec<Written> = Vec::new();
    written.resize_with(saves.len(), Written::default);
    let mut in_place = Vec::new();
    let mut changed = Vec::new();
    for (index, locked) in &files {
        let save = &saves[*index];
        let options = WriteOptions { if_version: save.if_version.clone(), ..options.clone() };
        match locked.prepare(save.bytes, None, &options)? {
            Preparation::InPlace(unchanged) => in_place.push((locked, unchanged)),
            Preparation::Change(prepared) => {
                changed.push(Changed {
                    index: *index,
                    locked,
                    prepared: *prepared,
                    synced: OnceLock::new(),
                });
            }
        }
    }
    if options.durability == Durability::Full {
        sync_contents(&changed, &in_place)?;
    }
    COUNTERS.unchanged_saves.add(in_place.len() as u64);
    for (index, done) in publish(changed, options, &deadline, signals)? {
        written[index] = done;
    }
    drop(in_place);
    let (indices, files): (Vec<_>, Vec<_>) = files.into_iter().unzip();
    for (index, remarks) in indices.into_iter().zip(Locked::close_all(files, options)) {
        written[index].remarks.extend(remarks);
    }
    COUNTERS.batches.count();
    Ok(written)
}

/// A file that the batch replaces.
struct Changed<'a> {
    /// Its place in what the caller gave.
    index: usize,
    locked: &'a Locked,
    prepared: Prepared<'a>,
    /// What was synced, once it is.
    synced: OnceLock<Identity>,
}

impl Changed<'_> {
    fn target(&self) -> &Target {
        self.locked.target()
    }
}

/// Locks all files, in the one order that every batch takes them in.
fn lock_files(
    saves: &[Save<'_>],
    options: &WriteOptions,
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<Vec<(usize, Locked)>> {
    let mut targets = BTreeMap::new();
    let mut inodes: HashMap<FileKey, PathBuf> = HashMap::new();
    for (index, save) in saves.iter().enumerate() {
        let target = Target::resolve(save.path, options.make_parents)?;
        let twice = |twin| Err(Error::NamedTwice { path: save.path.into(), twin });
        // Two names of one file that is no hard link: a folder that does not
        // tell upper from lower case.
        if let Some(live) = target.stat()?.filter(|live| live.st_nlink == 1)
            && let Some(twin) = inodes.insert(Identity::of(&live).key(), save.path.into())
        {
            return twice(twin);
        }
        let key = (target.folder_key()?, target.name.clone());
        if let Some((_, twin)) = targets.insert(key, (index, target)) {
            return twice(twin.spelt);
        }
    }
    targets
        .into_values()
        .map(|(index, target)| Ok((index, Locked::acquire(target, deadline, signals)?)))
        .collect()
}

/// Puts what stands ready in place.
fn publish(
    changed: Vec<Changed<'_>>,
    options: &WriteOptions,
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<Vec<(usize, Written)>> {
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    // Once decided, it could neither be completed nor taken back.
    changed.iter().try_for_each(|change| atomic::require_replaceable(change.target()))?;
    let folders = Folders::of(&changed)?;
    let (locks, slots) = folders.lock(deadline, signals)?;
    let backed_up = back_up(&changed, options)?;
    let full = options.durability == Durability::Full;
    let decided = folders.decide(&changed, &backed_up, &slots, options, full);
    if let Err(error) = decided {
        return Err(take_back(error, &changed, &backed_up));
    }
    let refused = match rename(&changed) {
        Renamed::All => None,
        Renamed::Some(refused) => Some(refused),
        // Nobody has seen anything of it: whoever meets the journals waits for their lock.
        Renamed::None(error) => {
            let error = folders.undo(error, &slots, full);
            return Err(take_back(error, &changed, &backed_up));
        }
    };
    let mut done = Vec::with_capacity(changed.len());
    let mut locked = Vec::with_capacity(changed.len());
    for Changed { index, locked: file, prepared, synced } in changed {
        prepared.temporary.leave();
        done.push((index, prepared.written));
        locked.push((file, synced));
    }
    // Before anything that takes long: whoever waits to write into a replaced
    // file would get into its backup, should this writer die.
    let mut backups = Vec::with_capacity(done.len());
    for (((_, written), (file, synced)), backed_up) in done.iter_mut().zip(&locked).zip(backed_up) {
        backups.push(file.let_go(backed_up, written));
        file.note(synced.get());
    }
    let unfinished = |cause: Error| Error::Unfinished {
        path: cause.path().to_path_buf(),
        cause: Box::new(cause),
    };
    let synced = if full { roll_forward::sync(&folders.by_way()) } else { Ok(()) };
    refused.map_or(synced, Err).map_err(unfinished)?;
    // What cannot be removed is found by the next use, and is nothing to do.
    done[0].1.remarks.extend(folders.close(&slots).err().map(Remark::from));
    drop(locks);
    for (((_, written), (file, _)), backups) in done.iter_mut().zip(&locked).zip(backups) {
        file.tidy(backups, options, &mut written.remarks);
    }
    Ok(done)
}

/// What the kernel let happen of a batch's renames.
enum Renamed {
    All,
    Some(Error),
    None(Error),
}

/// Renames all contents, or those that the kernel lets through.
fn rename(changed: &[Changed<'_>]) -> Renamed {
    let mut refused = Vec::new();
    for change in changed {
        let target = change.target();
        let from = change.prepared.temporary.name();
        if let Err(errno) = fs::renameat(&target.folder, from, &target.folder, &target.name) {
            refused.push(target.failed("rename", errno));
        }
    }
    let all = refused.len() == changed.len();
    match refused.into_iter().next() {
        None => Renamed::All,
        Some(error) if all => Renamed::None(error),
        Some(error) => Renamed::Some(error),
    }
}

fn back_up(changed: &[Changed<'_>], options: &WriteOptions) -> Result<Vec<BackedUp>> {
    let replaced = changed.iter().filter(|change| change.prepared.kept.is_some());
    let mut earlier = backup::list_each(&replaced.map(Changed::target).collect::<Vec<_>>())
        .into_iter()
        .collect::<Result<Vec<_>>>()?
        .into_iter();
    let mut backed_up = Vec::with_capacity(changed.len());
    for change in changed {
        let kept = change.prepared.kept.as_ref();
        let earlier = kept.and_then(|_| earlier.next()).unwrap_or_default();
        match change.locked.back_up(kept, earlier, options) {
            Ok(taken) => backed_up.push(taken),
            Err(error) => return Err(take_back(error, changed, &backed_up)),
        }
    }
    Ok(backed_up)
}

fn take_back(error: Error, changed: &[Changed<'_>], backed_up: &[BackedUp]) -> Error {
    let taken = changed.iter().zip(backed_up);
    taken.fold(error, |error, (change, backed_up)| change.locked.take_back(error, backed_up))
}

/// Makes every reader that has the old content cached look again, and find the
/// journal: it could not tell otherwise, should this writer die before the rename.
fn change_identity(change: &Changed<'_>) {
    let target = change.target();
    let Ok(Some(live)) = target.stat() else { return };
    // A chmod to the mode that it has sets the ctime. Where it fails, the
    // batch stands all the same.
    let _ = target
        .open_to_read(target.name.as_os_str())
        .and_then(|file| fs::fchmod(file, Mode::from_raw_mode(live.st_mode & 0o7777)));
}

/// The folders of a batch; the decision is in the first.
struct Folders<'a> {
    /// Each with the way to it from the first.
    folders: Vec<(FileKey, PathBuf, &'a Target)>,
}

impl<'a> Folders<'a> {
    fn of(changed: &[Changed<'a>]) -> Result<Self> {
        let mut folders: Vec<(FileKey, PathBuf, &'a Target)> = Vec::new();
        for change in changed {
            let target = change.locked.target();
            let key = target.folder_key()?;
            if folders.iter().all(|(known, ..)| *known != key) {
                let first = folders.first().map_or(target, |(_, _, first)| first);
                folders.push((key, folders::way(first, target)?.to_path(), target));
            }
        }
        Ok(Self { folders })
    }

    fn by_way(&self) -> BTreeMap<&Path, &Target> {
        self.folders.iter().map(|(_, way, target)| (way.as_path(), *target)).collect()
    }

    /// Locks the journals of all folders, and leaves none of a dead writer that it can
    /// recover. Finds the slot of each folder's journal.
    fn lock(&self, deadline: &Deadline, signals: &dyn Signals) -> Result<(Vec<Lock>, Vec<Slot>)> {
        loop {
            let mut stay = Vec::with_capacity(self.folders.len());
            for (_, _, target) in &self.folders {
                stay.push(recovery::recover_any(target, deadline, signals)?);
            }
            let targets = self.folders.iter().map(|(_, _, target)| *target);
            let locks = recovery::lock_journals(targets, deadline, signals)?;
            let mut slots = Vec::with_capacity(self.folders.len());
            for ((_, _, target), stay) in self.folders.iter().zip(stay) {
                if !stay.is_all_in(target)? {
                    break;
                }
                let full = || target.failed("search for a free .oasis_data/journal", Errno::MFILE);
                slots
                    .push(journal::free_slot(target).ok_or_else(|| stay.why.unwrap_or_else(full))?);
            }
            if slots.len() == self.folders.len() {
                return Ok((locks, slots));
            }
        }
    }

    /// Removes the journals of the batch, which has been carried out.
    fn close(&self, slots: &[Slot]) -> Result<()> {
        // The decision first: without it the others are only leftovers.
        let mut journals = self.folders.iter().zip(slots);
        journals.try_for_each(|((_, _, target), slot)| journal::remove(target, *slot))
    }

    /// Takes the decision back of a batch of which nothing could be renamed.
    fn undo(&self, error: Error, slots: &[Slot], sync: bool) -> Error {
        let (_, _, first) = &self.folders[0];
        let undone = self.close(slots).and_then(|()| {
            // It must not come back by a power cut, after this save has failed.
            if sync { journal::sync_sidecar(first) } else { Ok(()) }
        });
        match undone {
            Ok(()) => error,
            Err(also) => error.followed_by(&also, "run oasis-data recover on its folder"),
        }
    }

    fn way_to(&self, change: &Changed<'_>) -> Result<&Path> {
        let own = change.target().folder_key()?;
        let found = self.folders.iter().find(|(key, ..)| *key == own);
        found
            .map(|(_, way, _)| way.as_path())
            .ok_or_else(|| change.target().failed("fstat of its folder", Errno::STALE))
    }

    /// The marks by which a recovery knows the folders, if there are several.
    fn marks(&self, changed: &[Changed<'_>], sync: bool) -> Result<Vec<String>> {
        if self.folders.len() == 1 {
            return Ok(Vec::new());
        }
        let marks = self.folders.iter().map(|(_, way, target)| {
            let new = changed.iter().find(|change| self.way_to(change).is_ok_and(|own| own == way));
            // Letters that were drawn for a temporary file, and for no other.
            let letters = new.and_then(|change| change.prepared.temporary.name().extension());
            let letters = letters.and_then(OsStr::to_str).unwrap_or_default();
            folders::mark(target, letters, sync)
        });
        marks.collect()
    }

    /// Writes the journals, the decision last. On an error there are none.
    fn decide(
        &self,
        changed: &[Changed<'_>],
        backed_up: &[BackedUp],
        slots: &[Slot],
        options: &WriteOptions,
        sync: bool,
    ) -> Result<()> {
        let (_, _, first) = &self.folders[0];
        // The name of a temporary file is given only once.
        let batch = name_of(&changed[0]).to_path().display().to_string();
        let backups = (options.backups_kept > 0).then(|| options.zone.local_minus_utc());
        let mut all = Vec::with_capacity(changed.len());
        for (change, backed_up) in changed.iter().zip(backed_up) {
            all.push(change_of(change, backed_up, self.way_to(change)?));
        }
        let marks = self.marks(changed, sync)?;
        let place = |folder: Name, mark: &str| Place { folder, mark: mark.to_owned() };
        let others = self.folders.iter().zip(&marks).skip(1);
        let places = others.map(|((_, way, _), mark)| place(way.as_os_str().into(), mark));
        let decision = Journal::new(&batch, None, backups, places.collect(), all);
        let written = (|| {
            let places = self.folders.iter().zip(slots);
            let begun: Vec<File> = places
                .map(|((_, _, target), slot)| journal::begin(target, *slot))
                .collect::<Result<_>>()?;
            // With the journals in sight, so that nobody caches what is read
            // after this; before the decision, so that nobody misses it who had
            // it cached.
            for change in changed {
                change_identity(change);
            }
            let mut leading = Vec::new();
            for ((_, way, target), file) in self.folders.iter().zip(&begun).skip(1) {
                let own = changed
                    .iter()
                    .zip(backed_up)
                    .filter(|(change, _)| self.way_to(change).is_ok_and(|other| other == way));
                let own =
                    own.map(|(change, backed_up)| change_of(change, backed_up, Path::new(".")));
                let own = own.collect();
                let back = folders::way(target, first)?;
                let places = vec![place(back.clone(), &marks[0])];
                let journal = Journal::new(&batch, Some(back), backups, places, own);
                leading.push((*target, file, journal));
            }
            for (target, file, journal) in &leading {
                journal::write(target, file, journal, sync)?;
            }
            journal::write(first, &begun[0], &decision, sync)
        })();
        written.map_err(|error| {
            let journals = self.folders.iter().zip(slots);
            journals.fold(error, |error, ((_, _, target), slot)| {
                match journal::remove(target, *slot) {
                    Ok(()) => error,
                    Err(also) => error.followed_by(&also, "remove .oasis_data/journal by hand"),
                }
            })
        })
    }
}

fn change_of(change: &Changed<'_>, backed_up: &BackedUp, way: &Path) -> Change {
    let before = change.prepared.before;
    Change {
        folder: Name::from(way.as_os_str()),
        name: Name::from(change.target().name.as_os_str()),
        temporary: name_of(change),
        replaces: Some(before.map_or_else(|| NO_FILE.to_owned(), |before| before.content())),
        backup: backed_up.newest().map(|backup| Name::from(backup.name.as_os_str())),
    }
}

fn name_of(change: &Changed<'_>) -> Name {
    Name::from(change.prepared.temporary.name().file_name().unwrap_or_default())
}

/// Waits until all contents are on the disk, and the names under which the
/// journal will find them.
fn sync_contents(changed: &[Changed<'_>], in_place: &[(&Locked, Same)]) -> Result<()> {
    let mut syncs: Vec<Sync<'_>> = Vec::new();
    let mut folders = BTreeMap::new();
    for change in changed {
        syncs.push(Box::new(|| {
            let synced = change.prepared.temporary.sync()?;
            // Set once: each content is synced once.
            let _ = change.synced.set(synced);
            Ok(())
        }));
        folders.insert(change.target().folder_key()?, change.target());
        // The journal tells which content is replaced, so that has to be on the disk.
        // A save has seen to that; another program may not have.
        if !is_synced(change) {
            syncs.push(Box::new(|| sync_replaced(change.target())));
        }
    }
    // A sidecar that is new must not be missing where a journal leads to it.
    let several = folders.len() > 1;
    for target in folders.into_values() {
        syncs.push(Box::new(|| sync_temporary_folder(target)));
        if several {
            syncs.push(Box::new(|| {
                atomic::flush(&target.folder)
                    .map_err(|errno| target.failed("fsync of its folder", errno))
            }));
        }
    }
    for (locked, unchanged) in in_place {
        syncs.push(Box::new(|| {
            locked.settle(unchanged).map_err(|error| match error {
                // Nothing has been decided yet.
                Error::NotDurable { source, .. } => {
                    locked.target().failed("fsync of its folder", source)
                }
                error => error,
            })
        }));
    }
    at_once(&syncs)
}

fn is_synced(change: &Changed<'_>) -> bool {
    let noted = |before: &Identity| change.locked.lock.has_note(&before.note());
    match (&change.prepared.kept, &change.prepared.before) {
        (Some(kept), _) => kept.is_synced(),
        (None, before) => before.as_ref().is_none_or(noted),
    }
}

fn sync_replaced(target: &Target) -> Result<()> {
    let file = target
        .open_to_read(target.name.as_os_str())
        .map_err(|errno| target.failed("open (to sync what is replaced)", errno))?;
    fs::fsync(file).map_err(|errno| target.failed("fsync of what is replaced", errno))?;
    atomic::flush(&target.folder).map_err(|errno| target.failed("fsync of its folder", errno))
}

type Sync<'a> = Box<dyn Fn() -> Result<()> + std::marker::Sync + 'a>;

fn sync_temporary_folder(target: &Target) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(&target.folder, sidecar::TEMP, flags, Mode::empty())
        .and_then(atomic::flush)
        .map_err(|errno| target.failed("fsync of .oasis_data/temp", errno))
}

/// Does all of it, several at a time, and returns the first error.
fn at_once(syncs: &[Sync<'_>]) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(sync) = syncs.get(next.fetch_add(1, Ordering::Relaxed)) {
            sync()?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        // Where no thread can be had, this one does the work of all. In a handler
        // around a fork others would wait for that fork, and it for them.
        let threads = if fork::is_forking() { 1 } else { SYNCS_AT_ONCE.min(syncs.len()) };
        let others: Vec<_> = (1..threads)
            .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let own = work();
        let died = || Err(Error::syscall(Path::new(""), "fsync", Errno::IO));
        others.into_iter().fold(own, |outcome, other| {
            let other = other.join().unwrap_or_else(|_| died());
            outcome.and(other)
        })
    })
}
